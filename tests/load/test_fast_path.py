"""The hot loop: complete batches, and anything unusual left to the client."""

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from time import monotonic_ns
from typing import Any

import pytest

from bench.load.client_group import ClientGroup
from bench.load.counters import LoadCounters
from bench.load.fast_path import FastPath
from bench.load.job import LoadJob
from bench.load.ordinary import OrdinaryCheck
from bench.load.poller import Poller
from bench.load.schedule import Phases
from tests.load.scripted import BODY, Request, answer, answering, serving

LONG_NS = 10**10


class Setup:
    """A client group whose connections end here, so that a test decides what is ready."""

    def __init__(self, stack: ExitStack, clients: int) -> None:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        poller, self.counters = Poller(), LoadCounters()
        job = LoadJob("127.0.0.1", port, "a.example", connections=clients, body_bytes=(5, 5))
        self.group = ClientGroup(job, poller, self.counters)
        self.fast_path = FastPath(self.group, poller)
        self.group.start(Phases(0, 0.0, 10.0))
        stack.callback(self.group.abandon)
        stack.callback(self.group.drain, 0)
        self.servers = [stack.enter_context(listener.accept()[0]) for _ in range(clients)]
        while len(self.group.on_fast_path) < clients:
            self.fast_path.run_ready(LONG_NS)

    def answer_all(self, reply: Callable[[Request], bytes] = answer) -> None:
        """Answer the request under way of every client, and wait until all answers are ready."""
        for number, server in enumerate(self.servers):
            server.sendall(reply(Request(number, server.recv(65_536))))
        while len(self.fast_path._poller.ready(LONG_NS)) < len(self.servers):
            pass


@pytest.fixture
def setup() -> Iterator[Setup]:
    with ExitStack() as stack:
        yield Setup(stack, clients=3)


def recording(calls: list[str], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return `call`, which then records each call."""

    def recorded(*given: Any) -> Any:
        calls.append(name)
        return call(*given)

    return recorded


def test_all_that_is_ready_is_read_before_anything_is_written(setup: Setup) -> None:
    calls: list[str] = []
    for client in setup.group.on_fast_path.values():
        client.receive = recording(calls, "read", client.receive)
        client.send = recording(calls, "write", client.send)
    setup.answer_all()
    setup.fast_path.run_ready(LONG_NS)
    assert calls == ["read"] * 3 + ["write"] * 3
    assert setup.counters.requests == 3
    assert setup.counters.body_bytes == 3 * len(BODY)


def test_the_whole_response_is_compared_each_time(setup: Setup) -> None:
    for _ in range(3):
        setup.answer_all()
        setup.fast_path.run_ready(LONG_NS)
    assert setup.counters.requests == 9
    for wrong in (
        lambda request: answer(request, BODY[:-1] + b"~"),
        lambda request: answer(request).replace(b"200", b"500"),
    ):
        setup.answer_all(wrong)
        setup.fast_path.run_ready(LONG_NS)
    assert setup.counters.requests == 9
    assert (setup.counters.errors["body"], setup.counters.errors["status"]) == (3, 3)
    # Neither leaves the connection unfit for use.
    assert len(setup.group.on_fast_path) == 3


def test_what_is_right_but_new_is_right(setup: Setup) -> None:
    for day in range(4):
        setup.answer_all(lambda request, day=day: answer(request, more=b"Date: %d\r\n" % day))  # type: ignore[misc]
        setup.fast_path.run_ready(LONG_NS)
    assert setup.counters.exchanges == setup.counters.requests == 12


def test_responses_are_compared_as_long_as_they_are_alike(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    split, check = OrdinaryCheck.split_at_number, setup.group.ordinary_check.check
    monkeypatch.setattr(OrdinaryCheck, "split_at_number", recording(calls, "split", split))
    setup.group.ordinary_check.check = recording(calls, "check", check)
    unlike = count()

    def differing(request: Request) -> bytes:
        return answer(request, more=b"X-Request-Id: %d\r\n" % next(unlike))

    def exchange(batches: int, reply: Callable[[Request], bytes]) -> Counter[str]:
        calls.clear()
        for _ in range(batches):
            setup.answer_all(reply)
            setup.fast_path.run_ready(LONG_NS)
        return Counter(calls)

    assert exchange(10, answer) == {"check": 3, "split": 1}
    few = exchange(130, differing)
    assert few["check"] == 390
    assert 1 < few["split"] < 10
    exchange(64, answer)
    assert exchange(10, answer) == {}
    assert setup.counters.requests == setup.counters.exchanges == 3 * 214


def test_a_connection_that_the_server_closes_is_replaced(setup: Setup) -> None:
    setup.answer_all(lambda request: answer(request, more=b"Connection: close\r\n"))
    setup.fast_path.run_ready(LONG_NS)
    assert (setup.counters.requests, setup.counters.body_bytes) == (3, 3 * len(BODY))
    assert setup.group.on_fast_path == {}
    while len(setup.group.on_fast_path) < 3:
        setup.fast_path.run_ready(LONG_NS)
    assert setup.counters.opened == 6


def test_a_response_to_an_earlier_request_is_a_mismatch(setup: Setup) -> None:
    first: dict[int, Request] = {}
    setup.answer_all(lambda request: answer(first.setdefault(request.number, request)))
    setup.fast_path.run_ready(LONG_NS)
    setup.answer_all(lambda request: answer(first[request.number]))
    setup.fast_path.run_ready(LONG_NS)
    assert setup.counters.requests == 3
    assert setup.counters.errors["mismatch"] == 3


@pytest.mark.parametrize(
    ("changes", "uses_fast_path"),
    [
        ({}, True),
        ({"rate": 1000.0}, False),
        ({"client_mode": "short"}, False),
        ({"requests_per_connection": 5}, False),
    ],
)
def test_only_a_closed_loop_over_kept_connections_uses_the_fast_path(
    changes: dict[str, Any], uses_fast_path: bool
) -> None:
    with serving(answering(answer)) as server:
        job = LoadJob("127.0.0.1", server.port, "a.example", connections=3, body_bytes=(5, 5), **changes)
        poller, counters = Poller(), LoadCounters()
        group = ClientGroup(job, poller, counters)
        group.start(Phases(monotonic_ns(), 0.0, 10.0))
        while counters.requests < 20:
            group.assign_due(monotonic_ns())
            FastPath(group, poller).run_ready(1_000_000)
            assert bool(group.on_fast_path) <= uses_fast_path
        assert bool(group.on_fast_path) == uses_fast_path
        group.drain(0)
        group.abandon()
