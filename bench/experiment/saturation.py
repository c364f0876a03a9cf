"""How hard the machine was on the load workers: read at two moments, judged by bench/analysis/validity.py."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.validity import Pressure
from bench.machine.affinity import Cores
from bench.observe import process_tree
from bench.observe.sampler import Sampler


@dataclass(frozen=True, slots=True)
class SaturationReading:
    """What the load workers had waited for, their cores idled and ksoftirqd done, up to one moment."""

    moment_ns: int
    waited_s: Sequence[float | None]
    idle_s: float | None
    ksoftirqd_s: float | None = None

    @classmethod
    def now(cls, sampler: Sampler, client_cores: Cores) -> SaturationReading:
        """Read all three; no idle time where the workers have no cores of their own."""
        idle = process_tree.idle_s()
        idle_s = None
        if client_cores is not None:
            idle_s = sum(idle[core] for core in client_cores) / len(client_cores)
        waited_s, ksoftirqd_s = sampler.run_queue_wait_s("client"), process_tree.ksoftirqd_s()
        return cls(time.monotonic_ns(), waited_s, idle_s, ksoftirqd_s)

    def until(self, later: SaturationReading) -> Pressure:
        """Return the shares of the time between this moment and a later one."""
        length_s = (later.moment_ns - self.moment_ns) / 1e9
        waits = [
            after - before
            for before, after in zip(self.waited_s, later.waited_s, strict=True)
            if before is not None and after is not None
        ]
        idle = _share(self.idle_s, later.idle_s, length_s)
        return Pressure(
            run_queue_wait=max(waits, default=0.0) / length_s,
            core_idle=None if idle is None else min(1.0, idle),
            ksoftirqd_cpu=_share(self.ksoftirqd_s, later.ksoftirqd_s, length_s),
        )


def _share(before_s: float | None, after_s: float | None, length_s: float) -> float | None:
    return None if before_s is None or after_s is None else (after_s - before_s) / length_s
