"""The time of a trial: the clients go, through warm-up and window, and come to rest. Starts no role."""

from collections.abc import Sequence

from bench.experiment.meter import Meter
from bench.experiment.roles import Roles
from bench.experiment.trial_result import Event, Fault, TrialResult, TrialTimes
from bench.progress import Progress


class Window:
    """The window of one trial, with what leads up to it. States: to come, started, over."""

    def __init__(self, roles: Roles, meter: Meter, progress: Progress, times: TrialTimes) -> None:
        self._roles = roles
        self._meter = meter
        self._progress = progress
        self._times = times
        self._first = meter.read()  # where the window never begins, what was used counts from here
        self._done: tuple[Event, ...] = ()

    def run(self, faults: Sequence[Fault], timeout_s: float, notes: Sequence[str]) -> TrialResult:
        """Let the clients go, observe until they are done, and return what came of it.

        `faults` happen to the lab in the window, in the order of their moments. The clients may take
        `timeout_s` after its end. `notes` are those of the lab.
        """
        self._roles.send({"command": "go", **self._times._asdict()})
        interrupted = False
        try:
            self._warm_up()
            self._pass(faults, timeout_s)
        except KeyboardInterrupt:
            interrupted = True
        last = self._meter.read()
        others = self._meter.other_work()
        if interrupted:
            self._roles.send({"command": "stop"})
        self._progress.phase("drain")
        done = self._done or self._roles.done(timeout_s)
        self._meter.stop()
        return TrialResult(
            start_ns=self._times.start_ns,
            first=self._first,
            last=last,
            done=done,
            samples=tuple(self._meter.samples),
            seen=self._meter.seen(),
            notes=(*notes, *self._meter.sampler.missing),
            observer_cpu_share=self._meter.sampler.cpu_share,
            interrupted=interrupted,
            opened_by_network=self._roles.opened_by_network(),
            other_work=others,
        )

    def _warm_up(self) -> None:
        self._roles.wait_until(self._times.start_ns)
        self._meter.sampler.start()
        self._progress.phase("warm-up")
        self._roles.wait_until(self._times.window_ns)

    def _pass(self, faults: Sequence[Fault], timeout_s: float) -> None:
        """Let the window pass, with what happens in it."""
        self._first = self._meter.read()
        self._progress.phase("window")
        for fault in faults:
            self._roles.wait_until(self._times.start_ns + round(fault.at_s * 1e9))
            fault.act()
        if self._times.end_ns is None:
            self._done = self._roles.done(timeout_s)
        else:
            self._roles.wait_until(self._times.end_ns)
