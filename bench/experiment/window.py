"""How a trial plays: the clients go, through warm-up and window, and come to rest. Starts no role."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.experiment.meter import Meter
from bench.experiment.roles import Roles
from bench.experiment.trial_result import Event, Fault, TrialResult, TrialTimes
from bench.progress import Watch


class Window:
    """One playing of one cast. States: to come, begun, over."""

    def __init__(self, roles: Roles, meter: Meter, watch: Watch, moments: TrialTimes) -> None:
        self._roles = roles
        self._meter = meter
        self._watch = watch
        self._moments = moments
        self._first = meter.edge()  # where the window never begins, what was used counts from here
        self._done: tuple[Event, ...] = ()

    def play(self, faults: Sequence[Fault], timeout_s: float, notes: Sequence[str]) -> TrialResult:
        """Let the clients go, look on until they are done, and return what came of it.

        `happenings` befall the lab in the window, in the order of their moments. The clients may take
        `timeout_s` after its end. `notes` are what the lab has to say.
        """
        self._roles.tell({"command": "go", **self._moments._asdict()})
        interrupted = False
        try:
            self._warm_up()
            self._pass(faults, timeout_s)
        except KeyboardInterrupt:
            interrupted = True
        last = self._meter.edge()
        if interrupted:
            self._roles.tell({"command": "stop"})
        self._watch.phase("drain")
        done = self._done or self._roles.done(timeout_s)
        self._meter.stop()
        return TrialResult(
            start_ns=self._moments.start_ns,
            first=self._first,
            last=last,
            done=done,
            samples=tuple(self._meter.samples),
            seen=self._meter.seen(),
            notes=(*notes, *self._meter.missing),
            observer_cpu_share=self._meter.cpu_share,
            interrupted=interrupted,
            opened_by_network=self._roles.opened_by_network(),
        )

    def _warm_up(self) -> None:
        _sleep_until(self._moments.start_ns)
        self._meter.start()
        self._watch.phase("warm-up")
        _sleep_until(self._moments.window_ns)

    def _pass(self, faults: Sequence[Fault], timeout_s: float) -> None:
        """Let the window pass, with what happens in it."""
        self._first = self._meter.edge()
        self._watch.phase("window")
        for fault in faults:
            _sleep_until(self._moments.start_ns + round(fault.at_s * 1e9))
            fault.act()
        if self._moments.end_ns is None:
            self._done = self._roles.done(timeout_s)
        else:
            _sleep_until(self._moments.end_ns)


def _sleep_until(moment_ns: int) -> None:
    time.sleep(max(0, moment_ns - time.monotonic_ns()) / 1e9)
