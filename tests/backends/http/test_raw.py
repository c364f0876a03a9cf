"""The raw backend, seen through the sockets of its clients."""

import socket
import struct

import pytest

from backends.http.behaviours import pattern
from tests.backend_process import read_answer, read_until_closed, running_backend

GET = b"GET /g HTTP/1.1\r\nHost: localhost\r\nX-Bench-Id: 7f-1\r\n\r\n"
CLOSE = b"GET /g HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
PLAIN = ANSWER + b"\r\n !"


def test_answers_and_echoes_the_id() -> None:
    with running_backend() as backend, backend.connect() as client:
        client.sendall(GET)
        assert client.recv(65536) == ANSWER + b"X-Bench-Id: 7f-1\r\n\r\n !"
        assert backend.count()["requests"] == 1


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + CLOSE, ANSWER + b"\r\n" + ANSWER),
        (b"GET / HTTP/1.0\r\n\r\n", ANSWER + b"Connection: close\r\n\r\n !"),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            ANSWER + b"Connection: keep-alive\r\n\r\n !" + ANSWER,
        ),
        (CLOSE, ANSWER + b"Connection: close\r\n\r\n !"),
        (GET + CLOSE, ANSWER + b"X-Bench-Id: 7f-1\r\n\r\n !" + ANSWER),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + CLOSE, PLAIN + ANSWER),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            + CLOSE,
            PLAIN + ANSWER,
        ),
    ],
    ids=["head", "http10", "http10-keep-alive", "close", "pipelined", "length", "chunked"],
)
def test_answers_in_order_and_then_closes(request_bytes: bytes, answer: bytes) -> None:
    with running_backend() as backend, backend.connect() as client:
        client.sendall(request_bytes)
        answered = read_until_closed(client)
        assert answered.startswith(answer)
        assert answered.endswith(b"Connection: close\r\n\r\n !")


def test_says_continue_before_the_body() -> None:
    with running_backend() as backend, backend.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello")
        assert client.recv(65536) == PLAIN


def test_refuses_and_closes() -> None:
    with running_backend() as backend, backend.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n")
        head = b"HTTP/1.1 400 invalid Content-Length\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        assert read_until_closed(client) == head
        assert backend.count()["errors"] == {"protocol": 1, "reset": 0}


def test_refuses_in_a_body_after_answering_what_came_before() -> None:
    with running_backend() as backend, backend.connect() as client:
        bad_chunk = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        client.sendall(GET + bad_chunk + GET)
        answered = read_until_closed(client)
        assert answered.startswith(ANSWER)
        assert answered.count(b"HTTP/1.1 ") == 2
        assert b"HTTP/1.1 400 malformed chunk size line\r\n" in answered


@pytest.mark.parametrize("size", [0, 1, 95, 96, 16 * 1024, 16 * 1024 + 1, 1_045_000, 3_000_001])
def test_bodies_are_prefixes_of_the_pattern(size: int) -> None:
    with running_backend("--response-size", str(size)) as backend, backend.connect() as client:
        for _ in range(2):
            client.sendall(GET)
            head, body = read_answer(client)
            assert b"Content-Length: %d\r\n" % size in head
            assert body == pattern(size)


def test_body_sizes_of_a_range_differ() -> None:
    with running_backend("--response-size", "1KiB-64KiB") as backend, backend.connect() as client:
        sizes = set()
        for _ in range(50):
            client.sendall(GET)
            _, body = read_answer(client)
            assert body == pattern(len(body))
            sizes.add(len(body))
        assert len(sizes) > 10
        assert min(sizes) >= 1024
        assert max(sizes) <= 65536


def test_a_slow_reader_holds_up_its_own_answers_only() -> None:
    with running_backend("--response-size", "10MiB") as backend, backend.connect() as slow:
        slow.sendall(GET * 100)
        with backend.connect() as other:
            other.sendall(GET)
            assert len(read_answer(other)[1]) == 10 << 20
        # Of the slow one's gigabyte no more than a few answers can be under way.
        assert backend.count()["requests"] < 5


