"""The upstream connection pool: decides which connection serves which exchange.

It has no sockets and no clock: events are its methods, and what they return says what the caller must do.
The pool guarantees:

* no other event closes a connection that is in use;
* a connection goes to exactly one waiter, first come, first served;
* `max_idle` counts idle connections only;
* each event costs O(1), whatever the size of the pool (`expire_...`: per connection or waiter that it ends).

All upstream addresses share one pool, since any of them may serve any exchange: there is never a reason to
close an idle connection to one in favour of another. In short mode nothing is ever kept in the pool.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import takewhile
from math import inf
from typing import Generic, TypeVar

Connection = TypeVar("Connection")
Waiter = TypeVar("Waiter")
Entry = TypeVar("Entry")


@dataclass(slots=True, kw_only=True, eq=False)
class Pool(Generic[Connection, Waiter]):
    """The upstream connections of one worker: opening, busy or idle, of which only idle ones are listed."""

    max_idle: int
    """Idle connections kept, 0 for none."""
    max_open: int
    """Connections opening, busy and idle together."""
    max_waiting: int
    """Exchanges that may wait without a connection being opened on their behalf."""
    idle_timeout_s: float
    """How long an idle connection is kept, in the unit of the callers' `now`."""
    queue_timeout_s: float
    """How long an exchange may wait, in the same unit."""
    open: int = field(default=0, init=False)
    """Connections opening, busy and idle."""
    opening: int = field(default=0, init=False)
    """Those that are being opened for the waiters."""
    # Both map to the time of entry, oldest first. Idle connections leave at the back; waiters at the front,
    # where a plain dict is slow to find its first entry after many deletions.
    idle: dict[Connection, float] = field(default_factory=dict, init=False)
    waiting: OrderedDict[Waiter, float] = field(default_factory=OrderedDict, init=False)

    # An exchange may `take` a connection, or else `reserve` a place for one, or else it must `enqueue`.

    def take(self) -> Connection | None:
        """Return the most recently used idle connection, if there is one; the others may grow old."""
        return self.idle.popitem()[0] if self.idle else None

    def reserve(self) -> bool:
        """Reserve a place for a new connection of the caller; return whether there is one.

        Only if there are neither waiters nor connections being opened, so that it overtakes no waiter. The
        place counts as busy. The caller follows with `wait` if opening takes time, with `lost` if it
        fails.
        """
        if self.opening or self.waiting or self.open >= self.max_open:
            return False
        self.open += 1
        return True

    def wait(self, waiter: Waiter, now: float) -> None:
        """Queue a caller whose reserved connection takes time; the first to open serves the first waiter."""
        self.opening += 1
        self.waiting[waiter] = now

    @property
    def is_full(self) -> bool:
        """Return whether no other exchange may wait."""
        return self.open >= self.max_open and len(self.waiting) - self.opening >= self.max_waiting

    def enqueue(self, waiter: Waiter, now: float) -> bool:
        """Queue an exchange, unless the pool is full; return whether to open a connection."""
        self.waiting[waiter] = now
        return self._open_for_waiting()

    def cancel(self, waiter: Waiter) -> None:
        """Remove a waiter; a connection being opened for it will serve another, or be idle."""
        self.waiting.pop(waiter, None)

    # A connection that may carry another exchange goes to the `next_waiter`, or the caller must `keep` it.

    def opened(self) -> None:
        """Note that a connection for the waiters is established."""
        self.opening -= 1

    def failed(self) -> bool:
        """Remove a connection for the waiters that could not be opened; return whether to open another."""
        self.opening -= 1
        self.open -= 1
        return self._open_for_waiting()

    def next_waiter(self) -> Waiter | None:
        """Return and remove the first waiter."""
        return self.waiting.popitem(last=False)[0] if self.waiting else None

    def keep(self, connection: Connection, now: float) -> bool:
        """Keep a connection idle; False, without effect, if an exchange waits, or if there are enough."""
        if self.waiting or len(self.idle) >= self.max_idle:
            return False
        self.idle[connection] = now
        return True

    def lost(self, connection: Connection) -> bool:
        """Remove a connection, idle or busy, that has ended; return whether to open one for a waiter."""
        self.idle.pop(connection, None)
        self.open -= 1
        return self._open_for_waiting()

    def expire_idle(self, now: float) -> list[Connection]:
        """Remove and return idle connections that are too old; the caller follows with `lost` for each."""
        return _pop_until(self.idle, now - self.idle_timeout_s)

    def expire_waiting(self, now: float) -> list[Waiter]:
        """Remove and return those who have waited too long."""
        return _pop_until(self.waiting, now - self.queue_timeout_s)

    def drain(self) -> list[Connection]:
        """Keep no idle connections from now on; return those that were, as `expire_idle`."""
        self.max_idle = 0
        return _pop_until(self.idle, inf)

    def _open_for_waiting(self) -> bool:
        # A connection being opened for a waiter that has been served meanwhile serves another: opening one
        # more would make more connections than clients.
        if len(self.waiting) <= self.opening or self.open >= self.max_open:
            return False
        self.open += 1
        self.opening += 1
        return True


def _pop_until(entered: dict[Entry, float], latest: float) -> list[Entry]:
    """Remove and return those that have entered until `latest`."""
    found = [each for each, _ in takewhile(lambda entry: entry[1] <= latest, entered.items())]
    for each in found:
        del entered[each]
    return found
