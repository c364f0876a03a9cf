"""The four promises of the pool, as examples and under random events."""

from __future__ import annotations

import sys
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.pool import Close, Open, Pool, Refuse, Use


def pool(max_idle: int = 2, max_open: int = 3, max_waiting: int = 2) -> Pool[str, str]:
    return Pool(
        max_idle=max_idle, max_open=max_open, max_waiting=max_waiting, idle_timeout_s=60, queue_timeout_s=5
    )


def test_an_exchange_waits_for_its_connection_to_open() -> None:
    p = pool()
    assert p.acquire("a", 0) == Open()
    assert p.opened("c1", 0) == Use("c1", "a")
    assert (p.open, p.idle, p.waiting) == (1, 0, 0)


def test_the_latest_idle_connection_is_used_first() -> None:
    p = pool()
    for waiter, connection in (("a", "c1"), ("b", "c2")):
        p.acquire(waiter, 0)
        p.opened(connection, 0)
    assert p.release("c1", 1) is None
    assert p.release("c2", 2) is None
    assert p.acquire("c", 3) == Use("c2", "c")
    assert p.acquire("d", 3) == Use("c1", "d")


def test_a_newcomer_may_open_a_connection_of_its_own() -> None:
    p = pool(max_open=2)
    assert p.reserve()
    assert (p.open, p.waiting) == (1, 0), "it is busy, and nobody waits for it"
    assert p.reserve()
    assert not p.reserve(), "there is no room"
    assert p.lost("c1") is None
    assert p.open == 1


def test_a_new_exchange_overtakes_no_waiter() -> None:
    p = pool()
    assert p.reserve()
    p.wait("a", 0)
    assert not p.reserve(), "the first one's is being opened"
    assert p.acquire("b", 0) == Open()
    assert p.opened("c1", 0) == Use("c1", "a")
    assert not p.reserve()
    assert p.opened("c2", 0) == Use("c2", "b")
    assert p.reserve()


def test_max_idle_counts_idle_connections_only() -> None:
    p = pool(max_idle=1, max_open=3)
    for waiter, connection in (("a", "c1"), ("b", "c2"), ("c", "c3")):
        p.acquire(waiter, 0)
        p.opened(connection, 0)
    assert p.release("c1", 0) is None, "two busy ones do not count"
    assert p.release("c2", 0) == Close("c2")


def test_waiters_are_served_in_their_order() -> None:
    p = pool(max_open=1)
    p.acquire("a", 0)
    p.opened("c1", 0)
    assert p.acquire("b", 0) is None
    assert p.acquire("c", 0) is None
    assert p.acquire("d", 0) == Refuse("d"), "the queue is full"
    assert p.release("c1", 0) == Use("c1", "b")
    assert p.release("c1", 0) == Use("c1", "c")


def test_a_waiter_gets_the_place_of_a_connection_that_is_gone() -> None:
    p = pool(max_open=1)
    p.acquire("a", 0)
    p.opened("c1", 0)
    p.acquire("b", 0)
    assert p.lost("c1") == Open()
    assert p.opened("c2", 0) == Use("c2", "b")


def test_a_failed_connection_fails_the_first_waiter() -> None:
    p = pool(max_open=1)
    assert p.acquire("a", 0) == Open()
    assert p.acquire("b", 0) is None
    assert p.failed() == ("a", Open())
    assert p.failed() == ("b", None)
    assert p.open == 0


def test_a_waiter_that_has_gone_leaves_its_connection_to_the_pool() -> None:
    p = pool()
    p.acquire("a", 0)
    p.cancel("a")
    assert p.opened("c1", 0) is None
    assert p.idle == 1


def test_a_fresh_connection_takes_the_place_of_a_lost_one() -> None:
    p = pool(max_open=1)
    p.acquire("a", 0)
    p.opened("c1", 0)
    p.acquire("b", 0)
    assert p.renew("c1", "a") == Open(reserved_for="a")
    assert p.open == 1, "nobody else may open one meanwhile"


def test_idle_connections_and_waiters_expire_from_the_oldest() -> None:
    p = pool()
    for waiter, connection in (("a", "c1"), ("b", "c2"), ("c", "c3")):
        p.acquire(waiter, 0)
        p.opened(connection, 0)
    p.acquire("d", 10)
    p.acquire("e", 11)
    assert p.expire(15) == [Refuse("d")]
    assert p.release("c1", 15) == Use("c1", "e")
    p.release("c2", 20)
    p.release("c3", 30)
    assert p.expire(79) == []
    assert p.expire(80) == [Close("c2")]
    assert p.expire(90) == [Close("c3")]


def test_without_pooling_each_exchange_has_its_own_connection() -> None:
    p = pool(max_idle=0)
    for number in range(5):
        assert p.acquire(f"w{number}", 0) == Open()
        assert p.opened(f"c{number}", 0) == Use(f"c{number}", f"w{number}")
        assert p.lost(f"c{number}") is None


def test_a_draining_pool_keeps_nothing() -> None:
    p = pool()
    p.acquire("a", 0)
    p.opened("c1", 0)
    p.release("c1", 0)
    assert p.drain() == [Close("c1")]
    p.lost("c1")
    p.acquire("b", 0)
    p.opened("c2", 0)
    assert p.release("c2", 0) == Close("c2")


@pytest.mark.parametrize("size", [10, 10_000])
def test_each_event_costs_the_same_whatever_the_pool_holds(size: int) -> None:
    """Counted in the events of the interpreter, not in time."""
    p: Pool[int, int] = Pool(
        max_idle=size, max_open=size + 1, max_waiting=size, idle_timeout_s=60, queue_timeout_s=5
    )
    for number in range(size):
        p.acquire(number, 0)
    for number in range(size):
        p.opened(number, 0)
    for number in range(0, size, 2):
        p.release(number, 0)
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    p.acquire(size, 1)
    p.release(1, 1)
    p.lost(0)
    p.cancel(5)
    sys.setprofile(None)
    assert steps < 40


