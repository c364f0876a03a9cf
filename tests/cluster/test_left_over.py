"""With a fixed backend port a trial waits for what the one before left in TIME_WAIT: as long as it must."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pytest

from bench.cluster import left_over
from bench.cluster.left_over import LeftOver
from tests import needs

RANGE = 28_232
OURS = "127.9.7.1"
"""An address that no other test uses: what these have left in TIME_WAIT may have any port of 127.0.0.1."""


@dataclass
class Waiting:
    """A wait whose time is made up: what each machine shows from a moment on, and what was said."""

    shown: list[tuple[float, Mapping[str, LeftOver]]]
    now_s: float = 0.0
    said: list[str] = field(default_factory=list)
    looks: int = 0

    def look(self) -> Mapping[str, LeftOver]:
        self.looks += 1
        return next(each for since_s, each in reversed(self.shown) if since_s <= self.now_s)

    def sleep(self, length_s: float) -> None:
        assert length_s > 0
        self.now_s += length_s

    def run(self) -> list[str]:
        return left_over.wait_until_few(
            self.look, self.said.append, clock=lambda: self.now_s, sleep=self.sleep
        )


def test_few_are_not_waited_for() -> None:
    waiting = Waiting([(0.0, {"proxy-1": LeftOver(200), "proxy-2": LeftOver()})])
    assert (waiting.run(), waiting.now_s, waiting.said) == ([], 0.0, [])


def test_many_are_waited_for_on_every_machine_and_it_is_said_once() -> None:
    waiting = Waiting(
        [
            (0.0, {"proxy-1": LeftOver(14_870, 57.5), "proxy-2": LeftOver(900, 3.0)}),
            (3.0, {"proxy-1": LeftOver(14_870, 54.5), "proxy-2": LeftOver(200)}),
            (57.5, {"proxy-1": LeftOver(282), "proxy-2": LeftOver()}),
        ]
    )
    assert waiting.run() == []
    assert 57.5 <= waiting.now_s <= 58.5
    assert waiting.said == [
        "waiting 58 s for connections of before in TIME_WAIT towards the same backends (proxy-1: 14,870,"
        " proxy-2: 900); without --backend-port there are none"
    ]


def test_what_others_leave_again_and_again_is_waited_for_a_minute_and_then_told() -> None:
    waiting = Waiting([(0.0, {"proxy-1": LeftOver(9_000, 60.0)})])
    assert waiting.run() == [
        "proxy-1: 9,000 connections of others are in TIME_WAIT towards its backends, so that half of the"
        " ports comes sooner; leave out --backend-port"
    ]
    assert waiting.now_s == 70.0
    assert waiting.looks <= 75


@pytest.mark.parametrize(
    ("stay_ms", "few", "is_waited_for"),
    [
        ([], 0, False),
        ([0, 0, 59_000], 3, False),
        ([0, 0, 59_000], 2, True),
        ([0, 0, 0], 2, True),  # their time is over, their timer late: each still has its port
    ],
)
def test_what_has_a_port_is_left_over_even_when_its_time_is_over(
    stay_ms: list[int], few: int, is_waited_for: bool
) -> None:
    found = left_over.left(np.array(stay_ms, np.uint32), few)
    assert (found.count, found.few_in_s > 0) == (len(stay_ms), is_waited_for)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server((OURS, 0)) as listening:
        yield listening


def leave(server: socket.socket, count: int) -> str:
    """Leave so many connections to `server` in TIME_WAIT on the client's side, and return its address."""
    host, port = server.getsockname()
    for _ in range(count):
        client = socket.create_connection((host, port))
        there, _ = server.accept()
        with closing(there):
            client.close()
            assert there.recv(1) == b""
    return f"{host}:{port}"


@needs.on_linux
def test_connections_to_the_address_are_counted_and_no_others(server: socket.socket) -> None:
    address = leave(server, 5)
    with socket.create_server((OURS, 0)) as other:
        leave(other, 3)
    found = left_over.find([address], 100)
    assert found.count == 5
    assert 0 < found.few_in_s <= 60
    host, _, port = address.rpartition(":")
    assert left_over.find([f"127.0.0.9:{port}"], RANGE) == LeftOver()
    assert host == OURS


@needs.on_linux
def test_what_is_few_depends_on_the_ports_there_are(server: socket.socket) -> None:
    address = leave(server, 5)
    assert left_over.find([address], 500).few_in_s == 0
    assert left_over.find([address], 499).few_in_s > 0
    assert left_over.find([address, "127.0.0.9:1"], 250).few_in_s == 0
