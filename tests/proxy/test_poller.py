"""Turns: what is ready comes first, then what was left for later; a tick now and then, and signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.control import Control, Pipe
from proxy.poller import Poller


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


def test_the_order_of_a_turn(poller: Poller, pipe: tuple[int, int]) -> None:
    done: list[str] = []

    def arrive(data: bytes) -> None:
        done.append(data.decode())
        poller.later(poller.stop)
        poller.later(lambda: done.append("later"))
        poller.soon(lambda: done.append("soon"))

    reading, writing = pipe
    Pipe(poller, reading, arrive, poller.stop)
    poller.later(lambda: done.append("left before"))
    os.write(writing, b"ready")
    poller.run()
    assert done == ["ready", "left before", "soon", "later"]


def test_who_was_forgotten_is_told_nothing(poller: Poller, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    told: list[bytes] = []
    Pipe(poller, reading, told.append, poller.stop)
    poller.release(reading)
    os.write(writing, b"x")
    poller.later(lambda: poller.later(poller.stop))
    poller.run()
    assert told == []


def test_a_tick_comes_although_nothing_happens(poller: Poller) -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            poller.stop()

    poller.every(0.001, tick)
    poller.run()
    assert len(ticks) == 3


def test_signals_come_in_turns(poller: Poller) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    told: list[int] = []

    def tell() -> None:
        told.append(1)
        if len(told) == 2:
            poller.stop()

    poller.on_signals((signal.SIGUSR1, signal.SIGUSR2), tell)
    try:
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getpid(), number)
        assert told == []
        poller.run()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGUSR2, before)
    assert len(told) == 2


def test_commands_may_come_from_a_file(poller: Poller, tmp_path: Path) -> None:
    path = tmp_path / "commands"
    path.write_bytes(b'{"command": "count"}\n')
    commands: list[object] = []
    with path.open("rb") as file:
        Control(commands.append, poller.stop).listen(poller, file.fileno())
        poller.run()
    assert commands == [{"command": "count"}]
