"""The places of a run: which worker holds which role. Dask's scheduler chooses, by the workers' resources."""

import queue
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench import units
from bench.cluster import packing, worker
from bench.cluster.connection import DaskCluster, WorkerFacts
from bench.cluster.lease import Lease
from bench.cluster.worker import WorkerDescription
from bench.errors import LabError
from bench.lab import split_address
from bench.machine import affinity
from bench.machine.affinity import Cores
from bench.plan.run_plan import Plan
from bench.runs.machine_record import MachineRecord

_PLACE_TIMEOUT_S = 15.0
_RELEASE_TIMEOUT_S = 4.0
_POLL_S = 0.02
_ROLES = ("proxy", "backend", "client")


@dataclass(frozen=True, slots=True)
class RolePlace:
    """One role on one worker."""

    key: str
    name: str
    """Role and number: client-1."""
    role: str
    worker: WorkerFacts
    description: WorkerDescription
    address: str
    """On the network that is measured."""
    cores: Cores = None
    has_own_cores: bool = True
    is_shared: bool = False
    ours: tuple[int, ...] = ()

    def record(self) -> MachineRecord:
        """Return the place as the header of a run holds it."""
        return MachineRecord(
            self.name, self.role, self.address, self.worker.name, dict(self.description.machine)
        )


@contextmanager
def hold(
    cluster: DaskCluster, plans: Sequence[Plan], lease: Lease, topic: str, reports: "queue.SimpleQueue[Any]"
) -> Iterator["HeldPlaces"]:
    """Hold the places of `plans` for a block; LabError where the scheduler finds no worker for one.

    Of each role there are as many as the plan with the most needs. `lease` keeps them, and `reports` receives
    what they report under `topic`. The plans share their networks, and the proxy that runs already.
    """
    descriptions = cluster.call_each([each.address for each in cluster.workers], worker.describe_worker)
    placer = _Placer(cluster, plans, lease, descriptions=descriptions, topic=topic, reports=reports)
    placer.check()
    try:
        placer.place_all()
        yield HeldPlaces(placer, descriptions)
    finally:
        placer.release_all()


class HeldPlaces:
    """The places that are held, and which of them a plan has: the first of each role."""

    def __init__(self, placer: "_Placer", descriptions: dict[str, WorkerDescription]) -> None:
        self._placer = placer
        self._descriptions = descriptions
        self.all = self._places(placer.plans[0], placer.counts)

    def of(self, plan: Plan) -> list[RolePlace]:
        """Return the places of one of the plans."""
        return self._places(plan, self._placer.wanted(plan))

    def _places(self, plan: Plan, counts: Mapping[str, int]) -> list[RolePlace]:
        placer = self._placer
        held = {
            key: place
            for key, place in placer.held.items()
            if number_of(key.rpartition("-")[0]) <= counts.get(place[0], 0)
        }
        return _places(placer.cluster, plan, held, self._descriptions)


