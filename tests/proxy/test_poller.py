"""Iterations of the event loop: ready descriptors first, then deferred calls; ticks and signals."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.control import CommandReader, PipeReader
from proxy.poller import Poller
from proxy.server import abort_connection
from proxy.transport import Transport


class Receiving:
    """Keeps received data."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.lost = 0

    def data_received(self, data: bytes) -> None:
        self.received.append(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost += 1

    def pause_writing(self) -> None:
        """Nothing is written."""

    def resume_writing(self) -> None:
        """Nothing is written."""


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller()
    yield poller
    poller.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_the_order_within_an_iteration(poller: Poller, pipe: tuple[int, int]) -> None:
    done: list[str] = []

    def arrive(data: bytes) -> None:
        done.append(data.decode())
        poller.next_iteration.append(poller.stop)
        poller.next_iteration.append(lambda: done.append("later"))
        poller.end_of_iteration.append(lambda: done.append("soon"))

    reading, writing = pipe
    PipeReader(poller, reading, arrive, poller.stop)
    poller.next_iteration.append(lambda: done.append("left before"))
    os.write(writing, b"ready")
    poller.run()
    assert done == ["ready", "left before", "soon", "later"]


def test_an_unregistered_handler_is_not_called(poller: Poller, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    calls: list[bytes] = []
    PipeReader(poller, reading, calls.append, poller.stop)
    poller.unregister(reading)
    os.write(writing, b"x")
    poller.next_iteration.append(lambda: poller.next_iteration.append(poller.stop))
    poller.run()
    assert calls == []


def test_a_tick_comes_although_nothing_happens(poller: Poller) -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            poller.stop()

    poller.set_tick(0.001, tick)
    poller.run()
    assert len(ticks) == 3


def test_signals_are_handled_in_iterations(poller: Poller) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    calls: list[int] = []

    def tell() -> None:
        calls.append(1)
        if len(calls) == 2:
            poller.stop()

    poller.on_signals((signal.SIGUSR1, signal.SIGUSR2), tell)
    try:
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getpid(), number)
        assert calls == []
        poller.run()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGUSR2, before)
    assert len(calls) == 2


def test_commands_may_come_from_a_file(poller: Poller, tmp_path: Path) -> None:
    path = tmp_path / "commands"
    path.write_bytes(b'{"command": "count"}\n')
    commands: list[object] = []
    with path.open("rb") as file:
        CommandReader(commands.append, poller.stop).listen(poller, file.fileno())
        poller.run()
    assert commands == [{"command": "count"}]


class Faulty:
    """A handler with a bug."""

    def read(self) -> None:
        raise ZeroDivisionError

    def ready(self, events: int) -> None:
        self.read()


def test_a_handlers_bug_ends_the_loop_without_an_error_handler(poller: Poller, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    faulty, taken = Faulty(), []
    poller.register(reading, faulty)
    os.write(writing, b"x")
    with pytest.raises(ZeroDivisionError):
        poller.run()

    def take(watcher: object, error: Exception) -> None:
        taken.append((watcher, type(error)))
        poller.stop()

    poller.set_error_handler(take)
    poller.run()
    assert taken == [(faulty, ZeroDivisionError)]


def test_a_bug_ends_its_own_connection_and_no_other(
    poller: Poller, capfd: pytest.CaptureFixture[str]
) -> None:
    class Client(Receiving):
        def data_received(self, data: bytes) -> None:
            if data == b"bug":
                raise ZeroDivisionError
            self.received.append(data)
            poller.stop()

    poller.set_error_handler(abort_connection)
    ends = [socket.socketpair() for _ in range(2)]
    clients = [Client() for _ in ends]
    for client, (ours, theirs) in zip(clients, ends, strict=True):
        ours.setblocking(False)
        Transport(poller, ours.detach(), client)
        theirs.settimeout(60)
    ends[0][1].sendall(b"bug")
    ends[1][1].sendall(b"fine")
    poller.run()
    assert [(client.received, client.lost) for client in clients] == [([], 1), ([b"fine"], 0)]
    assert ends[0][1].recv(1) == b""
    assert "ZeroDivisionError" in capfd.readouterr().err
    for _, theirs in ends:
        theirs.close()


def test_a_bug_in_what_is_no_connection_ends_the_worker() -> None:
    with pytest.raises(ZeroDivisionError):
        abort_connection(Faulty(), ZeroDivisionError())
