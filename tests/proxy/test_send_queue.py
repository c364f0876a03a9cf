"""Sends at the end of a turn, on each event loop; a careful one looks first whether input has arrived."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from proxy.send_queue import SLICE, SendQueue
from proxy.transport import Transport
from tests.proxy_loops import LOOPS, new_loop, take_turns


@pytest.fixture(params=LOOPS)
def sends(request: pytest.FixtureRequest) -> Iterator[SendQueue]:
    with new_loop(request.param) as loop:
        yield SendQueue(loop)


class Script(Transport):
    """A sender that notes what it is asked to do; input that has arrived may make it do more."""

    def __init__(self, log: list[str], name: str = "", on_read: Callable[[], object] = lambda: None) -> None:
        # As a transport is to the queue; no loop watches it.
        here, self.there = socket.socketpair()
        here.setblocking(False)
        self._here = here
        self.descriptor = here.fileno()
        self._log = log
        self._name = name
        self._on_read = on_read

    def read_ready(self) -> None:
        self._here.recv(99)
        self._log.append(f"read{self._name}")
        self._on_read()

    def flush(self) -> None:
        self._log.append(f"flush{self._name}")

    def abort(self) -> None:
        self._log.append(f"abort{self._name}")

    def close(self) -> None:
        self._here.close()
        self.there.close()


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def test_a_send_waits_for_the_end_of_the_turn(
    sends: SendQueue, log: list[str], stack: contextlib.ExitStack
) -> None:
    first, second = (stack.enter_context(contextlib.closing(Script(log, name))) for name in (" 1", " 2"))
    sends.add(first)
    sends.add(second)
    assert log == []
    take_turns(sends.loop)
    assert log == ["flush 1", "flush 2"]
    sends.add(second)
    take_turns(sends.loop)
    assert log == ["flush 1", "flush 2", "flush 2"], "each is carried out once"


@pytest.mark.parametrize("is_careful", [True, False])
def test_only_a_careful_one_looks_for_input(
    is_careful: bool, sends: SendQueue, log: list[str], stack: contextlib.ExitStack
) -> None:
    sender = stack.enter_context(contextlib.closing(Script(log)))
    sender.there.send(b"input that the loop has not reported yet")
    if is_careful:
        sends.add_careful(sender)
    else:
        sends.add(sender)
    take_turns(sends.loop)
    assert log == (["read", "flush"] if is_careful else ["flush"])


def test_a_careful_one_is_read_only_if_input_has_arrived(
    sends: SendQueue, log: list[str], stack: contextlib.ExitStack
) -> None:
    sends.add_careful(stack.enter_context(contextlib.closing(Script(log))))
    take_turns(sends.loop)
    assert log == ["flush"]


def test_many_do_not_wait_for_the_end_of_the_turn(
    sends: SendQueue, log: list[str], stack: contextlib.ExitStack
) -> None:
    senders = [stack.enter_context(contextlib.closing(Script(log))) for _ in range(SLICE + 1)]
    for sender in senders[:-1]:
        assert log == []
        sends.add(sender)
    assert log == ["flush"] * SLICE
    sends.add(senders[-1])
    assert len(log) == SLICE
    take_turns(sends.loop)
    assert len(log) == SLICE + 1


def test_none_of_many_is_sent_before_its_input_is_read(
    sends: SendQueue, log: list[str], stack: contextlib.ExitStack
) -> None:
    """The turn has not ended: the loop may hold input for any of them that it has not reported."""
    senders = [stack.enter_context(contextlib.closing(Script(log, f" {n}"))) for n in range(SLICE)]
    senders[1].there.send(b"x")
    for sender in senders:
        sends.add(sender)
    assert (log[0], len(log)) == ("read 1", SLICE + 1)


def test_what_input_makes_careful_looks_too(
    sends: SendQueue, log: list[str], stack: contextlib.ExitStack
) -> None:
    """A response that is read may free its connection for a request that waits, and its end may follow."""
    second = stack.enter_context(contextlib.closing(Script(log, " 2")))
    second.there.send(b"x")
    first = stack.enter_context(
        contextlib.closing(Script(log, " 1", on_read=lambda: sends.add_careful(second)))
    )
    first.there.send(b"x")
    sends.add_careful(first)
    take_turns(sends.loop)
    assert log.index("read 2") < log.index("flush 2")


def test_a_lost_one_is_not_looked_at(sends: SendQueue, log: list[str], stack: contextlib.ExitStack) -> None:
    sender = stack.enter_context(contextlib.closing(Script(log)))
    other = stack.enter_context(contextlib.closing(Script(log, " other")))
    other.there.send(b"x")
    sends.add_careful(sender)
    sends.add_careful(other)
    sender.descriptor = -1
    take_turns(sends.loop)
    assert log == ["read other", "flush", "flush other"]


def test_a_bug_ends_its_connection_and_no_other(
    sends: SendQueue, log: list[str], stack: contextlib.ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Script):
        def flush(self) -> None:
            raise ZeroDivisionError

    sends.add(stack.enter_context(contextlib.closing(Broken(log))))
    sends.add(stack.enter_context(contextlib.closing(Script(log))))
    take_turns(sends.loop)
    assert log == ["abort", "flush"]
    assert "ZeroDivisionError" in capsys.readouterr().err
