"""The loop of every run: the order of its trials, each run and recorded as it ends.

Every command that measures uses the same kind of order, so that no item of a run has an advantage by its
place: randomised complete blocks (Montgomery, Design and Analysis of Experiments, section 4.1).
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from bench.errors import BenchError
from bench.experiment.summary import Outcome
from bench.runs.record import RunRecord
from bench.runs.storage import Writer

T = TypeVar("T")


def draw_seed() -> int:
    """Return a seed for the order of the trials; it is recorded with the run."""
    return random.SystemRandom().randrange(1, 1 << 30)


def interleave(items: Sequence[T], blocks: int, seed: int) -> Iterator[T]:
    """Yield each of `items` once a block, in an order that `seed` draws.

    Blocks spread the drift of the machine over all items alike. The order is drawn for every odd block, and
    reversed in the next: over two blocks no item comes earlier than another.
    """
    drawn, order = random.Random(seed), list(items)
    for number in range(blocks):
        if number % 2 == 0:
            drawn.shuffle(order)
        else:
            order.reverse()
        yield from order


class Place(NamedTuple):
    """Where a trial stands in its run."""

    trial: int
    block: int


def numbered(items: Sequence[T], blocks: int, seed: int) -> Iterator[tuple[Place, T]]:
    """Yield the same with the numbers of the trials and of their blocks, which count from 1."""
    for index, item in enumerate(interleave(items, blocks, seed)):
        yield Place(index + 1, index // len(items) + 1), item


class PlannedTrial(NamedTuple):
    """One trial to come, and the run that it belongs to."""

    writer: Writer
    perform: Callable[[], Outcome[Any]]
    block: int | None = None


def record(planned: Iterable[PlannedTrial]) -> bool:
    """Run the trials in order and record each as it ends; return whether one was interrupted.

    An interrupted trial is the last. Where it is interrupted before its load runs, or for the second time,
    nothing of it is kept. So is one that fails, or that cannot be written: the run then says what the problem
    was, for what was measured before is to be shown. A BenchError before that is raised.
    """
    writers: dict[int, Writer] = {}
    for writer, perform, block in planned:
        writers[id(writer)] = writer
        try:
            outcome = perform()
            writer.add(replace(outcome.trial, block=block), outcome.moments, outcome.latencies)
        except KeyboardInterrupt:
            return True
        except BenchError as error:
            if not any(each.run.trials for each in writers.values()):
                raise
            writer.problem = str(error)
            return False
        if outcome.trial.interrupted:
            return True
    return False


def finished(writer: Writer, interrupted: bool) -> RunRecord[Any]:
    """Return the run that `writer` has recorded."""
    return replace(writer.run, interrupted=interrupted)
