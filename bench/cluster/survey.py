"""A survey of a cluster: what each worker reads of its machine, its clock, and its way to the others.

Machines are read and nothing on them is changed. Each opens one port on its data address meanwhile.
"""

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bench.cluster import clock, paths
from bench.cluster.clock import ClockOffset
from bench.cluster.connection import DaskCluster, WorkerFacts
from bench.cluster.identity import Identity
from bench.cluster.paths import NetworkPath, PathTarget
from bench.cluster.placement import data_address
from bench.cluster.same_code import identify_workers
from bench.cluster.worker import WorkerDescription, describe_worker
from bench.doctor.facts import MachineFacts, read_facts
from bench.errors import LabError

_EXAMINED_AT_ONCE = 8
"""Workers that read their machines at the same time: a second of CPU time each, and they may share one."""
_TRIED_AT_ONCE = 4
"""Workers that try their paths at the same time: each more delays the others where they share a machine."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What a worker read of its machine."""

    description: WorkerDescription
    facts: MachineFacts


@dataclass(frozen=True, slots=True)
class SurveyedMachine:
    """One worker with its machine; None: not known, and `problem` says why."""

    worker: WorkerFacts
    code: Identity | None
    problem: str = ""
    """Why it can take no role, in half a sentence; empty where nothing is in the way."""
    examination: Examination | None = None
    data_address: str | None = None
    clock: ClockOffset | None = None
    paths: Sequence[NetworkPath] = ()
    """To each of the other machines that answer."""

    @property
    def name(self) -> str:
        """Return the name of the worker."""
        return self.worker.name


@dataclass(frozen=True, slots=True)
class ClusterSurvey:
    """What was found on all machines of a cluster."""

    scheduler: str
    machines: Sequence[SurveyedMachine] = field(default_factory=tuple)


def survey(cluster: DaskCluster, data_interface: str | None = None) -> ClusterSurvey:
    """Survey the machines of `cluster`, whose data addresses are those of `data_interface`.

    None: the addresses of the Dask workers. WorkerLost where one ends meanwhile.
    """
    machines = _examine(cluster, data_interface)
    offsets = clock.measure(cluster.call, [each.worker.address for each in machines if each.examination])
    machines = [replace(each, clock=offsets.get(each.worker.address)) for each in machines]
    return ClusterSurvey(cluster.scheduler, tuple(_try_paths(cluster, machines)))


async def examine_worker() -> Examination:
    """Read the machine of this worker, whose event loop runs on meanwhile."""
    return await asyncio.to_thread(lambda: Examination(describe_worker(), read_facts()))


def _examine(cluster: DaskCluster, data_interface: str | None) -> list[SurveyedMachine]:
    codes = identify_workers(cluster)
    machines = [SurveyedMachine(worker, *codes[worker.name]) for worker in cluster.workers]
    usable = [machine.worker.address for machine in machines if not machine.problem]
    found: dict[str, Any] = {}
    for first in range(0, len(usable), _EXAMINED_AT_ONCE):
        found |= cluster.try_each(usable[first : first + _EXAMINED_AT_ONCE], examine_worker)
    return [_with_examination(each, found.get(each.worker.address), data_interface) for each in machines]


def _with_examination(machine: SurveyedMachine, found: Any, data_interface: str | None) -> SurveyedMachine:
    if isinstance(found, BaseException):
        first_line = str(found).strip().partition("\n")[0]
        return replace(machine, problem=f"cannot be examined ({first_line}); start its worker anew")
    return _with_address(replace(machine, examination=found), data_interface)


def _with_address(machine: SurveyedMachine, data_interface: str | None) -> SurveyedMachine:
    if machine.examination is None:
        return machine
    try:
        address = data_address(data_interface, machine.worker, machine.examination.description)
    except LabError:
        has = ", ".join(machine.examination.description.addresses)
        return replace(
            machine, problem=f"has no address on the interface {data_interface}; name one of {has}"
        )
    return replace(machine, data_address=address)


def _try_paths(cluster: DaskCluster, machines: Sequence[SurveyedMachine]) -> list[SurveyedMachine]:
    with _open_ports(cluster, machines) as (targets, refused):

        def try_from(machine: SurveyedMachine) -> SurveyedMachine:
            others = [target for target in targets if target.name != machine.name]
            if machine.data_address is None or not others:
                return machine
            found = cluster.call(machine.worker.address, paths.try_peers, machine.data_address, others)
            return replace(machine, paths=tuple(found))

        known = [replace(each, problem=refused.get(each.name, each.problem)) for each in machines]
        with ThreadPoolExecutor(_TRIED_AT_ONCE, thread_name_prefix="survey") as pool:
            return list(pool.map(try_from, known))


@contextmanager
def _open_ports(
    cluster: DaskCluster, machines: Sequence[SurveyedMachine]
) -> Iterator[tuple[list[PathTarget], Mapping[str, str]]]:
    """Have each machine answer the others for a block; yield where, and why some do not."""
    tokens: dict[str, bytes] = {}
    targets: list[PathTarget] = []
    refused: dict[str, str] = {}
    try:
        for machine in machines:
            if machine.data_address is not None:
                token = tokens[machine.worker.address] = secrets.token_bytes(paths.TOKEN_BYTES)
                port = cluster.call(machine.worker.address, paths.open_port, machine.data_address, token)
                if isinstance(port, int):
                    targets.append(PathTarget(machine.name, machine.data_address, port, token))
                else:
                    refused[machine.name] = (
                        f"cannot listen at {machine.data_address} ({port}); name another interface"
                    )
        yield targets, refused
    finally:
        for address, token in tokens.items():
            cluster.try_each([address], paths.close_port, token)