class _Placer:
    """Has Dask's scheduler place the roles of some plans, one after the other."""

    def __init__(
        self,
        cluster: DaskCluster,
        plans: Sequence[Plan],
        lease: Lease,
        *,
        descriptions: dict[str, WorkerDescription],
        topic: str,
        reports: "queue.SimpleQueue[Any]",
    ) -> None:
        self.held: dict[str, tuple[str, str, Any]] = {}
        """Role, address of the worker and future of Dask's, by key."""
        self.cluster = cluster
        self.plans = plans
        self._lease = lease
        self._descriptions = descriptions
        self._topic = topic
        self._reports = reports
        wanted = [self.wanted(plan) for plan in plans]
        self.counts = {role: max(each.get(role, 0) for each in wanted) for role in _ROLES}
        """How many places of each role are needed."""

    def check(self) -> None:
        """Raise LabError where the workers do not offer the resources for so many places of each role."""
        workers = self.cluster.workers
        for role, count in self.counts.items():
            offered = sum(int(each.resources.get(role, 0)) for each in workers)
            if offered < count:
                flag = f"--{'proxie' if role == 'proxy' else role}s {count}"
                offer = f"{units.plural(len(workers), 'worker')} {'offers' if len(workers) == 1 else 'offer'}"
                raise LabError(
                    f"cluster: {flag} needs {count} of the resource {role}, and {offer} {offered};"
                    f" start more of them with `--resources {role}=1`, or ask for fewer"
                )

    def place_all(self) -> None:
        """Place each role; those first that the fewest workers offer."""
        for role in sorted(self.counts, key=lambda role: len(self._offering(role))):
            for number in range(1, self.counts[role] + 1):
                key = f"{role}-{number}-{secrets.token_hex(4)}"
                address, future = self._place(role, key)
                self.held[key] = (role, address, future)
                self._lease.add(address, key)

    def release_all(self) -> None:
        """End all roles; a run that begins once this returns finds their resources free."""
        addresses = sorted({address for _, address, _ in self.held.values()})
        begun = {each: self.cluster.begin(each, worker.release, list(self.held)) for each in addresses}
        deadline_s = time.monotonic() + _RELEASE_TIMEOUT_S
        for address, future in begun.items():
            self.cluster.result(address, future, deadline_s)
        # What is lost frees its resources by the end of its lease.
        while time.monotonic() < deadline_s and not all(each.done() for _, _, each in self.held.values()):
            time.sleep(_POLL_S)

    def wanted(self, plan: Plan) -> dict[str, int]:
        """Return how many places of each role a plan needs."""
        cluster, subject = plan.cluster, plan.subject
        if subject.target is not None:
            return {"client": cluster.clients}
        proxies = 0 if subject.name == "direct" else cluster.proxies
        if cluster.proxy_at is not None:
            proxies = min(1, len(self._offering("proxy")))  # only to watch it
        return {"proxy": proxies, "backend": cluster.backends, "client": cluster.clients}

    def _offering(self, role: str) -> list[WorkerFacts]:
        """Return the workers that may have a role; a proxy that runs already is watched on its machine."""
        offering = [each for each in self.cluster.workers if each.resources.get(role, 0) >= 1]
        proxy_at = self.plans[0].cluster.proxy_at
        if role != "proxy" or proxy_at is None:
            return offering
        host = split_address(proxy_at)[0]
        return [each for each in offering if host in self._descriptions[each.address].addresses.values()]

    def _candidates(self, role: str, taken: Mapping[str, "_Taken"]) -> list[WorkerFacts]:
        """Return the workers that can take a role now; LabError where none can."""
        offering = self._offering(role)
        with_resource = [
            each
            for each in offering
            if each.resources[role] - taken.get(each.address, _NOTHING).resources.get(role, 0) >= 1
        ]
        found = [each for each in with_resource if taken.get(each.address, _NOTHING).idle_threads > 0]
        if found:
            return found
        names = ", ".join(each.name for each in with_resource or offering)
        if with_resource:
            threads = max(
                int(sum(each.resources.get(known, 0) for known in _ROLES)) for each in with_resource
            )
            raise LabError(
                f"cluster: no worker has a thread left for the role {role}, and each role holds one: start"
                f" {names} with `--nthreads {threads}`"
            )
        raise LabError(
            f"cluster: no worker has the resource {role} left: another run has what {names} offer;"
            " wait for its end, or start more workers"
        )

    def _place(self, role: str, key: str) -> tuple[str, Any]:
        """Have one role placed, on a worker without one as long as there is such; return where."""
        # The scheduler looks at what a worker offers, and not at what of it is taken: it would wait there.
        taken: dict[str, _Taken] = self.cluster.call_scheduler(_taken)
        offering = self._candidates(role, taken)
        used = {address for _, address, _ in self.held.values()}
        free = [each.address for each in offering if each.address not in used]
        # Where another run is, the kernel counts for both.
        free = [
            address for address in free if not any(taken.get(address, _NOTHING).resources.values())
        ] or free
        future = self.cluster.client.submit(
            worker.hold,
            key,
            self._topic,
            key=key,
            pure=False,
            resources={role: 1},
            workers=free or [each.address for each in offering],
            allow_other_workers=False,
        )
        deadline_s = time.monotonic() + _PLACE_TIMEOUT_S
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                reporter, report = packing.unpack(self._reports.get(timeout=min(left_s, 0.5)))
            except queue.Empty:
                if future.done():
                    future.result()  # raises why it could not be placed
                continue
            if reporter == key:
                return str(report["worker"]), future
        names = ", ".join(each.name for each in offering)
        raise LabError(
            f"cluster: no worker took the role {role} within {_PLACE_TIMEOUT_S:g} s, though {names} may;"
            " see whether another run holds it"
        )


