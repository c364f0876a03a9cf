"""Connections that take their time: a backlog that is full lets the handshake wait."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from proxy_process import DATE, TIMEOUT_S, Client, Upstream, running, until


@pytest.fixture
def full() -> Iterator[socket.socket]:
    """A listening socket that takes no further connection until it has accepted one."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        while True:
            filler = fillers.enter_context(socket.socket())
            filler.settimeout(0.1)
            try:
                filler.connect(listener.getsockname())
            except TimeoutError:
                break
        listener.settimeout(TIMEOUT_S)
        yield listener


def test_a_handshake_that_takes_too_long(full: socket.socket) -> None:
    address = f"127.0.0.1:{full.getsockname()[1]}"
    with running(address, "--connect-timeout", "0.2") as proxy, Client(proxy) as client:
        assert client.ask("/").status == 504
        assert proxy.stop()["errors"]["upstream"]["timeout"] == 1


def test_another_upstream_serves_where_one_takes_too_long(full: socket.socket) -> None:
    """Each request asks each upstream once, however the turns of the others fall in between."""
    patient = Upstream()
    addresses = (f"127.0.0.1:{full.getsockname()[1]}", patient.address)
    flags = ("--mode", "short", "--connect-timeout", "0.2", "--upstream", addresses[1])
    with running(addresses[0], *flags) as proxy, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(proxy)) for _ in range(7)]
        for client in clients:
            client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        responses = [client.read() for client in clients]
        assert [response and response.status for response in responses] == [200] * 7
        assert proxy.stop()["errors"]["upstream"]["timeout"] == 4
    patient.close()


def test_a_handshake_that_takes_its_time(full: socket.socket) -> None:
    """The request leaves once the connection is there, after the kernel has asked a second time."""
    address = f"127.0.0.1:{full.getsockname()[1]}"
    with running(address) as proxy, Client(proxy) as client:
        client.sock.sendall(b"GET /patience HTTP/1.1\r\nHost: a\r\n\r\n")
        while proxy.count()["requests"] == 0:
            """Until it waits."""
        while True:
            sock, _ = full.accept()
            sock.settimeout(TIMEOUT_S)
            if _speaks(sock):
                break
            sock.close()
        assert until(sock, b"\r\n\r\n").startswith(b"GET /patience ")
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 2\r\n\r\nok")
        response = client.read()
        assert response is not None
        assert response.content == b"ok"
        sock.close()
        assert proxy.stop()["opened"] == 1


def _speaks(sock: socket.socket) -> bool:
    """Whether this is the proxy; the fillers never say a word."""
    sock.settimeout(0.3)
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
    finally:
        sock.settimeout(TIMEOUT_S)
