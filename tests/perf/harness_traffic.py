"""The bytes of a cluster's harness beside those that it measures, apart for the load and the rest."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

_INTERVAL_S = 0.1
_LOAD_BYTES_PER_S = 50_000
"""A load has more: 60 requests a second."""
_LONGEST_STALL_S = 0.5
"""Shorter than the time between two trials."""
_SHORTEST_LOAD_S = 1.0
"""Shorter than any load: whether machines reach each other is tried with bytes too."""


class Moment(NamedTuple):
    """All bytes so far, each counted once."""

    at_s: float
    harness: int
    data: int


class Phase(NamedTuple):
    """A time with load, or one without."""

    has_load: bool
    length_s: float
    harness: int
    data: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one command said and measured."""

    phases: Sequence[Phase]

    @property
    def loads(self) -> list[Phase]:
        """Return the times of the load of each trial."""
        return [each for each in self.phases if each.has_load]

    @property
    def per_second(self) -> float:
        """Return the bytes of the harness in a second of load."""
        return sum(each.harness for each in self.loads) / sum(each.length_s for each in self.loads)

    @property
    def data_per_second(self) -> float:
        """Return the bytes that are measured in a second of load."""
        return sum(each.data for each in self.loads) / sum(each.length_s for each in self.loads)

    @property
    def per_trial(self) -> float:
        """Return the bytes of the harness from the load of a trial to that of the next."""
        return statistics.fmean(each.harness for each in self.phases[1:-1] if not each.has_load)

    @property
    def once(self) -> float:
        """Return the bytes of the harness in a command, less those of its trials."""
        return self.phases[0].harness + self.phases[-1].harness - self.per_trial

    def share(self, load_s: float) -> float:
        """Return the share of the data in percent, for a trial with so many seconds of load."""
        return 100 * (self.per_trial + self.per_second * load_s) / (self.data_per_second * load_s)

    @property
    def share_of_load(self) -> float:
        """Return the same for the load alone."""
        return 100 * self.per_second / self.data_per_second

    def enough_per_second(self, load_s: float, percent: float = 1.0) -> float:
        """Return with how many bytes a second of data the harness of such a trial is `percent` of them."""
        return (self.per_trial / load_s + self.per_second) * 100 / percent


def read_bytes(pids: Sequence[int]) -> Moment:
    """Return the bytes so far of the workers `pids`, which the kernel tells without a byte on the network.

    What is measured goes from worker to worker, and counts where it is sent.
    """
    harness = data = 0
    for pid in pids:
        rows = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
        columns = {name.strip(): row.split() for name, _, row in (each.partition(":") for each in rows)}
        harness += int(columns["control"][0]) + int(columns["control"][8])
        data += int(columns["data"][8])
    return Moment(time.monotonic(), harness, data)


def count(pids: Sequence[int], act: Callable[[], object]) -> Traffic:
    """Return what the workers `pids` sent while a command of trials ran."""
    moments: list[Moment] = [read_bytes(pids)]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_INTERVAL_S):
            moments.append(read_bytes(pids))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        act()
    finally:
        is_over.set()
        watching.join()
    moments.append(read_bytes(pids))
    return Traffic(phases(moments))


def phases(moments: Sequence[Moment]) -> list[Phase]:
    """Return the times with load and those without, in turn: the first and the last have none."""
    steps = [_step(begin, end) for begin, end in pairwise(moments)]
    found = _without_short(_merged(steps), _LONGEST_STALL_S, has_load=False)
    return _without_short(found, _SHORTEST_LOAD_S, has_load=True)


def _step(begin: Moment, end: Moment) -> Phase:
    length_s, data = end.at_s - begin.at_s, end.data - begin.data
    return Phase(data > _LOAD_BYTES_PER_S * length_s, length_s, end.harness - begin.harness, data)


def _without_short(found: Sequence[Phase], shortest_s: float, *, has_load: bool) -> list[Phase]:
    """Return phases of which those of one kind that are too short belong to their neighbours."""
    return _merged(
        each._replace(has_load=not has_load)
        if each.has_load == has_load and each.length_s < shortest_s and 0 < number < len(found) - 1
        else each
        for number, each in enumerate(found)
    )


def _merged(found: Iterable[Phase]) -> list[Phase]:
    groups = ((has_load, list(group)) for has_load, group in groupby(found, lambda each: each.has_load))
    return [
        Phase(
            has_load,
            sum(each.length_s for each in group),
            sum(each.harness for each in group),
            sum(each.data for each in group),
        )
        for has_load, group in groups
    ]
