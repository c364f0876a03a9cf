"""What others do is not counted: their threads connect, and over loopback both ends are theirs."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.watch import connecting
from bench.watch.connecting import ConnectingThreads
from bench.watch.events import ConnectionLedger
from bench.watch.model import Direction, HopFlow, PeerHop
from bench.watch.scope import Scope, open_scope
from bench.watch.strangers import Strangers
from tests import needs
from tests.watch.rows import SERVER, THERE, rows

OURS, THEIRS = 100, 200
LATER = 1_000_000_000
OUT = PeerHop(Direction.OUTGOING, THERE, SERVER)
LOOPBACK = ("127.0.0.1", "127.0.0.1")


def is_ours(threads: NDArray[np.int32]) -> NDArray[np.bool_]:
    ours: NDArray[np.bool_] = threads == OURS
    return ours


def ledger(*, also_other_ends: bool = False) -> ConnectionLedger:
    return ConnectionLedger(strangers=Strangers(is_ours, also_other_ends=also_other_ends))


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_connection_belongs_to_the_thread_that_asked_for_it_wherever_reads_cut(cut: int) -> None:
    found = ledger()
    for thread, socket in ((OURS, 7), (THEIRS, 8)):
        # The answer comes while any thread runs, so that only the first event names the right one.
        events = [
            rows([(1, socket, "connects")], thread=thread),
            rows([(2, socket, "connected")], thread=THEIRS),
            rows([(3, socket, "FIN out")], thread=0),
        ]
        found.feed(np.concatenate((rows([]), *events[:cut])), LATER)
        found.feed(np.concatenate((rows([]), *events[cut:])), LATER)
    assert found.take() == {OUT: HopFlow(1, closed_here=1, lifetimes_s=(1e-9,))}
    assert len(found) == 0


def test_a_connection_that_others_failed_to_open_is_theirs() -> None:
    found = ledger()
    found.feed(rows([(1, 7, "connects"), (2, 7, "RST in"), (3, 7, "refused")], thread=THEIRS), LATER)
    found.feed(rows([(1, 8, "connects"), (2, 8, "RST in"), (3, 8, "refused")], thread=OURS), LATER)
    assert found.take() == {OUT: HopFlow(failed_opens=1)}


def test_an_address_of_a_socket_that_others_had_may_be_ours_next() -> None:
    found = ledger()
    for time_ns, thread in ((10, THEIRS), (20, OURS), (30, THEIRS)):
        events = [(time_ns, 7, "connects"), (time_ns + 1, 7, "connected"), (time_ns + 2, 7, "FIN in")]
        found.feed(rows(events, thread=thread), LATER)
    assert found.take()[OUT].opened == 1


def test_a_connection_whose_beginning_nobody_saw_is_counted() -> None:
    found = ledger()
    found.feed(rows([(2, 7, "connected"), (3, 7, "FIN in")], thread=THEIRS), LATER)
    assert found.take()[OUT].opened == 1


@pytest.mark.parametrize(
    ("thread", "also_other_ends", "hops"),
    [
        (OURS, True, {Direction.OUTGOING, Direction.INCOMING}),
        (THEIRS, True, set()),
        # A server that is asked for takes connections of anybody.
        (THEIRS, False, {Direction.INCOMING}),
    ],
)
def test_over_loopback_both_ends_are_of_one_namespace(
    thread: int, also_other_ends: bool, hops: set[Direction]
) -> None:
    found = ledger(also_other_ends=also_other_ends)
    events = [(1, 7, "connects"), (2, 7, "connected"), (5, 7, "FIN out")]
    near = rows(events, thread=thread, addresses=LOOPBACK)
    far = rows([(3, 8, "accepted"), (6, 8, "FIN in")], local_port=80, remote_port=40001, addresses=LOOPBACK)
    found.feed(np.concatenate((near, far)), LATER)
    assert {hop.direction for hop in found.take()} == hops


def test_the_peer_of_a_connection_between_hosts_may_be_anybody() -> None:
    found = ledger(also_other_ends=True)
    near = rows([(1, 7, "connects"), (2, 7, "connected")], thread=THEIRS)
    far = rows([(3, 8, "accepted")], local_port=80, remote_port=40001, addresses=(THERE, "10.0.0.1"))
    found.feed(np.concatenate((near, far)), LATER)
    assert [hop.direction for hop in found.take()] == [Direction.INCOMING]


def ask(scope: Scope, thread: int) -> bool:
    return bool(ConnectingThreads(scope)(np.array([thread], np.int32))[0])


@needs.on_linux
def test_threads_and_children_of_a_process_are_its_own() -> None:
    with open_scope(pid=os.getpid()) as scope:
        told: list[bool] = []
        thread = threading.Thread(target=lambda: told.append(ask(scope, threading.get_native_id())))
        thread.start()
        thread.join()
        child = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
        try:
            assert [*told, ask(scope, os.getpid()), ask(scope, child)] == [True, True, True]
            assert not ask(scope, os.getppid())
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
        assert not ask(scope, child)


@needs.on_linux
def test_of_a_namespace_a_thread_that_ended_may_be_any() -> None:
    with open_scope() as scope:
        assert ask(scope, os.getpid())
        child = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(child, 0)
        assert connecting.namespace_of(child) is None
        assert ask(scope, child)
