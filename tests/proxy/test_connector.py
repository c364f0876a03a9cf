"""Whom the proxy connects to, in turn, and what becomes of connections that fail or take their time."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy_process import Client, running
from tests.proxy_upstream import DATE, TIMEOUT_S, Upstream, until


class Full:
    """A listening socket that takes no further connection until it has accepted one."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.sock = stack.enter_context(socket.socket())
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(0)
        self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"
        self._fillers = set[int]()
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.5)  # the handshake needs no process of ours: it is there at once, or not
            try:
                filler.connect(self.sock.getsockname())
            except TimeoutError:
                filler.close()
                break
            self._fillers.add(filler.getsockname()[1])
        self.sock.settimeout(TIMEOUT_S)

    def accept(self) -> socket.socket:
        """The next connection that is none of those that fill it."""
        while True:
            sock, (_, port) = self.sock.accept()
            if port not in self._fillers:
                sock.settimeout(TIMEOUT_S)
                return sock
            sock.close()


@pytest.fixture
def full() -> Iterator[Full]:
    with contextlib.ExitStack() as stack:
        yield Full(stack)


def test_a_handshake_that_takes_too_long(full: Full) -> None:
    with running(full.address, "--connect-timeout", "0.2") as proxy, Client(proxy) as client:
        assert client.request("/").status == 504
        assert proxy.stop()["errors"]["upstream"]["timeout"] == 1


def test_another_upstream_serves_where_one_takes_too_long(full: Full) -> None:
    """Each request asks each upstream once, however the turns of the others fall in between."""
    patient = Upstream()
    flags = ("--mode", "short", "--connect-timeout", "0.2", "--upstream", patient.address)
    with running(full.address, *flags) as proxy, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(proxy)) for _ in range(7)]
        for client in clients:
            client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        responses = [client.read() for client in clients]
        assert [response and response.status for response in responses] == [200] * 7
        assert proxy.stop()["errors"]["upstream"]["timeout"] == 4
    patient.close()


def test_a_handshake_that_takes_its_time(full: Full) -> None:
    """The request leaves once the connection is there, after the kernel has asked a second time."""
    with running(full.address) as proxy, Client(proxy) as client:
        client.sock.sendall(b"GET /patience HTTP/1.1\r\nHost: a\r\n\r\n")
        while proxy.count()["requests"] == 0:
            """Until it waits."""
        sock = full.accept()
        assert until(sock, b"\r\n\r\n").startswith(b"GET /patience ")
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 2\r\n\r\nok")
        response = client.read()
        assert response is not None
        assert response.content == b"ok"
        sock.close()
        assert proxy.stop()["opened"] == 1


def test_upstreams_are_used_in_turn() -> None:
    first, second = Upstream(), Upstream()
    with running(first, "--upstream", second.address, "--mode", "short") as proxy, Client(proxy) as client:
        for _ in range(6):
            client.request("/")
    assert (first.connections, second.connections) == (3, 3)
    first.close()
    second.close()


@pytest.mark.parametrize(("max_fails", "refused", "ejected"), [(0, 2, 0), (1, 1, 1), (2, 2, 1)])
def test_another_upstream_serves_if_one_refuses(max_fails: int, refused: int, ejected: int) -> None:
    """Nothing has been sent yet: whatever the method, the next one may be tried."""
    absent, present = Upstream(), Upstream()
    absent.close()
    flags = ("--upstream", present.address, "--mode", "short", "--max-fails", str(max_fails))
    with running(absent, *flags) as proxy, Client(proxy) as client:
        for method in ("GET", "POST", "GET", "PATCH"):
            assert client.request("/", method).status == 200
        done = proxy.stop()
    # Half of the turns fall to the one that refuses, until it is ejected.
    assert (done["errors"]["upstream"]["refused"], done["opened"], done["ejected"]) == (refused, 4, ejected)
    present.close()


def test_an_ejected_upstream_is_tried_again_after_the_timeout() -> None:
    present = Upstream()
    flags = ("--upstream", present.address, "--mode", "short", "--fail-timeout", "0.1")
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{late.getsockname()[1]}"
        with running(address, *flags) as proxy, Client(proxy) as client:
            assert client.request("/").status == 200
            assert proxy.count()["ejected"] == 1
            late.listen()
            while True:
                client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                ready, _, _ = select.select([late, client.sock], [], [], TIMEOUT_S)
                if late in ready:
                    break
                assert client.read() is not None
    present.close()


@pytest.mark.parametrize(
    ("family", "mode"), [(socket.AF_UNIX, "short"), (socket.AF_UNIX, "keepalive"), (socket.AF_INET6, "short")]
)
def test_other_families(family: socket.AddressFamily, mode: str, tmp_path: Path) -> None:
    """A Unix socket has no name that a Host field could have: an HTTP/1.0 client's is "localhost"."""
    path = str(tmp_path / "upstream")
    with socket.create_server(path if family == socket.AF_UNIX else ("::1", 0), family=family) as listener:
        listener.settimeout(TIMEOUT_S)
        port = 0 if family == socket.AF_UNIX else listener.getsockname()[1]
        address, host = (f"[::1]:{port}",) * 2 if port else (f"unix:{path}", "localhost")
        with running(address, "--mode", mode) as proxy, Client(proxy) as client:
            client.sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            sock, _ = listener.accept()
            with sock:
                assert f"\r\nHost: {host}\r\n".encode() in until(sock, b"\r\n\r\n")
                sock.sendall(b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 2\r\n\r\nok")
                response = client.read()
            assert response is not None
            assert response.content == b"ok"
            assert proxy.stop()["opened"] == 1


def test_a_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    with running(f"unix:{tmp_path}/none") as proxy, Client(proxy) as client:
        assert client.request("/").status == 502
        assert proxy.stop()["errors"]["upstream"]["refused"] == 1


def test_every_upstream_is_tried_at_most_once() -> None:
    absent = Upstream()
    absent.close()
    others = [flag for _ in range(2) for flag in ("--upstream", absent.address)]
    with running(absent, *others) as proxy, Client(proxy) as client:
        assert client.request("/").status == 502
        assert proxy.stop()["errors"]["upstream"]["refused"] == 3