class _Taken(NamedTuple):
    """What a worker has given away."""

    resources: dict[str, float]
    idle_threads: int
    """Threads that run no task."""


_NOTHING = _Taken({}, 1)
"""Of a worker that is gone: its call says so."""


def _taken(dask_scheduler: Any) -> dict[str, _Taken]:
    """Return what each worker has given away, by address; runs in the scheduler."""
    return {
        address: _Taken(dict(each.used_resources), each.nthreads - len(each.processing))
        for address, each in dask_scheduler.workers.items()
    }


def _places(
    cluster: DaskCluster,
    plan: Plan,
    held: dict[str, tuple[str, str, Any]],
    descriptions: dict[str, WorkerDescription],
) -> list[RolePlace]:
    facts = {each.address: each for each in cluster.workers}
    roles_on: dict[str, list[str]] = {}
    pids_on: dict[str, set[int]] = {}
    in_namespace: dict[str, int] = {}
    for role, address, _ in held.values():
        description = descriptions[address]
        roles_on.setdefault(description.machine_id, []).append(role)
        pids_on.setdefault(description.machine_id, set()).add(description.pid)
        in_namespace[description.namespace] = in_namespace.get(description.namespace, 0) + 1
    places = []
    for key, (role, address, _) in held.items():
        description = descriptions[address]
        places.append(
            RolePlace(
                key=key,
                name=key.rpartition("-")[0],
                role=role,
                worker=facts[address],
                description=description,
                address=_role_address(plan.cluster.data_interface, facts[address], description),
                cores=_cores(plan, role, description, roles_on[description.machine_id]),
                has_own_cores=roles_on[description.machine_id].count(role) == 1,
                is_shared=in_namespace[description.namespace] > 1,
                ours=tuple(pids_on[description.machine_id]),
            )
        )
    return ordered(places)


def ordered(places: Iterable[RolePlace]) -> list[RolePlace]:
    """Return places by role, and those of a role by number: client-2 comes before client-10."""
    return sorted(places, key=lambda place: (_ROLES.index(place.role), number_of(place.name)))


def number_of(name: str) -> int:
    """Return the number of a place by its name, as client-10."""
    return int(name.rpartition("-")[2])


def data_address(interface: str | None, facts: WorkerFacts, description: WorkerDescription) -> str:
    """Return the address of a worker on the network that is measured; LabError where it has none there."""
    if interface is None:
        return facts.address.partition("://")[2].rpartition(":")[0].strip("[]")
    if interface not in description.addresses:
        raise LabError(
            f"cluster: the worker {facts.name} has no address on the interface {interface}; it has"
            f" {', '.join(description.addresses)}"
        )
    return description.addresses[interface]


def _role_address(interface: str | None, facts: WorkerFacts, description: WorkerDescription) -> str:
    """Return the data address of a worker; LabError where it is none that roles can use."""
    address = data_address(interface, facts, description)
    if ":" in address:
        usable = ", ".join(name for name, each in description.addresses.items() if ":" not in each)
        raise LabError(
            f"cluster: the worker {facts.name} has the data address {address}, and roles talk IPv4; name an"
            f" interface that has it by --data-interface: {usable or 'there is none'}"
        )
    return address


def _cores(plan: Plan, role: str, description: WorkerDescription, roles: Sequence[str]) -> Cores:
    """Return the cores of a role: all of its machine, or its part where other roles are there too."""
    if len(set(roles)) == 1:
        return set(description.cores)
    clients = plan.load.workers * roles.count("client")
    return affinity.assign(description.cores, clients, plan.hosts.pin)[role]
