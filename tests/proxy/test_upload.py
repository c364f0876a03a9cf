"""Request bodies in any pieces: what is collected or streamed, how slow they may be, how many at once."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import pytest

from proxy.settings import Limits
from proxy.upload import UploadGate
from tests.messages.corpus import cuts
from tests.proxy_parts import Worker

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED_POST = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"3;x\r\nhel\r\n02\r\nlo\r\n0\r\nX: 1\r\n\r\n"
AS_FORWARDED = b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


def post(length: int) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n" % length


def played(worker: Worker, head: bytes, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Return what is forwarded of the body, and what comes after it, if the body comes in these pieces."""
    rest = b""
    worker.begin(head + pieces[0])
    for piece in pieces[1:]:
        if worker.exchange.request_done:
            rest += piece
        else:
            worker.exchange.receive_body(piece)
    assert worker.exchange.request_done
    assert worker.waits
    return worker.connect().sent.partition(b"\r\n\r\n")[2], worker.pushed_back + rest


def test_a_short_body_goes_as_it_comes() -> None:
    for pieces in cuts(b"helloNEXT"):
        assert played(Worker(), post(5), pieces) == (b"hello", b"NEXT")


def test_a_chunked_body_goes_as_it_comes_but_for_what_belongs_to_one_hop() -> None:
    for pieces in cuts(CHUNKS + b"NEXT"):
        assert played(Worker(), CHUNKED_POST, pieces) == (AS_FORWARDED, b"NEXT")


def test_a_chunked_body_is_stored_if_its_length_must_come_first() -> None:
    for pieces in cuts(CHUNKS + b"NEXT"):
        worker = Worker(to_http10=True)
        assert played(worker, CHUNKED_POST, pieces) == (b"hello", b"NEXT")


def test_the_length_of_a_stored_body_is_told() -> None:
    worker = Worker(to_http10=True)
    worker.begin(CHUNKED_POST + CHUNKS)
    sent = worker.connect().sent
    assert b"\r\nContent-Length: 5\r\n" in sent
    assert b"Transfer-Encoding" not in sent


COLLECTED = 16 * 1024


@pytest.mark.parametrize("size", [1, COLLECTED])
def test_what_is_short_or_incomplete_holds_no_connection(size: int) -> None:
    worker = Worker()
    worker.begin(post(COLLECTED + 1) + b"x" * size)
    assert not worker.waits


@pytest.mark.parametrize("http10", [False, True])
def test_a_long_body_is_streamed(http10: bool) -> None:
    worker = Worker(to_http10=http10)
    worker.begin(post(COLLECTED + 7) + b"x" * COLLECTED)
    worker.exchange.receive_body(b"y")
    assert worker.waits
    connection = worker.connect()
    assert connection.sent.endswith(b"x" * COLLECTED + b"y")
    worker.exchange.receive_body(b"z" * 5)
    assert connection.sent.endswith(b"yzzzzz")
    assert not worker.exchange.request_done
    worker.exchange.receive_body(b"!NEXT")
    assert (connection.sent[-6:], worker.pushed_back) == (b"zzzzz!", b"NEXT")
    assert worker.exchange.request_done


