"""Waiting for sockets, with epoll and with poll."""

import select
import socket
from collections.abc import Iterator

import pytest

from bench.load.poller import READABLE, WRITABLE, Poller
from tests import needs

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=["epoll", "poll"])
def poller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Poller:
    if request.param == "poll":
        monkeypatch.delattr(select, "epoll", raising=False)
    elif not hasattr(select, "epoll"):
        needs.skip("Linux")
    return Poller()


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_only_what_is_ready_is_handled(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    handled: list[str] = []
    poller.register(ours.fileno(), READABLE, lambda: handled.append("readable"))
    poller.run_ready(0)
    assert handled == []
    theirs.send(b"x")
    poller.run_ready(10**10)
    assert handled == ["readable"]
    poller.modify(ours.fileno(), WRITABLE, lambda: handled.append("writable"))
    poller.run_ready(10**10)
    poller.set_handler(ours.fileno(), lambda: handled.append("by another hand"))
    poller.run_ready(10**10)
    poller.unregister(ours.fileno())
    poller.run_ready(0)
    assert handled == ["readable", "writable", "by another hand"]


def test_the_end_of_a_connection_is_ready(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    ended: list[bytes] = []
    poller.register(ours.fileno(), READABLE, lambda: ended.append(ours.recv(1)))
    theirs.close()
    poller.run_ready(10**10)
    assert ended == [b""]


@pytest.mark.parametrize("timeout_ns", [-5, 0, 1, 300_000, 1_000_000, 1_000_001, 3_000_000])
def test_it_comes_back_when_nothing_is_ready(poller: Poller, pair: Pair, timeout_ns: int) -> None:
    handled: list[str] = []
    poller.register(pair[0].fileno(), READABLE, lambda: handled.append("readable"))
    poller.run_ready(timeout_ns)
    assert handled == []
