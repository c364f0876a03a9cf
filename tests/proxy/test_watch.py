"""Descriptors watched through one, on each event loop: as the loop does it, also when they change hands."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from proxy.watch import EpollWatcher
from tests.proxy_loops import LOOPS, new_loop, take_turns, turn_until


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    with new_loop(request.param) as loop:
        yield loop


@pytest.fixture
def watch(loop: asyncio.AbstractEventLoop) -> EpollWatcher:
    return EpollWatcher(loop)


Pair = tuple[int, socket.socket]


@pytest.fixture
def pairs() -> Iterator[Callable[[], Pair]]:
    """A function that returns a descriptor, which the test may close, and the socket at its other end."""
    made: list[Pair] = []

    def make() -> Pair:
        here, there = socket.socketpair()
        here.setblocking(False)
        made.append((here.detach(), there))
        return made[-1]

    yield make
    for descriptor, there in made:
        there.close()
        try:
            os.close(descriptor)
        except OSError:
            """The test has closed it."""


class Reader:
    """Reads a descriptor, and counts how often it is called."""

    def __init__(self, descriptor: int, then: Callable[[], object] = lambda: None) -> None:
        self.calls = 0
        self.data = b""
        self._descriptor = descriptor
        self._then = then

    def __call__(self) -> None:
        self.calls += 1
        try:
            self.data += os.read(self._descriptor, 99)
        except BlockingIOError:
            """An event of the descriptor's past."""
        self._then()


def test_what_arrives_is_read(
    loop: asyncio.AbstractEventLoop, watch: EpollWatcher, pairs: Callable[[], Pair]
) -> None:
    readers = []
    for number in range(200):
        descriptor, there = pairs()
        readers.append(Reader(descriptor))
        watch.add_reader(descriptor, readers[-1])
        there.send(b"%d" % number)
    turn_until(loop, lambda: all(reader.calls for reader in readers))
    assert [reader.data for reader in readers] == [b"%d" % number for number in range(200)]


def test_a_removed_reader_is_not_called_and_the_loop_does_not_spin(
    loop: asyncio.AbstractEventLoop, watch: EpollWatcher, pairs: Callable[[], Pair]
) -> None:
    descriptor, there = pairs()
    reader, other = Reader(descriptor), Reader(descriptor)
    watch.add_reader(descriptor, reader)
    assert watch.remove_reader(descriptor)
    assert not watch.remove_reader(descriptor)
    there.send(b"x")
    take_turns(loop)
    assert reader.calls == 0
    watch.add_reader(descriptor, other)
    turn_until(loop, lambda: other.data)
    assert reader.calls == 0


def test_a_reader_may_be_removed_and_added_without_an_event_in_between(
    loop: asyncio.AbstractEventLoop, watch: EpollWatcher, pairs: Callable[[], Pair]
) -> None:
    descriptor, there = pairs()
    first, second = Reader(descriptor), Reader(descriptor)
    watch.add_reader(descriptor, first)
    watch.remove_reader(descriptor)
    watch.add_reader(descriptor, second)
    there.send(b"x")
    turn_until(loop, lambda: second.calls)
    assert (first.calls, second.calls) == (0, 1)


def test_a_reader_replaces_another(
    loop: asyncio.AbstractEventLoop, watch: EpollWatcher, pairs: Callable[[], Pair]
) -> None:
    descriptor, there = pairs()
    first, second = Reader(descriptor), Reader(descriptor)
    watch.add_reader(descriptor, first)
    watch.add_reader(descriptor, second)
    there.send(b"x")
    turn_until(loop, lambda: second.calls)
    assert first.calls == 0


def test_a_descriptor_may_be_closed_and_its_number_used_again(
    loop: asyncio.AbstractEventLoop, watch: EpollWatcher, pairs: Callable[[], Pair]
) -> None:
    """Also by another reader of the same turn: an event of the past reaches nobody who would mind."""
    closed, its_end = pairs()
    old, new = Reader(closed), Reader(closed)
    ends: list[socket.socket] = []

    def replace() -> None:
        watch.remove_reader(closed)
        os.close(closed)
        descriptor, there = pairs()
        assert descriptor == closed, "the lowest number that is free"
        ends.append(there)
        watch.add_reader(descriptor, new)

    first, there = pairs()
    watch.add_reader(first, Reader(first, then=replace))
    watch.add_reader(closed, old)
    there.send(b"x")
    its_end.send(b"old")
    turn_until(loop, lambda: ends)
    take_turns(loop)
    ends[0].send(b"new")
    turn_until(loop, lambda: new.data)
    assert (new.data, old.data) == (b"new", b"")
