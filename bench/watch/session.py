"""The loop of a watch: a look at each interval, judged, and handed to whoever shows or keeps it."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from bench.watch.hop_table import HopRow, summarize
from bench.watch.model import RequestFlow, Snapshot
from bench.watch.verdict import WatchVerdict

if TYPE_CHECKING:
    from bench.watch.requests import RequestSource

MOST_KEPT = 120
"""Snapshots that are judged together: a slow leak shows within two minutes, and the memory has a bound."""
JUDGING_SHARE, LARGER_SHARE = 0.01, 0.03
"""Of a core, that judging may take: with thousands of hops it takes a good part of a second.

The larger one is for a watch that need not keep within the 2 % of one that spaces its looks by their cost.
"""
_FIRST_S = 1.0
"""When there is a first answer, whatever the interval."""
_LATE_S = 0.02
"""How much before its end an interval may be looked at: a sleep never lasts that exactly."""


class Watch(Protocol):
    """Looks at the connections of a host; `close` takes away what that needed."""

    def snapshot(self) -> Snapshot:
        """Return the interval since the last look."""

    def close(self) -> None:
        """Take away what was opened."""


@dataclass(frozen=True)  # no slots: the rows are kept once they are asked for
class Look:
    """What one interval showed, and what it amounts to with those before it."""

    snapshots: tuple[Snapshot, ...]
    """Those of the last minutes, the newest last."""
    verdict: WatchVerdict
    """What they amount to; where judging takes long, that of some looks before."""
    judged_at_s: float = math.inf
    """Until when the verdict reaches, in seconds from when the watch began; later than all: to the end."""

    @property
    def snapshot(self) -> Snapshot:
        """Return the newest one."""
        return self.snapshots[-1]

    @property
    def verdict_age_s(self) -> float:
        """Return how much older the verdict is than the newest snapshot."""
        return max(0.0, self.snapshot.t_s - self.judged_at_s)

    @cached_property
    def rows(self) -> tuple[HopRow, ...]:
        """Return the hops over the last seconds, the fastest first."""
        return summarize(self.snapshots)


Judge = Callable[[Sequence[Snapshot]], WatchVerdict]
"""Says what the snapshots so far amount to; the newest is the last."""
Consumer = Callable[[Look], None]
"""Shows or keeps a look."""
Wait = Callable[[float], bool]
"""Waits for so many seconds; true where the watch is to end."""


class Session:
    """A watch with the sources of its requests and its judge, look by look; who opened those closes them."""

    def __init__(
        self,
        watch: Watch,
        judge: Judge,
        sources: "Iterable[RequestSource]" = (),
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        *,
        least_interval: Callable[[], float] = lambda: 0.0,
        judging_share: float = JUDGING_SHARE,
        cost_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """`least_interval` is what the watch asks for, so that it stays within its share of a core.

        `cost_clock` tells what judging took, of which `judging_share` is the bound.
        """
        self.interval_s = interval_s
        self._watch = watch
        self._judge = judge
        self._sources = list(sources)
        self._clock = clock
        self._least_interval = least_interval
        self._kept: deque[Snapshot] = deque(maxlen=MOST_KEPT)
        self._judging_share, self._cost_clock = judging_share, cost_clock
        self._verdict: WatchVerdict | None = None
        self._judged_at_s = 0.0
        self._judged_again_s = -math.inf

    def look(self, is_last: bool = False) -> Look:
        """Take a snapshot, with the requests since the last one, and judge it; the last one in any case."""
        snapshot = self._watch.snapshot()
        flows, notes = self._read()
        if flows or notes:
            snapshot = replace(
                snapshot, requests=(*snapshot.requests, *flows), notes=(*snapshot.notes, *notes)
            )
        self._kept.append(snapshot)
        kept = tuple(self._kept)
        judged = self._judge_within_bounds(kept, is_last)
        return Look(kept, judged, self._judged_at_s)

    def run(self, consumers: Sequence[Consumer], wait: Wait, duration_s: float | None = None) -> bool:
        """Look at each interval, for `duration_s` or until `wait` says so; return whether it came to its end.

        The first look comes after a second at the latest. One that is due while another goes on is left out.
        """
        begun_s = self._clock()
        due_s = begun_s + min(self.interval_s, _FIRST_S)
        end_s = math.inf if duration_s is None else begun_s + duration_s
        while True:
            now_s = self._clock()
            if now_s >= due_s:
                interval_s = max(self.interval_s, self._least_interval())
                due_s += interval_s * (1 + math.floor((now_s - due_s) / interval_s))
            if wait(min(due_s, end_s) - now_s):
                return duration_s is None
            is_last = self._clock() >= end_s - _LATE_S
            look = self.look(is_last)
            for consume in consumers:
                consume(look)
            if is_last:
                return True

    def _judge_within_bounds(self, kept: Sequence[Snapshot], is_last: bool) -> WatchVerdict:
        """Return the verdict, a new one only where that takes a small share of the time since the last."""
        now_s = self._clock()
        if self._verdict is None or is_last or now_s >= self._judged_again_s:
            began_s = self._cost_clock()
            self._verdict, self._judged_at_s = self._judge(kept), kept[-1].t_s
            self._judged_again_s = now_s + (self._cost_clock() - began_s) / self._judging_share
        return self._verdict

    def _read(self) -> tuple[list[RequestFlow], list[str]]:
        """Return what the sources counted, and what limits that."""
        flows: list[RequestFlow] = []
        notes: list[str] = []
        for each in self._sources:
            flows += each.read()
            notes += each.notes
        return flows, notes
