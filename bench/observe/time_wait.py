"""Count a host's sockets in TIME_WAIT, its connections and its ports in use, by hop. Pure.

A host listens on some ports for the role before it and connects to some ports of the role after it.
Those ports attribute its sockets to a hop, on loopback too, where all hosts share one table. Between two
dumps of the table (sock_diag.py) the kernel's gauges (tcp_counters.py) give an estimate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import ESTABLISHED, TIME_WAIT, Sockets
from bench.observe.tcp_counters import Counters


@dataclass(frozen=True, slots=True)
class HostPorts:
    """Where a host's connections end: the ports that it listens on, and those that it connects to."""

    listens: frozenset[int] = frozenset()
    connects_to: frozenset[int] = frozenset()
    port_range: tuple[int, int] = (1, 65535)
    """The lowest and highest port that the host gives to connections of its own."""


@dataclass(frozen=True, slots=True)
class HostSockets:
    """An exact count of a host's sockets."""

    time_wait: int
    """In TIME_WAIT, toward either side; FIN-WAIT-2 is not among them."""
    time_wait_client_side: int
    time_wait_backend_side: int
    in_transition: int
    """Those that are being opened or closed, toward either side: neither ESTABLISHED nor in TIME_WAIT."""
    ports_used: int
    """Tuples of addresses and ports that connections to the next role take up: in the range, in any state."""

    @property
    def time_wait_by_hop(self) -> dict[str, int]:
        """Return the sockets in TIME_WAIT toward the clients, and toward the backend."""
        return {"client": self.time_wait_client_side, "backend": self.time_wait_backend_side}


def count_sockets(sockets: Sockets, ports: HostPorts) -> HostSockets:
    """Return the counts of `sockets` (connected ones, in any state) on a host with these ports."""
    front = _is_one_of(sockets.local_port, ports.listens)
    back = ~front & _is_one_of(sockets.remote_port, ports.connects_to)
    ours, waits = front | back, sockets.state == TIME_WAIT
    low, high = ports.port_range
    in_range = (sockets.local_port >= low) & (sockets.local_port <= high)
    toward_client, toward_backend = int((front & waits).sum()), int((back & waits).sum())
    return HostSockets(
        time_wait=toward_client + toward_backend,
        time_wait_client_side=toward_client,
        time_wait_backend_side=toward_backend,
        in_transition=int((ours & ~waits & (sockets.state != ESTABLISHED)).sum()),
        ports_used=int((back & in_range).sum()),
    )


def _is_one_of(column: NDArray[np.uint16], ports: frozenset[int]) -> NDArray[np.bool_]:
    """Return where `column` holds one of `ports`, which are few."""
    found = np.zeros(len(column), np.bool_)
    for port in ports:
        found |= column == port
    return found


def time_wait_since(last: HostSockets, then: Counters, now: Counters) -> int:
    """Return the host's sockets in TIME_WAIT by the gauge's change since the exact count `last`."""
    share = last.time_wait / then.time_wait if then.time_wait else 1.0
    return max(0, round(last.time_wait + (now.time_wait - then.time_wait) * min(1.0, share)))


def ports_used_since(last: HostSockets, then: Counters, now: Counters) -> int:
    """Return the tuples in use toward the next role by the gauge's change since the exact count `last`.

    New sockets are shared out as the kernel counted opens since then: the host's own (active) take up
    a port, those of others (passive) do not. Without opens the change is shared as in the last count.
    """
    active, passive = now.active_opens - then.active_opens, now.passive_opens - then.passive_opens
    if active + passive > 0:
        share = active / (active + passive)
    else:
        share = min(1.0, last.ports_used / then.connected) if then.connected else 1.0
    return max(0, round(last.ports_used + (now.connected - then.connected) * share))
