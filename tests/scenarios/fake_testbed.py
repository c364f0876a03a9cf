"""A testbed without processes: it keeps what a scenario requests, and returns prepared events of clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from bench.experiment.definition import Figures, Scenario, Settings
from bench.experiment.trial_result import Fault, MeterReading, SaturationReading, TrialResult
from bench.observe.host_observer import HostSample
from bench.plan import run_plan
from bench.plan.scenario_plan import Case
from bench.runs.record import ROLES

S = 10**9


class FakeTestbed:
    """The testbed."""

    def __init__(self, told: Sequence[Mapping[str, Any]], samples: Sequence[HostSample] = ()) -> None:
        self.flags: tuple[str, ...] = ()
        """Of the server."""
        self.jobs: Sequence[dict[str, Any]] = ()
        self.faults: list[tuple[float, str]] = []
        self._told = tuple(dict(each) for each in told)
        self._samples = tuple(samples)
        self._now_s = 0.0

    def start_server(self, module: str, *flags: str) -> Any:
        """Return a server."""
        self.flags = flags
        return SimpleNamespace(address=module, addresses=(module,), count=lambda: {"accepted": 3, "http2": 1})

    def start_proxy(self, addresses: Sequence[str]) -> str:
        """Return where clients are to go."""
        return "127.0.0.1:1"

    def start_clients(self, module: str, jobs: Sequence[dict[str, Any]]) -> None:
        """Note the jobs of clients."""
        self.jobs = jobs

    def sources(self, host: str) -> list[str]:
        """Return no addresses: the system chooses."""
        return []

    def reload(self) -> None:
        """Note that the proxy is reloaded."""
        self.faults.append((self._now_s, "reload"))

    def restart(self) -> None:
        """Note that the proxy is restarted."""
        self.faults.append((self._now_s, "restart"))

    def run(
        self, warmup_s: float, duration_s: float | None, timeout_s: float = 30.0, faults: Sequence[Fault] = ()
    ) -> TrialResult:
        """Have every fault happen at once."""
        for fault in faults:
            self._now_s = fault.at_s
            fault.act()
        first, last = (
            MeterReading(
                round(at_s * S), SaturationReading(0, [], None), dict.fromkeys(ROLES, used_s), None, None
            )
            for at_s, used_s in ((warmup_s, 1.0), (warmup_s + (duration_s or 1.0), 1.5))
        )
        return TrialResult(0, first, last, self._told, self._samples, {}, (), 0.0, False)


def perform(
    scenario: Scenario,
    variant: str,
    settings: Settings,
    *told: Mapping[str, Any],
    subject: str = "nginx",
    samples: Sequence[HostSample] = (),
) -> tuple[Figures, FakeTestbed]:
    """Have a scenario perform one way, its clients telling `told`; return its figures and the stage."""
    testbed: Any = FakeTestbed(told, samples)
    return scenario.perform(testbed, Case(variant, run_plan.Subject(name=subject)), settings), testbed
