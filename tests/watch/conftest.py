"""Connections in known numbers, ended in known ways, for the watches to count."""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from bench.watch import detached_mount
from bench.watch.tracefs import Tracefs, TraceInstance, TracingError
from tests import needs


@pytest.fixture(scope="session")
def may_trace() -> None:
    """Skip what needs the kernel's tracing where this process may not use it."""
    try:
        tracefs = Tracefs()
    except TracingError:
        needs.skip("tracefs")
    try:
        TraceInstance(tracefs, 4096).close()
    except TracingError:
        needs.skip("tracefs")
    finally:
        tracefs.close()


@pytest.fixture(scope="session")
def may_mount() -> None:
    """Skip what mounts a file system that nobody sees, where this process may not."""
    try:
        os.close(detached_mount.open_detached("tracefs"))
    except OSError:
        needs.skip("mounts")


@dataclass
class Traffic:
    """A listener, and connections to it that end as they are asked to."""

    listener: socket.socket
    kept: ExitStack = field(default_factory=ExitStack)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def address(self) -> str:
        return str(self.listener.getsockname()[0])

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Return both ends of a connection: the client's, the server's."""
        near = self.kept.enter_context(socket.create_connection(self.listener.getsockname()[:2]))
        far = self.kept.enter_context(self.listener.accept()[0])
        return near, far

    def close(self, count: int, *, client: bool) -> None:
        """Open `count` connections; one side of each closes first."""
        for _ in range(count):
            first, second = self._ends(client)
            first.close()
            assert second.recv(1) == b""
            second.close()

    def reset(self, count: int, *, client: bool) -> None:
        """Open `count` connections; one side of each sends an RST (SO_LINGER of 0 seconds)."""
        for _ in range(count):
            first, second = self._ends(client)
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            first.close()
            _await_reset(second)

    def leave_unread(self, count: int, *, client: bool) -> None:
        """Open `count` connections; one side of each closes with data unread, which is an RST."""
        for _ in range(count):
            first, second = self._ends(client)
            second.sendall(b"unread")
            first.recv(1, socket.MSG_PEEK)
            first.close()
            _await_reset(second)

    def lose(self, count: int, request: bytes = b"late") -> None:
        """Open `count` connections; the server closes each, and what the client sends then meets an RST."""
        for _ in range(count):
            near, far = self.connect()
            far.close()
            near.sendall(request)
            await_end(near)
            near.close()

    def refuse(self, count: int) -> int:
        """Let `count` connections fail where nobody listens; return the port."""
        with socket.socket(self.listener.family) as bound:
            bound.bind((self.address, 0))
            for _ in range(count):
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(bound.getsockname()[:2])
            return int(bound.getsockname()[1])

    def _ends(self, client: bool) -> tuple[socket.socket, socket.socket]:
        near, far = self.connect()
        return (near, far) if client else (far, near)


def _await_reset(second: socket.socket) -> None:
    """Close the other end when the RST has come: before, its FIN would be the first."""
    with pytest.raises(ConnectionResetError):
        second.recv(1)
    second.close()


def await_end(near: socket.socket) -> None:
    """Wait until a connection is over in both directions: by an RST behind the FIN of its peer."""
    poll = select.poll()
    poll.register(near, 0)
    assert poll.poll(60_000), "no RST has come"


@pytest.fixture(params=["127.0.0.1", "::1"])
def traffic(request: pytest.FixtureRequest) -> Iterator[Traffic]:
    """Return a listener over IPv4, then one over IPv6."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        listener = socket.create_server((request.param, 0), family=family, backlog=128)
    except OSError:
        needs.skip(request.param, "sysctl net.ipv6.conf.lo.disable_ipv6=0")
    with listener:
        found = Traffic(listener)
        with found.kept:
            yield found