def test_a_long_chunked_body_for_an_old_upstream_is_not_streamed() -> None:
    worker = Worker(to_http10=True)
    worker.begin(CHUNKED_POST + b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    assert not worker.waits


def test_who_waits_to_be_told_to_go_on_is_sent_at_once() -> None:
    worker = Worker()
    worker.begin(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert worker.waits
    assert b"\r\nExpect: 100-continue\r\n" in worker.connect().sent
    old = Worker(to_http10=True)
    old.begin(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert old.answer == b"HTTP/1.1 100 Continue\r\n\r\n", "an HTTP/1.0 upstream cannot"


def test_no_more_is_read_than_is_forwarded() -> None:
    worker = Worker()
    worker.begin(post(100_000) + b"x" * (COLLECTED + 1))
    assert worker.client.method_calls[-1][0] == "pause_reading"
    worker.connect()
    assert worker.client.method_calls[-1][0] == "resume_reading"


# Limits.


@pytest.mark.parametrize("http10", [False, True])
@pytest.mark.parametrize("data", [b"b\r\n", b"5\r\nhello\r\n6\r\nworlds\r\n"])
def test_a_chunked_body_may_be_too_long(data: bytes, http10: bool) -> None:
    worker = Worker(Limits(body_bytes=10), to_http10=http10)
    worker.begin(CHUNKED_POST + data)
    assert worker.errors == [413]
    assert worker.answer.startswith(b"HTTP/1.1 413 ")
    assert not worker.waits


@pytest.mark.parametrize("data", [b"b\r\n", b"5\r\nhello\r\n6\r\nworlds\r\n"])
def test_a_body_may_be_too_long_to_be_stored(data: bytes) -> None:
    worker = Worker(Limits(spool_bytes=10), to_http10=True)
    worker.begin(CHUNKED_POST + data)
    assert worker.errors == [411]
    assert not worker.waits


def test_a_malformed_body_ends_its_exchange_wherever_it_is() -> None:
    worker = Worker()
    worker.begin(CHUNKED_POST + b"5000\r\n" + b"x" * 0x5000)
    connection = worker.connect()
    worker.exchange.receive_body(b"no end of a chunk")
    assert worker.errors == [400]
    assert worker.answer.startswith(b"HTTP/1.1 400 ")
    connection.abandon.assert_called_once()


# How slow a body may be: 60 s without a byte, and 100 bytes a second beyond one such pause.


@pytest.mark.parametrize("head", [post(100_000), CHUNKED_POST], ids=["counted", "chunked"])
@pytest.mark.parametrize(
    ("rate", "received", "now", "deadline"),
    [
        (100, 0, 0.0, 60.0),
        (100, 1, 50.0, 60.01),
        (100, 5000, 50.0, 110.0),
        (100, 5000, 40.0, 100.0),
        (100, 5000, 51.0, 110.0),
        (0, 1, 1000.0, 1060.0),
    ],
    ids=["nothing yet", "a crumb", "at the rate", "above the rate", "below the rate", "any rate"],
)
def test_a_body_must_come_at_the_lowest_rate(
    head: bytes, rate: int, received: int, now: float, deadline: float
) -> None:
    worker = Worker(Limits(min_body_rate=rate))
    worker.begin(head)
    worker.context.body_until = 60.0 + now
    data = b"1869f\r\n" + b"x" * 5000 if head == CHUNKED_POST else b"x" * 5000
    worker.exchange.receive_body(data[:received])
    assert worker.client.deadline == deadline


def test_the_rate_counts_what_is_streamed_too() -> None:
    worker = Worker(Limits(min_body_rate=100))
    worker.begin(post(100_000) + b"x" * 20_000)
    worker.context.body_until = 1000.0
    worker.connect()
    assert worker.client.deadline == 1000.0, "it is measured from when the proxy lets it go on"
    worker.context.body_until = 2000.0
    worker.exchange.receive_body(b"x" * 1000)
    assert worker.client.deadline == 1010.0


def test_who_was_held_back_is_measured_anew() -> None:
    worker = Worker(Limits(min_body_rate=100))
    worker.begin(post(100_000) + b"x" * 20_000)
    worker.connect()
    worker.exchange.pause_request_body()
    assert worker.client.deadline == worker.context.response_until
    worker.context.body_until = 1000.0
    worker.exchange.resume_request_body()
    assert worker.client.deadline == 1000.0
    worker.context.body_until = 2000.0
    worker.exchange.receive_body(b"x")
    assert worker.client.deadline == 1000.01, "what came before counts no more"


def test_a_complete_body_is_late_no_more() -> None:
    worker = Worker()
    worker.begin(post(3) + b"a")
    worker.exchange.receive_body(b"bc")
    assert worker.client.deadline == worker.context.response_until


# How many may stream at once.


def queued(worker: Worker) -> Worker:
    """Have one upload too many begin, with the gate of `worker`."""
    other = Worker()
    other.context.uploads = worker.context.uploads
    other.begin(post(100_000) + b"x" * 20_000)
    return other


def test_an_upload_too_many_waits_until_another_one_is_complete() -> None:
    first = Worker(uploads=1)
    first.begin(post(20_001) + b"x" * 20_000)
    second = queued(first)
    assert (first.waits, second.waits) == (True, False)
    assert second.client.deadline == second.context.queue_until
    assert second.client.method_calls[-1][0] == "pause_reading"
    first.connect()
    first.exchange.receive_body(b"!")
    assert second.waits


def test_an_upload_that_waits_too_long_is_refused() -> None:
    first = Worker(uploads=1)
    first.begin(post(100_000) + b"x" * 20_000)
    second = queued(first)
    second.exchange.timed_out(client_stalled=False)
    assert second.answer.startswith(b"HTTP/1.1 503 ")
    assert second.context.counters.upstream["pool"] == 1
    third = queued(first)
    first.exchange.abandon()
    assert not second.waits
    assert third.waits


class Upload:
    """An upload that notes when it starts; it may end at once."""

    def __init__(self, name: str, log: list[str], leaves: UploadGate | None = None) -> None:
        self._name = name
        self._log = log
        self._leaves = leaves

    def start(self) -> None:
        self._log.append(self._name)
        if self._leaves is not None:
            self._leaves.leave(self)  # type: ignore[arg-type]


AT_ONCE = Mock(call_soon=lambda call, *args: call(*args))
"""A loop that does not wait for its next turn."""


def test_thousands_that_fail_as_they_start_do_not_recurse() -> None:
    calls: list[tuple[Callable[..., None], Upload]] = []
    log: list[str] = []
    gate = UploadGate(Mock(call_soon=lambda *call: calls.append(call)), 1)
    first = Mock()
    gate.enter(first)
    for number in range(3000):
        gate.enter(Upload(str(number), log, leaves=gate))  # type: ignore[arg-type]
    gate.leave(first)
    while calls:
        call, upload = calls.pop()
        call(upload)
    assert log == [str(number) for number in range(3000)]


def test_the_others_follow_in_their_order() -> None:
    log: list[str] = []
    gate = UploadGate(AT_ONCE, 2)
    a, b, c, d, e = (Mock(wraps=Upload(name, log)) for name in "abcde")
    assert [gate.enter(each) for each in (a, b, c, d, e)] == [True, True, False, False, False]
    gate.leave(d)
    gate.leave(d)
    assert log == [], "who only waits takes nobody's place"
    gate.leave(b)
    gate.leave(b)
    assert log == ["c"], "one place is free once"
    gate.leave(a)
    assert log == ["c", "e"]
    gate.leave(c)
    assert gate.enter(d)
    assert not gate.enter(a)


def test_one_that_ends_as_it_starts_lets_the_next_one_in() -> None:
    log: list[str] = []
    gate = UploadGate(AT_ONCE, 1)
    first = Mock()
    gate.enter(first)
    for name in ("x", "y", "z"):
        gate.enter(Upload(name, log, leaves=gate))  # type: ignore[arg-type]
    gate.leave(first)
    assert log == ["x", "y", "z"]
    assert gate.enter(first)
