"""A watch that gives made-up snapshots, a source of made-up requests, and a clock that is told the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.watch import verdict
from bench.watch.model import RequestFlow, Snapshot
from bench.watch.session import Look


class ScriptedWatch:
    """Gives snapshots in their order; after the last one the same again, as time goes on."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self._snapshots = list(snapshots)
        self.taken = 0
        self.is_closed = False

    def snapshot(self) -> Snapshot:
        """Return the next one."""
        at = min(self.taken, len(self._snapshots) - 1)
        beyond = max(0, self.taken - at)
        self.taken += 1
        found = self._snapshots[at]
        return replace(found, t_s=found.t_s + beyond * found.duration_s)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


class ScriptedSource:
    """Gives flows of requests in their order, then none; `notes` are always the same."""

    def __init__(self, flows: Iterable[tuple[RequestFlow, ...]], notes: tuple[str, ...] = ()) -> None:
        self._flows = iter(flows)
        self.notes = notes
        self.is_closed = False

    def read(self) -> tuple[RequestFlow, ...]:
        """Return the next flows."""
        return next(self._flows, ())

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


class ToldClock:
    """A clock that goes on only where somebody waits; each look takes `look_s`."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def wait(self, seconds: float) -> bool:
        """Go on by so many seconds; nobody ends the watch."""
        self.waits.append(seconds)
        self.now_s += max(0.0, seconds)
        return False


def look(snapshots: Sequence[Snapshot]) -> Look:
    """Return the look of the last of `snapshots`, with the verdict on all."""
    return Look(tuple(snapshots), verdict.judge(snapshots))
