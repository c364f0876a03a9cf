"""The loop of every run: the order of its trials, each run and recorded as it ends.

Every command that measures uses the same kind of order, so that no item of a run has an advantage by its
place: randomised complete blocks (Montgomery, Design and Analysis of Experiments, section 4.1).
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from bench.analysis import claims
from bench.errors import BenchError
from bench.experiment.summary import Outcome, TrialCutShort
from bench.runs.record import RunRecord, TrialRecord, TrialWarning
from bench.runs.storage import Writer

T = TypeVar("T")
_WORTH_REPEATING_S = 1.0
"""A shorter window is for a look, not for a figure."""
_IN_VAIN = 2
"""Second attempts in a row that were disturbed too: the machine stays busy."""


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


def numbered(
    items: Sequence[T], blocks: int, seed: int, go_on: Callable[[int], bool] | None = None
) -> Iterator[tuple[Place, T]]:
    """Yield the same with the numbers of the trials and of their blocks, which count from 1.

    Once the trials of a block have been recorded, `go_on` says whether another follows.
    """
    for index, item in enumerate(interleave(items, blocks, seed), 1):
        block, left = divmod(index, len(items))
        yield Place(index, block + (left > 0)), item
        if left == 0 and go_on is not None and not go_on(block):
            return


class PlannedTrial(NamedTuple):
    """One trial to come, and the run that it belongs to."""

    writer: Writer
    perform: Callable[[], Outcome[Any]]
    block: int | None = None


def record(planned: Iterable[PlannedTrial]) -> bool:
    """Run the trials in order and record each as it ends; return whether one was interrupted.

    An interrupted trial is the last. Where it is interrupted before its load runs, or for the second time,
    nothing of it is kept. So is one that fails, or that cannot be written: the run then says what the problem
    was, for what was measured before is to be shown. A BenchError before that is raised. A trial that was cut
    short is the last too, and kept (TrialCutShort).
    """
    writers: dict[int, Writer] = {}
    repeater = _Repeater()
    for writer, perform, block in planned:
        writers[id(writer)] = writer
        try:
            outcome, stopped = repeater.perform(perform)
            writer.add(replace(outcome.trial, block=block), outcome.moments, outcome.latencies)
            if stopped is not None:
                raise stopped
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


class _Repeater:
    """Runs trials, each once more where others disturbed it: until that was in vain twice in a row."""

    def __init__(self) -> None:
        self._in_vain = 0

    def perform(
        self, perform: Callable[[], Outcome[Any]]
    ) -> tuple[Outcome[Any], KeyboardInterrupt | BenchError | None]:
        """Return the outcome that is kept, and what ended the run during it or during a second attempt."""
        try:
            first = perform()
        except TrialCutShort as stopped:
            return stopped.outcome, stopped
        if not self._is_worth_repeating(first.trial):
            return first, None
        try:
            second = perform()
        except (KeyboardInterrupt, BenchError) as stopped:
            return first, stopped
        if second.trial.interrupted:
            return first, KeyboardInterrupt()
        is_in_vain = claims.DISTURBED in claims.void_reasons(second.trial)
        self._in_vain = self._in_vain + 1 if is_in_vain else 0
        return replace(second, trial=_note_first_attempt(second.trial, first.trial)), None

    def _is_worth_repeating(self, trial: TrialRecord) -> bool:
        if claims.void_reasons(trial) != {claims.DISTURBED} or self._in_vain >= _IN_VAIN:
            return False
        return claims.window_s(trial) >= _WORTH_REPEATING_S


def _note_first_attempt(second: TrialRecord, first: TrialRecord) -> TrialRecord:
    """Return the second attempt of a trial with a warning that it is one, and why."""
    (cause,) = [warning.message for warning in first.warnings if warning.code == claims.DISTURBED]
    note = TrialWarning("repeated", f"this is the second attempt; the first is left out, since {cause}")
    return replace(second, warnings=(note, *second.warnings))


def finished(writer: Writer, interrupted: bool) -> RunRecord[Any]:
    """Return the run that `writer` has recorded."""
    return replace(writer.run, interrupted=interrupted)
