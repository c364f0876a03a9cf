"""The transport of a socket, over a pair of sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from unittest.mock import Mock

import pytest

from proxy.poller import MAX_EVENTS, EventHandler, Poller
from proxy.transport import Transport

PATIENCE_S = 60.0
"""Longer than anything here takes on the busiest machine."""


class Recorder:
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


class Pair:
    """A transport, and the socket at its other end."""

    def __init__(self) -> None:
        self.poller = Poller()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.there = socket.create_connection(listener.getsockname())
            here, _ = listener.accept()
        here.setblocking(False)
        self.there.settimeout(PATIENCE_S)
        self.protocol = Recorder()
        self.transport = Transport(self.poller, here.detach(), self.protocol)

    def until(self, happened: Callable[[], object]) -> None:
        """Run iterations until something has happened."""

        def check() -> None:
            if happened():
                self.poller.stop()
            else:
                self.poller.next_iteration.append(check)

        self.poller.next_iteration.append(check)
        self.poller.run()

    def iterate(self) -> None:
        """Run two iterations, so that deferred calls are done."""
        results = iter((False, True))
        self.until(lambda: next(results))

    def take(self, size: int) -> bytes:
        """Read at the other end while the loop runs."""
        self.there.setblocking(False)
        data = b""

        def read() -> bool:
            nonlocal data
            with contextlib.suppress(BlockingIOError):
                data += self.there.recv(size - len(data))
            return len(data) == size

        self.until(read)
        self.there.settimeout(PATIENCE_S)
        return data


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.transport.abort()
    pair.there.close()
    pair.poller.close()


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
    pair.iterate()
    assert pair.there.recv(9) == b"goodbye"
    pair.transport.write(b"first")
    pair.transport.send(b"second")
    pair.iterate()
    assert pair.there.recv(20) == b"firstsecond", "nothing overtakes what was written"
    assert not pair.transport.unsent


def unsent_when_read(pair: Pair) -> list[bytes]:
    """Hold a request while something has come in; return what was unsent whenever something was read."""
    unsent: list[bytes] = []
    pair.protocol.data_received = lambda data: unsent.append(bytes(pair.transport.unsent))  # type: ignore[method-assign]
    pair.there.send(b"early")
    pair.transport.defer(b"request")
    pair.iterate()
    return unsent


def test_input_is_read_before_deferred_data_is_sent(pair: Pair) -> None:
    assert unsent_when_read(pair) == [b"request"]
    assert pair.there.recv(9) == b"request"


def test_deferred_data_waits_for_its_own_input_however_many_events_there_are(pair: Pair) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_EVENTS):
            here, there = (stack.enter_context(each) for each in socket.socketpair())
            pair.poller.register(here.fileno(), Mock(EventHandler))
            there.send(b"x")
        assert unsent_when_read(pair) == [b"request"]
        assert pair.there.recv(9) == b"request"


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
    pair.iterate()
    assert not pair.protocol.full
    assert not pair.transport.unsent


def test_reading_can_wait(pair: Pair) -> None:
    pair.transport.pause_reading()
    pair.there.send(b"hello")
    pair.iterate()
    assert pair.protocol.received == b""
    pair.transport.resume_reading()
    pair.until(lambda: pair.protocol.received)
    assert pair.protocol.received == b"hello"


class Counting:
    """Counts the events of a transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.calls = 0

    def read(self) -> None:
        self.calls += 1
        self.transport.read()

    def ready(self, events: int) -> None:
        self.calls += 1
        self.transport.ready(events)


def test_events_are_reported_once_while_reading_is_paused(pair: Pair) -> None:
    """Otherwise the loop would spin until reading is resumed."""
    counting = Counting(pair.transport)
    pair.poller.set_handler(pair.transport.descriptor, counting)
    pair.transport.pause_reading()
    pair.there.send(b"hello")
    pair.there.shutdown(socket.SHUT_WR)
    pair.until(lambda: counting.calls)
    for _ in range(20):
        pair.iterate()
    assert counting.calls <= 2
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
    pair.iterate()
    assert pair.protocol.ends == 1, "an end is reported once"
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


@pytest.mark.parametrize("is_reading", [True, False])
def test_a_reset_is_reported_even_if_reading_is_paused(is_reading: bool, pair: Pair) -> None:
    if not is_reading:
        pair.transport.pause_reading()
    pair.there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.there.close()
    pair.until(lambda: pair.protocol.losses)
    assert isinstance(pair.protocol.losses[0], ConnectionResetError)


def test_a_send_on_a_broken_connection_fails_later(pair: Pair) -> None:
    pair.there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.there.close()
    pair.transport.send(b"x")
    assert pair.protocol.losses == [], "the sender is still running"
    pair.transport.send(b"x")
    pair.until(lambda: pair.protocol.losses)
    assert isinstance(pair.protocol.losses[0], OSError)
    pair.transport.close()
    pair.transport.abort()
    assert len(pair.protocol.losses) == 1


def test_a_stale_event_has_no_effect(pair: Pair) -> None:
    pair.transport.read()
    pair.transport.ready(0x1F)
    assert (pair.protocol.received, pair.protocol.losses) == (b"", [])


def test_a_lost_transport_lets_its_descriptor_go() -> None:
    pair = Pair()
    before = len(os.listdir("/proc/self/fd"))
    pair.transport.abort()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert pair.there.recv(1) == b""
    pair.there.close()
    pair.poller.close()
