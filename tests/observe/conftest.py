"""A place to observe: a network namespace of our own where that is allowed, this machine's otherwise."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from bench.observe.sock_diag import CONNECTED, FIN_WAIT2, SockDiag
from tests import needs

T = TypeVar("T")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Leave out what needs Linux's own interfaces."""
    if not Path("/proc/net/sockstat").exists():
        for item in items:
            item.add_marker(needs.on_linux)


@dataclass
class Wire:
    """Connections on 127.0.0.1 in known states, from a listener that accepts by hand."""

    listener: socket.socket
    kept: ExitStack = field(default_factory=ExitStack)

    @property
    def port(self) -> int:
        """Return the port that connections go to."""
        return int(self.listener.getsockname()[1])

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Return both ends of a new connection: the one that connected, the one that accepted."""
        near = self.kept.enter_context(socket.create_connection(self.listener.getsockname()[:2]))
        far = self.kept.enter_context(self.listener.accept()[0])
        return near, far

    def time_wait(self, count: int, *, client_closes: bool = True) -> None:
        """Leave `count` sockets in TIME_WAIT, on the side of the client or of the listener."""
        for _ in range(count):
            first, second = self.connect() if client_closes else reversed(self.connect())
            first.close()
            assert second.recv(1) == b""
            second.close()

    def fin_wait_2(self, count: int) -> None:
        """Leave `count` sockets of clients in FIN-WAIT-2, kept by the kernel alone (as orphans)."""
        for _ in range(count):
            near, _ = self.connect()
            near.shutdown(socket.SHUT_WR)
            while near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != FIN_WAIT2:
                pass  # the acknowledgement is on its way
            near.close()


def _listen(address: str, family: socket.AddressFamily) -> socket.socket:
    """Return a listener on a port that no socket in TIME_WAIT remembers."""
    diag = SockDiag()
    try:
        while True:
            listener = socket.create_server((address, 0), family=family, backlog=128)
            old, port = diag.dump(CONNECTED), listener.getsockname()[1]
            if not ((old.local_port == port) | (old.remote_port == port)).any():
                return listener
            listener.close()
    finally:
        diag.close()


@pytest.fixture(params=["127.0.0.1", "::1"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """Return a wire over IPv4, then one over IPv6."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        listener = _listen(request.param, family)
    except OSError:
        needs.skip(request.param, "sysctl net.ipv6.conf.lo.disable_ipv6=0")
    with listener:
        found = Wire(listener)
        with found.kept:
            yield found


class Here:
    """This machine as a host of a lab."""

    name = "here"

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` right here."""
        return function()

    def port_range(self) -> tuple[int, int]:
        """Return the port range of this machine."""
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(low), int(high)


@pytest.fixture
def here() -> Here:
    """Return this machine as a host of a lab."""
    return Here()
