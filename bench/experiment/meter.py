"""What is read during a trial: samples along it, and at the window's edges what was used and sent."""

import os
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack

from bench.experiment.roles import Roles
from bench.experiment.trial_result import MeterReading, SaturationReading
from bench.lab import Lab
from bench.machine.affinity import Cores, available_cores
from bench.observe import other_work
from bench.observe.host_observer import HostSample
from bench.observe.interface_bytes import InterfaceBytes, InterfaceCounters
from bench.observe.other_work import OtherWork
from bench.observe.sampler import HostObservation, Sampler

_SETTLE_S = 1.0
"""How long connections that are being closed when the load has ended may take to come to rest."""
_POLL_S = 0.01
_FRONT_WIRES = ("to-proxy", "direct")
"""The client host's wires: to the proxy, and past it to the servers (bench/lab/namespaces.py)."""
_BACK_WIRE = "to-backend"


class Meter:
    """The observers of one trial. States: set up, started, stopped, closed."""

    def __init__(
        self,
        place: Lab,
        roles: Roles,
        client_cores: Cores,
        on_sample: Callable[[HostSample], None],
        ours: Collection[int] = (),
    ) -> None:
        """Open the observers; what the processes `ours` and their descendants do is no other work."""
        has_wires = place.name == "namespaces"
        self.samples: list[HostSample] = []
        self._client_cores = client_cores
        self._ours = {os.getpid(), *ours}
        self._stack = ExitStack()
        self._work_before = other_work.read(available_cores())
        """Of the whole machine, read outside of the window, since that takes some milliseconds."""

        def keep(sample: HostSample) -> None:
            self.samples.append(sample)
            on_sample(sample)

        self.sampler = Sampler(roles.watched(place.hosts), keep, is_shared=place.is_shared)
        self._stack.callback(self.sampler.close)
        # Elsewhere other traffic shares the wires.
        watched = ("client", "proxy") if has_wires else ()
        self._wires = {host: place.hosts[host].call(InterfaceCounters) for host in watched}
        for wires in self._wires.values():
            self._stack.callback(wires.close)

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def stop(self) -> None:
        """Sample no more, and wait until every connection that is being closed has come to rest."""
        self.sampler.stop()
        deadline_s = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline_s:
            counts = (seen.sockets for seen in self.seen().values())
            if not any(sockets is not None and sockets.in_transition for sockets in counts):
                break
            time.sleep(_POLL_S)

    def other_work(self) -> OtherWork | None:
        """Return what others did on this machine since the roles were ready; None where that is not known."""
        before, cores = self._work_before, available_cores()
        after = None if before is None else other_work.read(cores)
        if before is None or after is None:
            return None
        return other_work.between(before, after, len(cores), self._ours)

    def seen(self) -> dict[str, HostObservation]:
        """Return what each host shows now."""
        return {host: self.sampler.observe(host) for host in self.sampler.hosts}

    def read(self) -> MeterReading:
        """Return what was used and sent up to now."""
        front = back = None
        if self._wires:
            read = self._wires["client"].read()
            rows = [read[name] for name in _FRONT_WIRES]
            front = InterfaceBytes(sum(row.sent for row in rows), sum(row.received for row in rows))
            back = self._wires["proxy"].read()[_BACK_WIRE]
        return MeterReading(
            moment_ns=time.monotonic_ns(),
            reading=SaturationReading.now(self.sampler, self._client_cores),
            cpu_s={host: self.sampler.cpu_s(host) for host in self.sampler.hosts},
            front=front,
            back=back,
        )
