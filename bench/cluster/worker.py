"""What runs within a Dask worker: places that hold a role for a run, and the parts of trials in them.

A task holds the resource of its role for as long as the run renews its lease. Where the run, the scheduler or
the network to it is gone, the lease ends: the place then ends its role, whatever Dask does meanwhile.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from bench.cluster.data_interface import DataInterface
from bench.cluster.packing import pack
from bench.cluster.part import Part, PartRequest, without_counters
from bench.cluster.reported import ReportedResult, without_reported
from bench.cluster.reporter import PartReport
from bench.errors import LabError
from bench.experiment import target_probe
from bench.experiment.trial_result import TrialTimes
from bench.machine import describe
from bench.machine.affinity import available_cores
from bench.plan.run_plan import Plan
from bench.runs.target_record import TargetRecord

_GIVEN_UP = "its worker has given it up"
LEASE_S = 5.0
"""Without a renewal for so long, a role ends: the run renews once a second."""


@dataclass(frozen=True, slots=True)
class WorkerDescription:
    """What a worker knows of its machine."""

    pid: int
    machine_id: str
    """The same for all workers that share a kernel, and thus its cores."""
    namespace: str
    """The same for all workers that share a network namespace."""
    cores: tuple[int, ...]
    addresses: dict[str, str]
    """The IPv4 address, or else the IPv6 address, of each network interface that is up."""
    machine: dict[str, Any]


def describe_worker() -> WorkerDescription:
    """Return what this process knows of its machine."""
    return WorkerDescription(
        pid=os.getpid(),
        machine_id=describe.read_text(Path("/proc/sys/kernel/random/boot_id")) or socket.gethostname(),
        namespace=_namespace(),
        cores=tuple(sorted(available_cores())),
        addresses=_addresses(),
        machine=describe.describe(),
    )


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/net")
    except OSError:  # no Linux: a machine has one network
        return "net"


def _addresses() -> dict[str, str]:
    found: dict[str, str] = {}
    for family in (socket.AF_INET6, socket.AF_INET):
        for name, held in psutil.net_if_addrs().items():
            own = [each.address for each in held if each.family == family and "%" not in each.address]
            found |= {name: own[0]} if own else {}
    return found


class _Place:
    """A role of a run on this worker. States: held, released."""

    def __init__(self, key: str, topic: str, dask_worker: Any) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"role {key}")
        self.part: Part | None = None
        self._key, self._topic, self._dask_worker = key, topic, dask_worker
        self._has_company = False
        """Whether another run has had a place here since the part was opened: the kernel counts for both."""
        self._interface: DataInterface | None = None
        self._renewed_s = time.monotonic()
        self._is_released = threading.Event()
        self.is_over = threading.Event()

    def renew(self) -> str | None:
        """Put the end of the lease off, and return what is wrong with the network under test."""
        self._renewed_s = time.monotonic()
        interface = self._interface
        fault = None if interface is None else interface.fault()
        return None if interface is None or fault is None else f"its interface {interface.name} {fault}"

    def release(self) -> None:
        """Have the role ended."""
        self._is_released.set()

    def hold(self) -> None:
        """Wait until the place is released or its lease ends, and end what runs in it."""
        try:
            while not self._is_released.wait(0.5):
                if time.monotonic() - self._renewed_s > LEASE_S:
                    break
        finally:
            self._is_released.set()
            if self.part is not None:
                self.part.kill()
            self.thread.submit(self._end)
            self.thread.shutdown(wait=False)

    def open(self, request: PartRequest) -> None:
        """Open the part of a trial."""
        if self._is_released.is_set():
            raise _given_up(self._key)
        if self._interface is None:
            self._interface = DataInterface(request.address)
        self._has_company = False
        self.meet(list(_places.values()))
        self.part = Part(replace(request, is_shared=request.is_shared or self._has_company), self.report)

    def run(self, times: TrialTimes, timeout_s: float) -> ReportedResult:
        """Have the part take part in the trial; what the kernel counted of another run too is left out."""
        part = self.part
        assert part is not None, "it is open"
        result = part.run(times, timeout_s)
        return without_reported(without_counters(result) if self._has_company else result, part.reports)

    def meet(self, places: "Sequence[_Place]") -> None:
        """Note those of other runs among `places`, here and there."""
        for place in places:
            if place._topic != self._topic:
                self._has_company = place._has_company = True

    def close(self) -> None:
        """Close it."""
        part, self.part = self.part, None
        if part is not None:
            part.close()

    def report(self, report: PartReport | dict[str, Any]) -> None:
        """Send a report to the run, by an event of Dask's."""
        self._dask_worker.log_event(self._topic, pack((self._key, report)))

    def _end(self) -> None:
        """Close the part, which is killed, or which was being opened meanwhile."""
        try:
            if self.part is not None:
                self.part.kill()
            self.close()
        finally:
            if self._interface is not None:
                self._interface.close()
            self.is_over.set()


_places: dict[str, _Place] = {}


def hold(key: str, topic: str) -> None:
    """Hold the place `key` for a run, as its task; report the address of the worker once it is there."""
    import distributed  # noqa: PLC0415 - half a second that only a worker needs

    dask_worker = distributed.get_worker()
    place = _places[key] = _Place(key, topic, dask_worker)
    try:
        place.meet(list(_places.values()))
        place.report({"worker": dask_worker.address})
        place.hold()
        # The resource of the role is free again once nothing of it runs.
        place.is_over.wait()
    finally:
        del _places[key]


async def perform(key: str, method: str, *arguments: Any) -> Any:
    """Call a method of the place `key`, or else of the part in it, on the thread of its own."""
    place = _place(key)
    target = place if hasattr(place, method) else place.part
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(place.thread, getattr(target, method), *arguments)


async def run(key: str, times: TrialTimes, timeout_s: float) -> bytes:
    """Have the part in the place `key` take part in its trial, and return its packed ReportedResult."""
    return pack(await perform(key, "run", times, timeout_s))


def renew(keys: Sequence[str]) -> dict[str, str] | None:
    """Renew the lease of `keys`; return those that are lost, each with the reason; None: all are sound."""
    faults = {key: _places[key].renew() if key in _places else _GIVEN_UP for key in keys}
    return {key: fault for key, fault in faults.items() if fault is not None} or None


def interrupt(keys: Sequence[str]) -> None:
    """End the window of those of `keys` that run here."""
    for key in keys:
        if key in _places and (part := _places[key].part) is not None:
            part.interrupt()


def end_window(keys: Sequence[str]) -> None:
    """Do the same where the load is over, which is no interruption."""
    for key in keys:
        if key in _places and (part := _places[key].part) is not None:
            part.end_window()


async def release(keys: Sequence[str]) -> None:
    """End the roles of those of `keys` that are held here, and return once they have ended."""
    held = [_places[key] for key in keys if key in _places]
    for place in held:
        place.release()
    for place in held:
        await asyncio.to_thread(place.is_over.wait, LEASE_S)


async def probe_target(plan: Plan) -> TargetRecord | None:
    """Return what answers at the target of a plan, as this machine sees it."""
    return await asyncio.to_thread(target_probe.probe_target, plan)


def _place(key: str) -> _Place:
    if key not in _places:
        raise _given_up(key)
    return _places[key]


def _given_up(key: str) -> LabError:
    """Return the error of a place that has been given up."""
    return LabError(f"cluster: the worker has given up the place {key}: its run was not heard of")