class Events(RuleBasedStateMachine):
    """Random events; the model is a set of connections by state and a queue of waiters."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.numbers = 0
        self.opening = 0
        self.reserved: deque[str] = deque()
        self.busy: dict[str, str] = {}
        self.idle: set[str] = set()
        self.waiting: list[str] = []

    @initialize(max_idle=st.integers(0, 3), max_open=st.integers(1, 5), max_waiting=st.integers(0, 3))
    def begin(self, max_idle: int, max_open: int, max_waiting: int) -> None:
        self.max_idle, self.max_open, self.max_waiting = max_idle, max_open, max_waiting
        self.pool = pool(max_idle, max_open, max_waiting)

    def name(self, kind: str) -> str:
        self.numbers += 1
        return f"{kind}{self.numbers}"

    def use(self, action: Use[str, str]) -> None:
        assert action.connection not in self.busy, "handed out twice"
        self.idle.discard(action.connection)
        if action.waiter in self.waiting:
            assert action.waiter == self.waiting[0], "somebody waits longer"
            self.waiting.remove(action.waiter)
        self.busy[action.connection] = action.waiter

    def take(self, connection: str, action: object) -> None:
        """Carries out what came of a connection that is not busy any more."""
        if isinstance(action, Use):
            self.use(action)
        elif isinstance(action, Close):
            assert action.connection == connection, "another one was closed"
            self.take_open(self.pool.lost(connection))
        else:
            self.idle.add(connection)

    def take_open(self, action: object) -> None:
        if isinstance(action, Open):
            self.opening += 1

    @rule()
    def acquire(self) -> None:
        waiter = self.name("w")
        action = self.pool.acquire(waiter, self.now)
        if isinstance(action, Use):
            assert action.waiter == waiter
            self.use(action)
        elif isinstance(action, Refuse):
            assert not self.idle
        else:
            self.waiting.append(waiter)
            self.take_open(action)

    @rule(comes=st.sampled_from(["at once", "later", "not at all"]))
    def reserve(self, comes: str) -> None:
        if self.idle or not self.pool.reserve():
            return
        assert not self.waiting, "somebody waits longer"
        waiter = self.name("w")
        if comes == "at once":
            self.busy[self.name("c")] = waiter
        elif comes == "later":
            self.pool.wait(waiter, self.now)
            self.waiting.append(waiter)
            self.opening += 1
        else:
            self.take_open(self.pool.lost(self.name("c")))

    @precondition(lambda self: self.opening)
    @rule()
    def opened(self) -> None:
        self.opening -= 1
        connection = self.name("c")
        self.take(connection, self.pool.opened(connection, self.now))

    @precondition(lambda self: self.opening)
    @rule()
    def failed(self) -> None:
        self.opening -= 1
        waiter, action = self.pool.failed()
        assert waiter == (self.waiting.pop(0) if self.waiting else None)
        self.take_open(action)

    @precondition(lambda self: self.busy)
    @rule(reusable=st.booleans(), pick=st.integers(0, 4))
    def release(self, reusable: bool, pick: int) -> None:
        connection = sorted(self.busy)[pick % len(self.busy)]
        del self.busy[connection]
        if reusable:
            self.take(connection, self.pool.release(connection, self.now))
        else:
            self.take(connection, Close(connection))

    @precondition(lambda self: self.busy or self.idle)
    @rule(pick=st.integers(0, 8))
    def lost(self, pick: int) -> None:
        connections = sorted(self.busy) + sorted(self.idle)
        connection = connections[pick % len(connections)]
        self.busy.pop(connection, None)
        self.idle.discard(connection)
        self.take_open(self.pool.lost(connection))

    @precondition(lambda self: self.busy)
    @rule(comes=st.booleans())
    def renew(self, comes: bool) -> None:
        connection, waiter = sorted(self.busy.items())[0]
        assert self.pool.renew(connection, waiter) == Open(reserved_for=waiter)
        del self.busy[connection]
        fresh = self.name("c")
        if comes:
            self.busy[fresh] = waiter
        else:
            self.take_open(self.pool.lost(fresh))

    @precondition(lambda self: self.waiting)
    @rule(pick=st.integers(0, 4))
    def cancel(self, pick: int) -> None:
        self.pool.cancel(self.waiting.pop(pick % len(self.waiting)))

    @rule(seconds=st.sampled_from([1.0, 4.0, 61.0]))
    def expire(self, seconds: float) -> None:
        self.now += seconds
        for action in self.pool.expire(self.now):
            if isinstance(action, Close):
                assert action.connection in self.idle, "closed although handed out"
                self.idle.remove(action.connection)
                self.take_open(self.pool.lost(action.connection))
            else:
                assert action.waiter == self.waiting.pop(0), "somebody waits longer"

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "pool"):
            return
        assert self.pool.idle == len(self.idle) <= self.max_idle
        assert self.pool.open == self.opening + len(self.busy) + len(self.idle) <= self.max_open
        assert self.pool.waiting == len(self.waiting)
        assert not (self.idle and self.waiting), "somebody waits beside an idle connection"
        assert len(self.waiting) - self.opening <= self.max_waiting

    @invariant()
    def nobody_starves(self) -> None:
        if self.waiting:
            assert self.opening or self.busy, "nothing will ever serve those who wait"


Events.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestEvents = Events.TestCase
