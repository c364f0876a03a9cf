"""The transport of a socket, over a pair of sockets, on each event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from proxy.send_queue import SendQueue
from proxy.transport import Transport
from proxy.watch import EpollWatcher
from tests.proxy_loops import LOOPS, new_loop, take_turns, turn_until

PATIENCE_S = 60.0
"""Longer than anything here takes on the busiest machine."""


class Recorder(asyncio.Protocol):
    """A protocol that records its calls."""

    def __init__(self) -> None:
        self.received = b""
        self.ends = 0
        self.keeps_open = False
        self.losses: list[Exception | None] = []
        self.full = False

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.ends += 1
        return self.keeps_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.losses.append(exc)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False


class Counting(Transport):
    """Counts how often the loop has it read."""

    calls = 0

    def read_ready(self) -> None:
        self.calls += 1
        super().read_ready()


class Pair:
    """A transport, and the socket at its other end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watch: EpollWatcher | None = None) -> None:
        self.loop = loop
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.there = socket.create_connection(listener.getsockname())
            here, _ = listener.accept()
        here.setblocking(False)
        self.there.settimeout(PATIENCE_S)
        self.protocol = Recorder()
        self.transport = Counting(SendQueue(loop), here.detach(), self.protocol, watch)

    def until(self, happened: Callable[[], object]) -> None:
        """Run turns until something has happened."""
        turn_until(self.loop, happened)

    def take_turns(self) -> None:
        """Run some turns, so that deferred calls are done."""
        take_turns(self.loop)

    def reset(self) -> None:
        """Reset the connection from the other end."""
        self.there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.there.close()

    def take(self, size: int) -> bytes:
        """Read at the other end while the loop runs."""
        self.there.setblocking(False)
        data = bytearray()

        def read() -> bool:
            with contextlib.suppress(BlockingIOError):
                data.extend(self.there.recv(size - len(data)))
            return len(data) == size

        self.until(read)
        self.there.settimeout(PATIENCE_S)
        return bytes(data)


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    with new_loop(request.param) as loop:
        yield loop


@pytest.fixture(params=["loop", "epoll"])
def pair(request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop) -> Iterator[Pair]:
    """The loop watches clients itself, and upstream connections through one descriptor."""
    pair = Pair(loop, EpollWatcher(loop) if request.param == "epoll" else None)
    yield pair
    pair.transport.abort()
    pair.there.close()


def test_bytes_come_in(pair: Pair) -> None:
    pair.there.send(b"hello")
    pair.until(lambda: pair.protocol.received)
    assert pair.protocol.received == b"hello"


def test_some_leave_at_once_and_some_together(pair: Pair) -> None:
    pair.transport.send(b"now")
    assert pair.there.recv(9) == b"now"
    pair.transport.write(b"good")
    pair.transport.write(b"bye")
    assert pair.transport.unsent == b"goodbye"
    pair.take_turns()
    assert pair.there.recv(9) == b"goodbye"
    pair.transport.write(b"first")
    pair.transport.send(b"second")
    pair.take_turns()
    assert pair.there.recv(20) == b"firstsecond", "nothing overtakes what was written"
    assert not pair.transport.unsent


Write = Callable[[Transport, bytes], None]


def unsent_when_read(pair: Pair, write: Write) -> list[bytes]:
    """Write a request after something has come in; return what was unsent whenever something was read."""
    unsent: list[bytes] = []
    pair.protocol.data_received = lambda data: unsent.append(bytes(pair.transport.unsent))  # type: ignore[method-assign]
    pair.there.send(b"early")
    write(pair.transport, b"request")
    pair.take_turns()
    return unsent


@pytest.mark.parametrize("paused", [False, True])
def test_careful_data_waits_for_the_input_that_has_arrived(paused: bool, pair: Pair) -> None:
    """As many loops read in an order of their own, the transport looks itself; unless input must wait."""
    if paused:
        pair.transport.pause_reading()
    assert unsent_when_read(pair, Transport.write_careful) == ([] if paused else [b"request"])
    assert pair.there.recv(9) == b"request"


def test_what_waits_for_the_end_of_the_turn_is_told_from_what_waits_for_the_peer(pair: Pair) -> None:
    pair.transport.write_careful(b"never sent")
    assert pair.transport.is_deferred
    pair.take_turns()
    assert not pair.transport.is_deferred
    pair.transport.send(bytes(8 << 20))
    assert pair.transport.unsent
    assert not pair.transport.is_deferred, "a part of it has left"


def test_a_lost_connection_sends_nothing_of_what_waited(pair: Pair) -> None:
    pair.transport.write(b"request")
    pair.transport.abort()
    pair.transport.write(b"more")
    pair.take_turns()
    assert pair.there.recv(9) == b""
    assert pair.protocol.losses == [None]


