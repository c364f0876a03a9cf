"""The lab that works on every system: all three hosts are this machine, on 127.0.0.1."""

import sys

from bench.lab.hosts import Host, Lab, LabRequest
from bench.lab.supervisor import strongest


def open_lab(request: LabRequest) -> Lab:
    """Open the loopback lab; more addresses than one are 127.0.0.2 and so on (Linux only)."""
    supervisor = strongest()
    servers = _addresses(request.backends)
    hosts = (
        Host("client", _addresses(1), _addresses(request.client_addresses)),
        Host("proxy", _addresses(1), _addresses(request.proxy_addresses)),
        Host("backend", servers, servers),
    )
    for host in hosts:
        host.join(supervisor)
    return Lab("loopback", hosts, supervisor, notes(), is_shared=True)


def notes() -> list[str]:
    """Return what limits results from loopback, a sentence each."""
    found = ["loopback: the kernel's counters mix all roles, so that there is no kernel witness"]
    if sys.platform == "linux":
        found.append(
            "loopback: where tcp_tw_reuse is 2 (the kernel's default), a port in TIME_WAIT is used again"
            " after a second, so that running out of ports may not show"
        )
    return found


def _addresses(count: int) -> list[str]:
    return [f"127.0.0.{number}" for number in range(1, count + 1)]