def test_delayed_answers_keep_their_order() -> None:
    with running_backend("--delay", "uniform:0ms-5ms") as backend, backend.connect() as client:
        ids = [b"%d" % number for number in range(20)]
        for each in ids:
            client.sendall(GET.replace(b"7f-1", each))
        client.sendall(CLOSE)
        heads = read_until_closed(client).split(b"HTTP/1.1 200 OK")[1:-1]
        assert [head.partition(b"X-Bench-Id: ")[2].partition(b"\r\n")[0] for head in heads] == ids


# What becomes of a connection.


def closed_by_backend(flags: list[str], *requests: bytes) -> tuple[bytes, dict[str, object]]:
    """Sends requests and never closes; returns what came until the backend closed, and its counters."""
    with running_backend(*flags) as backend, backend.connect() as client:
        for each in requests:
            client.sendall(each)
        answered = read_until_closed(client)
        client.close()
        return answered, backend.stop()


def test_requests_per_connection() -> None:
    answered, done = closed_by_backend(["--requests-per-connection", "3"], GET, GET, GET)
    assert answered.count(b"HTTP/1.1 200 OK") == 3
    assert answered.count(b"Connection: close") == 1
    assert (done["requests"], done["closed_first"]) == (3, 1)


def test_idle_connections_are_closed() -> None:
    answered, done = closed_by_backend(["--idle-timeout", "0.5"], GET)
    assert answered == ANSWER + b"X-Bench-Id: 7f-1\r\n\r\n !"
    assert done["closed_first"] == 1


def test_a_fin_is_answered_at_once() -> None:
    with running_backend() as backend, backend.connect() as client:
        client.shutdown(socket.SHUT_WR)
        assert read_until_closed(client) == b""
        assert backend.count()["closed_first"] == 0


def test_a_reset_is_counted() -> None:
    with running_backend() as backend:
        client = backend.connect()
        client.sendall(GET)
        read_answer(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with backend.connect() as other:
            other.sendall(GET)
            read_answer(other)
        done = backend.stop()
        assert done["errors"] == {"protocol": 0, "reset": 1}
        assert (done["accepted"], done["requests"]) == (2, 2)


# Failures on purpose.


def test_every_second_answer_is_reset() -> None:
    with running_backend("--fail", "reset:2") as backend, backend.connect() as client:
        client.sendall(GET)
        read_answer(client)
        client.sendall(GET)
        with pytest.raises(ConnectionResetError):
            read_until_closed(client)
        done = backend.count()
        assert (done["requests"], done["failed"]) == (1, 1)


def test_an_answer_is_cut_in_its_body() -> None:
    answered, done = closed_by_backend(["--fail", "cut:1", "--response-size", "100"], GET)
    head, _, body = answered.partition(b"\r\n\r\n")
    assert b"Content-Length: 100\r\n" in head
    assert body == pattern(50)
    assert (done["requests"], done["failed"]) == (0, 1)


def test_garbage_is_no_response() -> None:
    answered, done = closed_by_backend(["--fail", "garbage:1"], GET)
    assert answered
    assert not answered.startswith(b"HTTP/")
    assert (done["requests"], done["failed"]) == (0, 1)


# Draining.


def test_draining_finishes_the_exchange_under_way() -> None:
    with running_backend() as backend, backend.connect() as busy, backend.connect() as idle:
        idle.sendall(GET)
        read_answer(idle)
        busy.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert busy.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        backend.command("stop")
        assert read_until_closed(idle) == b""
        busy.sendall(b"hello")
        assert read_until_closed(busy) == ANSWER + b"Connection: close\r\n\r\n !"
        done = backend.event()
        assert (done["event"], done["requests"]) == ("done", 2)


def test_listens_on_several_addresses() -> None:
    with running_backend(listen=("127.0.0.1:0", "127.0.0.2:0")) as backend:
        assert [each.rpartition(":")[0] for each in backend.ready["listen"]] == ["127.0.0.1", "127.0.0.2"]
        for each in backend.ready["listen"]:
            host, _, port = each.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=60) as client:
                client.sendall(GET)
                assert read_answer(client)[1] == b" !"
