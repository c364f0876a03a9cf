"""The machines of a plan: which Dask scheduler places the roles, and how many of each there are. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import PlanError

if TYPE_CHECKING:
    from bench.plan.run_plan import Plan


@dataclass(frozen=True, slots=True)
class Cluster:
    """The machines that Dask places the roles on, with `lab = "cluster"` only."""

    scheduler: str | None = None
    """The scheduler, tls://HOST:PORT or tcp://HOST:PORT, or the file that `bench cluster up` wrote."""
    clients: int = 1
    """Machines with load workers; each has `load.workers` of them, and its part of the connections."""
    proxies: int = 1
    backends: int = 1
    data_interface: str | None = None
    """Network interface whose address the roles use; None: the address of the Dask worker."""
    proxy_at: str | None = None
    """HOST:PORT of a proxy that runs already; none of ours is started."""


# What must hold on a cluster, and the error where it does not.
_CHECKS: tuple[tuple[Callable[["Plan"], bool], str], ...] = (
    (
        lambda p: p.cluster.scheduler is not None,
        "lab = 'cluster' needs cluster.scheduler (--scheduler): the address of Dask's scheduler, or the file"
        " that `bench cluster up` wrote",
    ),
    (
        lambda p: not (p.hosts.ports or p.hosts.sysctls),
        "hosts.ports and hosts.sysctls would change machines of others; set them there, by sysctl",
    ),
    (
        lambda p: max(p.hosts.proxy_addresses, p.hosts.backend_addresses) == 1,
        "hosts.proxy_addresses and hosts.backend_addresses are those of one machine; on a cluster set"
        " cluster.proxies and cluster.backends",
    ),
    (
        lambda p: p.load.connections >= p.load.workers * p.cluster.clients,
        "load.connections = {load.connections} is less than one for each of load.workers = {load.workers} on"
        " cluster.clients = {cluster.clients} machines; raise it",
    ),
    (
        lambda p: p.load.second_opinion is None,
        "load.second_opinion = {load.second_opinion!r} needs all clients on one machine; leave it out",
    ),
    (
        lambda p: p.cluster.proxies <= p.cluster.clients * p.load.workers,
        "cluster.proxies = {cluster.proxies} is more than there are load workers, each of which uses one;"
        " raise load.workers or cluster.clients",
    ),
    (
        lambda p: p.cluster.proxy_at is None or p.cluster.proxies == 1,
        "cluster.proxy_at = {cluster.proxy_at!r} names the one proxy; leave cluster.proxies out",
    ),
)


def check(plan: "Plan") -> None:
    """Raise PlanError where a plan for a cluster makes no sense, naming key, value and remedy."""
    if plan.lab != "cluster":
        return
    for holds, message in _CHECKS:
        if not holds(plan):
            raise PlanError("plan: " + message.format(load=plan.load, cluster=plan.cluster))
