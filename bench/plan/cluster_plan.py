"""The machines of a plan: which Dask scheduler places the roles, and how many of each there are. Pure."""

import re
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
    proxy_port: int | None = None
    """Where each of our proxies listens; None: on any free port."""
    backend_port: int | None = None
    """Where each of our backends listens; None: on any free port."""
    proxy_at: str | None = None
    """HOST:PORT of a proxy that runs already; none of ours is started."""


_HOST = re.compile(r"\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\s:/@\[\]%]+", re.ASCII)
"""An IPv6 address in brackets (RFC 3986, section 3.2.2), or a name or an IPv4 address."""

# What must hold on a cluster, and the error where it does not.
_CHECKS: tuple[tuple[Callable[["Plan"], bool], str], ...] = (
    (
        lambda p: p.cluster.scheduler is not None,
        "lab = 'cluster' needs cluster.scheduler: the address of Dask's scheduler, or the file that"
        " `bench cluster up` wrote",
    ),
    (
        lambda p: p.cluster.scheduler is None or not scheduler_problem(p.cluster.scheduler),
        "cluster.scheduler = {cluster.scheduler!r} {problem}",
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
    (
        lambda p: p.cluster.proxy_at is None or _is_host_and_port(p.cluster.proxy_at),
        "cluster.proxy_at = {cluster.proxy_at!r} is no HOST:PORT",
    ),
    (
        lambda p: p.cluster.proxy_at is None or p.cluster.backend_port is not None,
        "cluster.proxy_at = {cluster.proxy_at!r} needs cluster.backend_port: the port at which its"
        " configuration expects the backends",
    ),
    (
        lambda p: p.cluster.proxy_at is None or p.mode != "both",
        "cluster.proxy_at = {cluster.proxy_at!r} has the mode that its configuration gives it; set mode to"
        " the one that is expected",
    ),
    (
        lambda p: p.cluster.proxy_at is None or not p.load.tls,
        "cluster.proxy_at = {cluster.proxy_at!r} has a certificate of its own, which load.tls cannot verify;"
        " leave load.tls out",
    ),
    (
        lambda p: all(
            port is None or 1 <= port <= 65535 for port in (p.cluster.proxy_port, p.cluster.backend_port)
        ),
        "cluster.proxy_port = {cluster.proxy_port} and cluster.backend_port = {cluster.backend_port} are"
        " between 1 and 65535",
    ),
)


def scheduler_problem(text: str) -> str:
    """Return why `text` names no scheduler, in half a sentence with the remedy; empty where it does.

    What has no :// is a file, which is read once it is needed.
    """
    protocol, separator, place = text.partition("://")
    if not separator and _is_host_and_port(text):
        return f"has no protocol; write tls://{text}, or tcp://{text} without TLS"
    if not separator:
        return "" if text else "is empty; name an address, tls://HOST:PORT, or a file"
    if protocol not in ("tls", "tcp"):
        return f"has the protocol {protocol}; write tls://HOST:PORT, or tcp://HOST:PORT without TLS"
    return "" if _is_host_and_port(place) else f"is no {protocol}://HOST:PORT"


def _is_host_and_port(text: str) -> bool:
    host, _, port = text.rpartition(":")
    is_number = port.isascii() and port.isdecimal() and len(port) < 6
    return is_number and 1 <= int(port) <= 65535 and bool(_HOST.fullmatch(host)) and _is_name(host)


def _is_name(host: str) -> bool:
    """Return whether each label of a name has a length that can be looked up (RFC 1035, section 2.3.4)."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def check(plan: "Plan") -> None:
    """Raise PlanError where a plan for a cluster makes no sense, naming key, value and remedy."""
    if plan.lab != "cluster":
        return
    for holds, message in _CHECKS:
        if not holds(plan):
            problem = scheduler_problem(plan.cluster.scheduler or "")
            raise PlanError("plan: " + message.format(load=plan.load, cluster=plan.cluster, problem=problem))
