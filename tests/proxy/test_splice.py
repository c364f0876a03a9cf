"""Spliced bodies arrive completely or are visibly truncated, and leave no descriptors."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from proxy.splice import MAX_PIPES, PipePool
from tests.proxy_loops import LOOPS
from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import DATE, TIMEOUT_S, Listener, fill, read_exactly, reset, until

SIZE = 12 << 20
OK = b"HTTP/1.1 200 OK\r\n" + DATE
HEAD = OK + b"Content-Length: %d\r\n\r\n" % SIZE
BODY = bytes(range(251)) * (SIZE // 251 + 1)
BODY = BODY[:SIZE]
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture(scope="module", params=LOOPS)
def proxy(request: pytest.FixtureRequest, listener: Listener) -> Iterator[ProxyProcess]:
    with running(listener, "--loop", request.param) as proxy:
        yield proxy


def read_out(sock: socket.socket) -> None:
    """Read until the other side ends the connection, in whatever way."""
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1 << 20):
            pass


@contextlib.contextmanager
def feeding(sock: socket.socket, data: bytes) -> Iterator[None]:
    """Send `data` in a thread."""
    feeder = threading.Thread(target=sock.sendall, args=(data,))
    feeder.start()
    yield
    feeder.join()


def descriptors(proxy: ProxyProcess) -> int:
    return len(os.listdir(f"/proc/{proxy.pid}/fd"))


def read_whole(client: Client) -> bytes:
    response = client.read()
    assert response is not None
    return response.content


def test_a_long_body_and_what_comes_after(proxy: ProxyProcess, listener: Listener) -> None:
    """Two requests in a row: the second answer is not mixed into the first, and the connection is kept."""
    before = proxy.count()["reused"]
    with Client(proxy) as client:
        client.sock.sendall(REQUEST + REQUEST)
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            with feeding(upstream, HEAD + BODY):
                assert read_whole(client) == BODY
            until(upstream, b"\r\n\r\n")
            upstream.sendall(OK + b"Content-Length: 2\r\n\r\nok")
            assert read_whole(client) == b"ok"
        assert proxy.count()["reused"] == before + 1


def test_a_slow_reader_holds_the_upstream_back_and_gets_all(proxy: ProxyProcess, listener: Listener) -> None:
    # More than the kernel's buffers can hold: tcp_rmem may allow 32 MiB.
    body = BODY * 5
    with Client(proxy) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        client.sock.sendall(REQUEST)
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            upstream.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body))
            sent = 0
            upstream.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                while sent < len(body):
                    sent += upstream.send(body[sent : sent + 65536])
            upstream.settimeout(TIMEOUT_S)
            assert sent < len(body), "it was held back"
            received = bytearray()
            with feeding(upstream, body[sent:]):
                while len(received) < len(body) or not received.endswith(body[-1000:]):
                    received += client.sock.recv(1 << 20)
            assert received.partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize("is_reading", [True, False])
def test_a_body_that_is_reset_is_seen_to_be_cut(
    is_reading: bool, proxy: ProxyProcess, listener: Listener
) -> None:
    before = proxy.count()["errors"]["upstream"]["reset"]
    with Client(proxy) as client:
        client.sock.sendall(REQUEST)
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            upstream.sendall(OK + b"Content-Length: 1000000000\r\n\r\n")
            if is_reading:
                upstream.sendall(BODY[:100_000])
                read_exactly(client.sock, 100_000)
            else:
                fill(upstream)
            reset(upstream)
        read_out(client.sock)
        assert proxy.count()["errors"]["upstream"]["reset"] == before + 1


@pytest.mark.parametrize("ending", ["cut", "extra"])
def test_a_length_that_is_not_kept(ending: str, proxy: ProxyProcess, listener: Listener) -> None:
    before = proxy.count()["reused"]
    with Client(proxy) as client:
        client.sock.sendall(REQUEST)
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            if ending == "cut":
                with feeding(upstream, HEAD + BODY[:-1]):
                    read_exactly(client.sock, SIZE - 1)
            else:
                with feeding(upstream, HEAD + BODY + OK):
                    assert read_whole(client) == BODY
                assert upstream.recv(1) == b"", "unsolicited bytes answer no request"
        if ending == "cut":
            read_out(client.sock)
        assert proxy.count()["reused"] == before


def test_aborted_clients_leave_no_descriptors(proxy: ProxyProcess, listener: Listener) -> None:
    before, aborted = descriptors(proxy), proxy.count()["errors"]["client"]["aborted"]
    for _ in range(MAX_PIPES + 2):
        with Client(proxy) as client:
            client.sock.sendall(REQUEST)
            upstream = listener.accept()
            until(upstream, b"\r\n\r\n")
            upstream.sendall(HEAD + BODY[:500_000])
            client.sock.recv(1000)
            reset(client.sock)
        read_out(upstream)
        upstream.close()
    assert proxy.count()["errors"]["client"]["aborted"] == aborted + MAX_PIPES + 2
    assert descriptors(proxy) <= before + 2, "a spare pipe at most"


def test_the_number_of_pipes_is_bounded() -> None:
    pipes = PipePool()
    taken = [pipes.acquire() for _ in range(MAX_PIPES)]
    assert pipes.acquire() is None
    for pipe in taken:
        assert pipe is not None
        pipes.release(pipe, is_empty=False)
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(pipe[0])
    pipe = pipes.acquire()
    assert pipe is not None
    pipes.release(pipe, is_empty=True)
    assert pipes.acquire() == pipe, "an empty one is kept"
    for end in pipe:
        os.close(end)
