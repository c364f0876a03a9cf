"""Requests with a body, and what comes of it where the server does not want it."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic_ns
from typing import Any

import pytest

from bench.load.job import LoadJob
from bench.load.poller import Poller
from bench.load.worker import LoadWorker

BODY = bytes(range(256)) * 65_536
"""16 MiB: more than the sockets of both sides take."""
_LENGTH = re.compile(rb"Content-Length: (\d+)\r\n")
Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """Serve each connection with `serve`, in a thread of its own; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def converse(sock: socket.socket) -> None:
        with sock:
            serve(sock)

    def accept() -> None:
        while True:
            try:
                sock = listener.accept()[0]
            except OSError:
                return
            threads.append(threading.Thread(target=converse, args=(sock,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join()


def read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of a request and what came after it; both are empty at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65_536)
        if not part:
            return b"", b""
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n", rest


def comparing(sock: socket.socket) -> None:
    """Answer 200 to each request whose content is the expected one, else 400."""
    while (found := read_head(sock))[0]:
        head, body = found
        length = _LENGTH.search(head)
        assert length is not None
        while len(body) < int(length[1]) and (part := sock.recv(1 << 20)):
            body += part
        status = b"200 OK" if body == BODY else b"400 Bad Request"
        sock.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")


def refusing(until: threading.Event) -> Serve:
    """Return what answers 413, reads no content, and closes late, so that no reset overtakes the answer."""

    def serve(sock: socket.socket) -> None:
        if read_head(sock)[0]:
            sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            until.wait()

    return serve


def run(port: int, **changes: Any) -> dict[str, Any]:
    job = LoadJob(
        "127.0.0.1",
        port,
        "a.example",
        method="POST",
        body=BODY,
        connections=2,
        warmup_s=0.0,
        duration_s=30.0,
        requests=6,
        echo=False,
        pattern=False,
        **changes,
    )
    return LoadWorker(job, Poller(), lambda _: None).run(monotonic_ns())


@pytest.mark.parametrize("client_mode", ["keepalive", "short"])
def test_a_long_body_arrives_whole_with_each_request(client_mode: str) -> None:
    with serving(comparing) as port:
        done = run(port, client_mode=client_mode)
    assert done["requests"] >= 6
    assert sum(done["errors_total"].values()) == 0
    assert done["opened_total"] == (2 if client_mode == "keepalive" else done["requests_total"])


@pytest.mark.parametrize(("statuses", "right"), [(((200, 299),), False), (((413, 413),), True)])
def test_a_response_before_the_end_of_the_request_counts_by_its_status(
    statuses: tuple[tuple[int, int], ...], right: bool
) -> None:
    until = threading.Event()
    with serving(refusing(until)) as port:
        try:
            done = run(port, statuses=statuses)
        finally:
            until.set()
    counted = done["requests_total"] if right else done["errors_total"]["status"]
    assert counted >= 6
    assert done["requests_total"] + sum(done["errors_total"].values()) == counted
    assert done["opened_total"] == counted