def test_a_bug_of_the_protocol_ends_its_connection_alone(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    pair.protocol.data_received = fail  # type: ignore[method-assign]
    pair.there.send(b"x")
    pair.until(lambda: pair.protocol.losses)
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert pair.there.recv(1) == b""


def test_another_function_may_read(pair: Pair) -> None:
    """As a splice does, also if reading is paused in between."""
    seen: list[bytes] = []
    pair.transport.read_with(lambda: seen.append(os.read(pair.transport.descriptor, 99)))
    pair.transport.pause_reading()
    pair.there.send(b"spliced")
    pair.take_turns()
    assert seen == []
    pair.transport.resume_reading()
    pair.until(lambda: seen)
    pair.transport.read_with(None)
    pair.there.send(b"read")
    pair.until(lambda: pair.protocol.received)
    assert (seen, pair.protocol.received) == ([b"spliced"], b"read")


def test_a_writer_that_bypasses_the_transport_is_told_when_it_may_go_on(pair: Pair) -> None:
    size = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            size += os.write(pair.transport.descriptor, bytes(1 << 16))
    pair.transport.mark_blocked()
    assert pair.protocol.full
    pair.take(size)
    pair.until(lambda: not pair.protocol.full)


def test_a_full_socket(pair: Pair) -> None:
    size = 8 << 20
    pair.transport.send(bytes(size))
    assert pair.protocol.full
    pair.transport.send(b"end")
    pair.transport.close()
    assert pair.take(size + 3)[-3:] == b"end", "closed only after what was to be sent"
    pair.until(lambda: pair.protocol.losses)
    assert pair.protocol.losses == [None]


def test_a_full_socket_takes_more_at_last(pair: Pair) -> None:
    size = 8 << 20
    pair.transport.send(bytes(size))
    pair.take(size)
    pair.take_turns()
    assert not pair.protocol.full
    assert not pair.transport.unsent


def test_reading_can_wait(pair: Pair) -> None:
    pair.transport.pause_reading()
    pair.there.send(b"hello")
    pair.take_turns()
    assert pair.protocol.received == b""
    pair.transport.resume_reading()
    pair.until(lambda: pair.protocol.received)
    assert pair.protocol.received == b"hello"


def test_a_paused_transport_has_no_events(pair: Pair) -> None:
    """Otherwise the loop would spin until reading is resumed."""
    pair.transport.pause_reading()
    pair.there.send(b"hello")
    pair.there.shutdown(socket.SHUT_WR)
    pair.take_turns()
    assert pair.transport.calls == 0
    pair.transport.resume_reading()
    pair.until(lambda: pair.protocol.ends)
    assert pair.protocol.received == b"hello"


def test_more_than_one_read_takes(pair: Pair) -> None:
    pair.there.sendall(bytes(100_000))
    pair.there.shutdown(socket.SHUT_WR)
    pair.until(lambda: pair.protocol.ends)
    assert len(pair.protocol.received) == 100_000


@pytest.mark.parametrize("keeps_open", [False, True])
def test_the_other_side_ends(keeps_open: bool, pair: Pair) -> None:
    pair.protocol.keeps_open = keeps_open
    pair.there.shutdown(socket.SHUT_WR)
    pair.until(lambda: pair.protocol.ends)
    pair.take_turns()
    calls = pair.transport.calls
    pair.take_turns()
    assert pair.protocol.ends == 1, "an end is reported once"
    assert pair.transport.calls == calls, "nor does the loop spin on it"
    assert pair.transport.is_closing is not keeps_open
    if keeps_open:
        pair.transport.write(b"last words")
        pair.transport.write_eof()
        pair.until(lambda: pair.protocol.losses)
        assert pair.there.recv(20) == b"last words"
        assert pair.there.recv(1) == b""
    assert pair.protocol.losses == [None]


def test_this_side_ends_first(pair: Pair) -> None:
    pair.protocol.keeps_open = True
    pair.transport.write_eof()
    assert pair.there.recv(1) == b""
    pair.there.send(b"still")
    pair.until(lambda: pair.protocol.received)
    pair.there.close()
    pair.until(lambda: pair.protocol.losses)
    assert pair.protocol.losses == [None]


def test_a_reset_is_reported(pair: Pair) -> None:
    pair.reset()
    pair.until(lambda: pair.protocol.losses)
    assert isinstance(pair.protocol.losses[0], ConnectionResetError)


def test_a_reset_is_reported_once_reading_is_resumed(pair: Pair) -> None:
    pair.transport.pause_reading()
    pair.reset()
    pair.take_turns()
    pair.transport.resume_reading()
    pair.until(lambda: pair.protocol.losses)
    assert isinstance(pair.protocol.losses[0], ConnectionResetError)


def test_a_reset_is_reported_to_a_writer_though_reading_is_paused(pair: Pair) -> None:
    pair.transport.pause_reading()
    pair.transport.send(bytes(8 << 20))
    pair.reset()
    pair.until(lambda: pair.protocol.losses)
    assert isinstance(pair.protocol.losses[0], OSError)


@pytest.mark.parametrize("careful", [False, True])
def test_what_was_never_sent_is_there_when_the_connection_is_lost(careful: bool, pair: Pair) -> None:
    """The protocol may send it on another connection."""
    unsent: list[bytes] = []
    pair.protocol.connection_lost = lambda exc: unsent.append(bytes(pair.transport.unsent))  # type: ignore[method-assign]
    pair.reset()
    (pair.transport.write_careful if careful else pair.transport.write)(b"request")
    assert pair.transport.is_deferred
    pair.until(lambda: unsent)
    assert unsent == [b"request"]
    assert pair.transport.unsent == b""


def test_a_send_on_a_broken_connection_fails_later(pair: Pair) -> None:
    pair.reset()
    pair.transport.send(b"x")
    assert pair.protocol.losses == [], "the sender is still running"
    pair.transport.send(b"x")
    pair.until(lambda: pair.protocol.losses)
    assert isinstance(pair.protocol.losses[0], OSError)
    pair.transport.close()
    pair.transport.abort()
    assert len(pair.protocol.losses) == 1


def test_a_stale_event_has_no_effect(pair: Pair) -> None:
    pair.transport.read_ready()
    pair.transport.flush()
    assert (pair.protocol.received, pair.protocol.losses) == (b"", [])


def test_a_lost_transport_lets_its_descriptor_go(loop: asyncio.AbstractEventLoop) -> None:
    pair = Pair(loop)
    before = len(os.listdir("/proc/self/fd"))
    pair.transport.abort()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert pair.there.recv(1) == b""
    pair.there.close()
