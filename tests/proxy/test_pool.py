"""The four promises of the pool, as examples and under random events."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.pool import Pool


def pool(max_idle: int = 2, max_open: int = 3, max_waiting: int = 2) -> Pool[str, str]:
    return Pool(
        max_idle=max_idle, max_open=max_open, max_waiting=max_waiting, idle_timeout_s=60, queue_timeout_s=5
    )


def place(p: Pool[str, str], connection: str, now: float = 0) -> str:
    """Return what becomes of a connection that may carry another exchange."""
    if p.keep(connection, now):
        return "idle"
    return p.next_waiter() or "closed"


def test_an_exchange_waits_for_its_connection_to_open() -> None:
    p = pool()
    assert p.enqueue("a", 0)
    p.opened()
    assert place(p, "c1") == "a"
    assert (p.open, len(p.idle), len(p.waiting)) == (1, 0, 0)


def busy(p: Pool[str, str], *waiters: str) -> None:
    """Open a connection for each."""
    for waiter in waiters:
        assert p.enqueue(waiter, 0)
        p.opened()
        assert p.next_waiter() == waiter


def test_the_latest_idle_connection_is_used_first() -> None:
    p = pool()
    busy(p, "a", "b")
    assert place(p, "c1", 1) == place(p, "c2", 2) == "idle"
    assert (p.take(), p.take(), p.take()) == ("c2", "c1", None)


def test_a_newcomer_may_open_a_connection_of_its_own() -> None:
    p = pool(max_open=2)
    assert p.reserve()
    assert (p.open, len(p.waiting)) == (1, 0), "it is busy, and nobody waits for it"
    assert p.reserve()
    assert not p.reserve(), "there is no room"
    assert not p.lost("c1")
    assert p.open == 1


def test_a_new_exchange_overtakes_no_waiter() -> None:
    p = pool()
    assert p.reserve()
    p.wait("a", 0)
    assert not p.reserve(), "the first one's is being opened"
    assert p.enqueue("b", 0)
    p.opened()
    assert place(p, "c1") == "a"
    assert not p.reserve()
    p.opened()
    assert place(p, "c2") == "b"
    assert p.reserve()


def test_max_idle_counts_idle_connections_only() -> None:
    p = pool(max_idle=1, max_open=3)
    busy(p, "a", "b", "c")
    assert place(p, "c1") == "idle", "two busy ones do not count"
    assert place(p, "c2") == "closed"


def test_waiters_are_served_in_their_order() -> None:
    p = pool(max_open=1)
    busy(p, "a")
    for waiter in ("b", "c"):
        assert not p.is_full
        assert not p.enqueue(waiter, 0)
    assert p.is_full
    assert place(p, "c1") == "b"
    assert place(p, "c1") == "c"


def test_a_waiter_gets_the_place_of_a_connection_that_is_gone() -> None:
    p = pool(max_open=1)
    busy(p, "a")
    assert not p.enqueue("b", 0)
    assert p.lost("c1")
    p.opened()
    assert place(p, "c2") == "b"


def test_a_failed_connection_fails_the_first_waiter() -> None:
    p = pool(max_open=1)
    assert p.enqueue("a", 0)
    assert not p.enqueue("b", 0)
    assert (p.next_waiter(), p.failed()) == ("a", True)
    assert (p.next_waiter(), p.failed()) == ("b", False)
    assert p.open == 0


def test_a_waiter_that_has_gone_leaves_its_connection_to_the_pool() -> None:
    p = pool()
    p.enqueue("a", 0)
    p.cancel("a")
    assert not p.enqueue("b", 0), "the connection that is being opened serves the next"
    p.cancel("b")
    p.opened()
    assert place(p, "c1") == "idle"


def test_idle_connections_and_waiters_expire_from_the_oldest() -> None:
    p = pool()
    busy(p, "a", "b", "c")
    p.enqueue("d", 10)
    p.enqueue("e", 11)
    assert p.expire_waiting(15) == ["d"]
    assert place(p, "c1", 15) == "e"
    place(p, "c2", 20)
    place(p, "c3", 30)
    assert p.expire_idle(79) == []
    assert p.expire_idle(80) == ["c2"]
    assert p.expire_idle(90) == ["c3"]


def test_without_pooling_each_exchange_has_its_own_connection() -> None:
    p = pool(max_idle=0)
    for number in range(5):
        busy(p, f"w{number}")
        assert not p.lost(f"c{number}")


def test_a_draining_pool_keeps_nothing() -> None:
    p = pool()
    busy(p, "a")
    place(p, "c1")
    assert p.drain() == ["c1"]
    p.lost("c1")
    busy(p, "b")
    assert place(p, "c2") == "closed"


@pytest.mark.parametrize("size", [10, 10_000])
def test_each_event_costs_the_same_whatever_the_pool_holds(size: int) -> None:
    """Counted in the events of the interpreter, not in time."""
    p: Pool[int, int] = Pool(
        max_idle=size, max_open=size + 1, max_waiting=size, idle_timeout_s=60, queue_timeout_s=5
    )
    for number in range(size):
        p.enqueue(number, 0)
    for _ in range(size):
        p.opened()
        p.next_waiter()
    for number in range(0, size, 2):
        p.keep(number, 0)
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    p.take()
    p.reserve()
    p.enqueue(size, 1)
    p.next_waiter()
    p.keep(1, 1)
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

    def use(self, connection: str, waiter: str) -> None:
        assert connection not in self.busy, "handed out twice"
        self.idle.discard(connection)
        self.busy[connection] = waiter

    def next_waiter(self) -> str | None:
        waiter = self.pool.next_waiter()
        assert waiter == (self.waiting.pop(0) if self.waiting else None), "somebody waits longer"
        return waiter

    def place(self, connection: str) -> None:
        """Find a use for a connection that is not busy any more."""
        if self.pool.keep(connection, self.now):
            self.idle.add(connection)
        elif (waiter := self.next_waiter()) is not None:
            self.use(connection, waiter)
        else:
            assert len(self.idle) == self.max_idle, "there was room"
            self.lose(connection)

    def lose(self, connection: str) -> None:
        self.opening += self.pool.lost(connection)

    @rule()
    def acquire(self) -> None:
        waiter = self.name("w")
        connection = self.pool.take()
        if connection is not None:
            assert connection in self.idle
            self.use(connection, waiter)
            return
        assert not self.idle
        if not self.pool.is_full:
            self.waiting.append(waiter)
            self.opening += self.pool.enqueue(waiter, self.now)

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
            self.lose(self.name("c"))

    @precondition(lambda self: self.opening)
    @rule()
    def opened(self) -> None:
        self.opening -= 1
        self.pool.opened()
        self.place(self.name("c"))

    @precondition(lambda self: self.opening)
    @rule()
    def failed(self) -> None:
        self.opening -= 1
        self.next_waiter()
        self.opening += self.pool.failed()

    @precondition(lambda self: self.busy)
    @rule(reusable=st.booleans(), pick=st.integers(0, 4))
    def release(self, reusable: bool, pick: int) -> None:
        connection = sorted(self.busy)[pick % len(self.busy)]
        del self.busy[connection]
        if reusable:
            self.place(connection)
        else:
            self.lose(connection)

    @precondition(lambda self: self.busy or self.idle)
    @rule(pick=st.integers(0, 8))
    def lost(self, pick: int) -> None:
        connections = sorted(self.busy) + sorted(self.idle)
        connection = connections[pick % len(connections)]
        self.busy.pop(connection, None)
        self.idle.discard(connection)
        self.lose(connection)

    @precondition(lambda self: self.waiting)
    @rule(pick=st.integers(0, 4))
    def cancel(self, pick: int) -> None:
        self.pool.cancel(self.waiting.pop(pick % len(self.waiting)))

    @rule(seconds=st.sampled_from([1.0, 4.0, 61.0]))
    def expire(self, seconds: float) -> None:
        self.now += seconds
        for connection in self.pool.expire_idle(self.now):
            assert connection in self.idle, "closed although handed out"
            self.idle.remove(connection)
            self.lose(connection)
        for waiter in self.pool.expire_waiting(self.now):
            assert waiter == self.waiting.pop(0), "somebody waits longer"

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "pool"):
            return
        assert len(self.pool.idle) == len(self.idle) <= self.max_idle
        assert self.pool.open == self.opening + len(self.busy) + len(self.idle) <= self.max_open
        assert list(self.pool.waiting) == self.waiting
        assert not (self.idle and self.waiting), "somebody waits beside an idle connection"
        assert len(self.waiting) - self.opening <= self.max_waiting

    @invariant()
    def nobody_starves(self) -> None:
        if self.waiting:
            assert self.opening or self.busy, "nothing will ever serve those who wait"


Events.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestEvents = Events.TestCase
