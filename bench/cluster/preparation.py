"""Whether the machines can do what a plan asks, told by name before any role starts."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from bench.cluster import paths
from bench.cluster.connection import DaskCluster
from bench.cluster.paths import NetworkPath, PathFault, PathTarget
from bench.cluster.placement import RolePlace
from bench.errors import BenchError, LabError, PlanError
from bench.experiment import fd_limits, run_summary
from bench.experiment import run as single
from bench.lab import split_address, sysctl
from bench.plan.run_plan import Plan

PortRange = tuple[int, int]


def prepare_worker(plan: Plan, role: str) -> PortRange | None:
    """Let this process have as many files as `role` needs, and return its range of ports.

    BenchError where the machine cannot take the role; None where the system has no such range.
    """
    fd_limits.allow(plan, role)
    if role == "proxy":
        single.check_subject(plan)
    return _port_range()


def _port_range() -> PortRange | None:
    try:
        return sysctl.port_range(sysctl.read(sysctl.PORT_RANGE))
    except OSError:
        return None


def prepare(cluster: DaskCluster, plan: Plan, places: Sequence[RolePlace]) -> list[str]:
    """Raise BenchError where a machine cannot take its role; return what differs."""
    begun = [
        (place, cluster.begin(place.worker.address, prepare_worker, plan, place.role)) for place in places
    ]
    ranges = [(place, _result(cluster, place, future)) for place, future in begun]
    opener = run_summary.opener(plan)
    return list(_unequal_ranges([(place, held) for place, held in ranges if held and place.role == opener]))


def _result(cluster: DaskCluster, place: RolePlace, future: "Future[Any]") -> Any:
    answer = cluster.result_soon(place.worker.address, future)
    if not isinstance(answer, BaseException):
        return answer
    if not isinstance(answer, BenchError):
        raise answer
    kind = PlanError if isinstance(answer, PlanError) else LabError
    raise kind(f"cluster: {place.name} on the worker {place.worker.name}: {answer}") from answer


def _unequal_ranges(ranges: Sequence[tuple[RolePlace, PortRange]]) -> Iterator[str]:
    """Yield a line where the machines that open the connections to the backend have unequal port ranges."""
    sizes = [(high - low + 1, place.name, place.worker.name) for place, (low, high) in ranges]
    if len({size for size, _, _ in sizes}) > 1:
        (few, short, there), (many, long, elsewhere) = min(sizes), max(sizes)
        yield (
            f"{short} on the worker {there} has {few:,} ports for its connections, and {long} on {elsewhere}"
            f" has {many:,}: the fewest set the ceiling; make net.ipv4.ip_local_port_range the same"
        )


def check_paths(cluster: DaskCluster, plan: Plan, places: Sequence[RolePlace]) -> None:
    """Raise LabError where a role cannot reach one that it sends requests to, naming both.

    What a proxy that runs already reaches is seen from the worker on its machine, where there is one.
    """
    of = {role: [place for place in places if place.role == role] for role in ("client", "proxy", "backend")}
    fronts = [] if plan.subject.target is not None or plan.cluster.proxy_at else of["proxy"] or of["backend"]
    if plan.cluster.proxy_at is not None:
        _check_running_proxy(cluster, plan.cluster.proxy_at, of["client"])
    ports = {"proxy": plan.cluster.proxy_port or 0, "backend": plan.cluster.backend_port or 0}
    behind = of["backend"] if of["proxy"] else []
    with _listening(cluster, [*fronts, *behind], ports) as targets:
        begun = [
            (place, cluster.begin(place.worker.address, paths.try_peers, place.address, list(reached)))
            for sending, receiving in ((of["client"], fronts), (of["proxy"], behind))
            for place in sending
            if (reached := [targets[each.name] for each in receiving])
        ]
        for place, future in begun:
            _check_faults(place, _result(cluster, place, future), places)


def _check_running_proxy(cluster: DaskCluster, address: str, clients: Sequence[RolePlace]) -> None:
    host, port = split_address(address)
    peer = PathTarget("the proxy", host, port, None)
    begun = [
        (place, cluster.begin(place.worker.address, paths.try_peers, place.address, [peer]))
        for place in clients
    ]
    for place, future in begun:
        (path,) = _result(cluster, place, future)
        if path.fault is PathFault.REFUSED:
            raise LabError(
                "cluster.proxy_at: nothing listens there, or a firewall resets connections; start the proxy,"
                " or name its address"
            )
        if path.fault is not None:
            raise LabError(
                f"cluster.proxy_at: {place.name} on the worker {place.worker.name} does not reach it:"
                f" {path.reason}; let connections between them pass, or name another address"
            )


def _check_faults(place: RolePlace, found: Iterable[NetworkPath], places: Sequence[RolePlace]) -> None:
    on = {each.name: each.worker.name for each in places}
    for path in found:
        if path.fault is not None:
            raise LabError(
                f"cluster: {place.name} on the worker {place.worker.name} does not reach {path.target} on"
                f" {on[path.target]}: {path.reason}; let connections between them pass, or name another"
                " --data-interface"
            )


@contextmanager
def _listening(
    cluster: DaskCluster, places: Sequence[RolePlace], ports: Mapping[str, int]
) -> Iterator[dict[str, PathTarget]]:
    """Have each place listen where its role will, for a block; LabError where one cannot."""
    tokens: list[tuple[RolePlace, bytes]] = []
    targets: dict[str, PathTarget] = {}
    try:
        for place in places:
            token = secrets.token_bytes(paths.TOKEN_BYTES)
            tokens.append((place, token))
            number = ports[place.role]
            port = cluster.call(place.worker.address, paths.open_port, place.address, token, number)
            if not isinstance(port, int):
                raise LabError(
                    f"cluster: {place.name} on the worker {place.worker.name} cannot listen at"
                    f" {place.address} port {number or 'of any number'}: {port}; name another port or"
                    " --data-interface"
                )
            targets[place.name] = PathTarget(place.name, place.address, port, token)
        yield targets
    finally:
        closing = [
            (place, cluster.begin(place.worker.address, paths.close_port, token)) for place, token in tokens
        ]
        for place, future in closing:
            cluster.result_soon(place.worker.address, future)
