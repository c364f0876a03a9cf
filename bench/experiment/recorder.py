"""The loop of every run: each planned trial is run, and recorded as it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from bench.experiment.summary import Outcome
from bench.runs.record import RunRecord
from bench.runs.storage import Writer


class PlannedTrial(NamedTuple):
    """One trial to come, and the run that it belongs to."""

    writer: Writer
    perform: Callable[[], Outcome[Any]]


def record(planned: Iterable[PlannedTrial]) -> bool:
    """Run the trials in order and record each as it ends; return whether one was interrupted.

    An interrupted trial is the last. Where it is interrupted before its load runs, or for the second time,
    nothing of it is kept.
    """
    for writer, perform in planned:
        try:
            outcome = perform()
        except KeyboardInterrupt:
            return True
        writer.add(outcome.trial, outcome.moments, outcome.latencies)
        if outcome.trial.interrupted:
            return True
    return False


def finished(writer: Writer, interrupted: bool) -> RunRecord[Any]:
    """Return the run that `writer` has recorded."""
    return replace(writer.run, interrupted=interrupted)
