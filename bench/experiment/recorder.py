"""The loop of every run: the order of its trials, each run and recorded as it ends.

Every command that measures uses the same order, so that no item of a run has an advantage by its place.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from bench.errors import BenchError
from bench.experiment.summary import Outcome
from bench.runs.record import RunRecord
from bench.runs.storage import Writer

T = TypeVar("T")


def interleave(items: Sequence[T], rounds: int) -> Iterator[T]:
    """Yield each of `items` once a round; every other round is reversed.

    Interleaving spreads the drift of the machine over all items alike. Reversing spreads what the first
    trial of a round leaves behind for those that follow.
    """
    for number in range(rounds):
        yield from items if number % 2 == 0 else reversed(items)


def numbered(items: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield the same with the numbers of the trials, which count from 1."""
    return enumerate(interleave(items, rounds), 1)


class PlannedTrial(NamedTuple):
    """One trial to come, and the run that it belongs to."""

    writer: Writer
    perform: Callable[[], Outcome[Any]]


def record(planned: Iterable[PlannedTrial]) -> bool:
    """Run the trials in order and record each as it ends; return whether one was interrupted.

    An interrupted trial is the last. Where it is interrupted before its load runs, or for the second time,
    nothing of it is kept. So is one that fails, or that cannot be written: the run then says what the problem
    was, for what was measured before is to be shown. A BenchError before that is raised.
    """
    writers: dict[int, Writer] = {}
    for writer, perform in planned:
        writers[id(writer)] = writer
        try:
            outcome = perform()
            writer.add(outcome.trial, outcome.moments, outcome.latencies)
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
