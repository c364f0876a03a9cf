"""The upstream connection pool: decides which connection serves which exchange.

It has no sockets and no clock. Events are its methods `take`, `reserve`, `acquire`, `wait`, `opened`,
`release`, `lost`, `failed`, `renew`, `cancel` and `expire`; it returns the actions `Use`, `Open`, `Close`
and `Refuse`, which the caller carries out. The pool guarantees:

* no other event closes a connection that is in use;
* an idle connection goes to exactly one waiter, first come, first served;
* `max_idle` counts idle connections only;
* each event costs O(1), whatever the size of the pool (`expire`: per connection or waiter that it ends).

All upstream addresses share one pool, since any of them may serve any exchange: there is never a reason to
close an idle connection to one in favour of another. In short mode nothing is ever released to the pool.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, TypeVar

Connection = TypeVar("Connection")
Waiter = TypeVar("Waiter")


@dataclass(slots=True)
class Use(Generic[Connection, Waiter]):
    """Serve `waiter` on `connection`."""

    connection: Connection
    waiter: Waiter


@dataclass(slots=True)
class Open(Generic[Waiter]):
    """Open a connection, for `reserved_for` alone or else for the first waiter when it is open."""

    reserved_for: Waiter | None = None


@dataclass(slots=True)
class Close(Generic[Connection]):
    """Close `connection`, which carries no exchange."""

    connection: Connection


@dataclass(slots=True)
class Refuse(Generic[Waiter]):
    """Report to `waiter` that it gets no connection: the queue is full, or it waited too long."""

    waiter: Waiter


class Pool(Generic[Connection, Waiter]):
    """The upstream connections of one worker.

    A connection is opening, busy or idle; only idle ones are listed.

    Args:
        max_idle: idle connections kept, 0 for none.
        max_open: connections opening, busy and idle together.
        max_waiting: exchanges that may wait without a connection being opened on their behalf.
        idle_timeout_s: how long an idle connection is kept, in the unit of the callers' `now`.
        queue_timeout_s: how long an exchange may wait, in the same unit.
    """

    __slots__ = (
        "_any", "_idle", "_idle_timeout_s", "_max_idle", "_max_open", "_max_waiting", "_open", "_opening",
        "_queue_timeout_s", "_waiting",
    )  # fmt: skip

    def __init__(
        self, *, max_idle: int, max_open: int, max_waiting: int, idle_timeout_s: float, queue_timeout_s: float
    ) -> None:
        self._max_idle = max_idle
        self._max_open = max_open
        self._max_waiting = max_waiting
        self._idle_timeout_s = idle_timeout_s
        self._queue_timeout_s = queue_timeout_s
        self._open = 0
        self._opening = 0
        self._any: Open[Waiter] = Open()
        # Both map to the time of entry, oldest first. Idle connections leave at the
        # back; waiters at the front, where a plain dict is slow to find its first entry after many deletions.
        self._idle: dict[Connection, float] = {}
        self._waiting: OrderedDict[Waiter, float] = OrderedDict()

    @property
    def open(self) -> int:
        """Return the number of connections opening, busy and idle."""
        return self._open

    @property
    def idle(self) -> int:
        """Return the number of idle connections."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Return the number of exchanges that wait for a connection."""
        return len(self._waiting)

    @property
    def _queued(self) -> int:
        """Return the number of waiters beyond the connections being opened."""
        return len(self._waiting) - self._opening

    def take(self) -> Connection | None:
        """Return the most recently used idle connection; None means that `acquire` must decide.

        The others may grow old and expire.
        """
        return self._idle.popitem()[0] if self._idle else None

    def reserve(self) -> bool:
        """Reserve a place for a new connection of the caller; False: `acquire` must decide.

        Only if there are neither waiters nor connections being opened, so that it overtakes no waiter. The
        place counts as busy. The caller follows with `wait` if opening takes time, with `lost` if it
        fails.
        """
        if self._opening or self._waiting or self._open >= self._max_open:
            return False
        self._open += 1
        return True

    def wait(self, waiter: Waiter, now: float) -> None:
        """Queue a caller whose reserved connection takes time; the first to open serves the first waiter."""
        self._opening += 1
        self._waiting[waiter] = now

    def acquire(
        self, waiter: Waiter, now: float
    ) -> Use[Connection, Waiter] | Open[Waiter] | Refuse[Waiter] | None:
        """Find a connection for `waiter`; None means that it waits for one to be released."""
        if (connection := self.take()) is not None:
            return Use(connection, waiter)
        is_spare_coming = self._opening > len(self._waiting)
        if not is_spare_coming and self._open >= self._max_open and self._queued >= self._max_waiting:
            return Refuse(waiter)
        self._waiting[waiter] = now
        # A connection being opened for a waiter that has been served meanwhile serves this one: opening
        # another would make more connections than clients.
        return self._open_for_waiting()

    def opened(
        self, connection: Connection, now: float
    ) -> Use[Connection, Waiter] | Close[Connection] | None:
        """Assign a connection that is established; None means that it is idle."""
        self._opening -= 1
        return self._place(connection, now)

    def release(
        self, connection: Connection, now: float
    ) -> Use[Connection, Waiter] | Close[Connection] | None:
        """Return a connection that may carry another exchange; None means that it is idle.

        For one that may not, the caller closes it and calls `lost`.
        """
        if not self._waiting and len(self._idle) < self._max_idle:
            # As `_place`, inlined: this is most of the pool's work.
            self._idle[connection] = now
            return None
        return self._place(connection, now)

    def lost(self, connection: Connection) -> Open[Waiter] | None:
        """Remove a connection, idle or busy, that has ended; a waiter may get a new one."""
        self._idle.pop(connection, None)
        self._open -= 1
        return self._open_for_waiting()

    def failed(self) -> tuple[Waiter | None, Open[Waiter] | None]:
        """Remove a connection that could not be opened; return the first waiter, which fails with it."""
        self._opening -= 1
        self._open -= 1
        waiter = self._waiting.popitem(last=False)[0] if self._waiting else None
        return waiter, self._open_for_waiting()

    def renew(self, connection: Connection, waiter: Waiter) -> Open[Waiter]:
        """Reuse the place of a busy connection that has ended for a fresh one of the same exchange."""
        return Open(reserved_for=waiter)

    def cancel(self, waiter: Waiter) -> None:
        """Remove a waiter; a connection being opened for it will serve another, or be idle."""
        self._waiting.pop(waiter, None)

    def expire(self, now: float) -> list[Close[Connection] | Refuse[Waiter]]:
        """End expired idle connections and waits; the caller follows a `Close` with `lost`."""
        actions: list[Close[Connection] | Refuse[Waiter]] = []
        oldest = now - self._idle_timeout_s
        for connection, _ in list(takewhile(lambda entry: entry[1] <= oldest, self._idle.items())):
            del self._idle[connection]
            actions.append(Close(connection))
        while self._waiting and now - next(iter(self._waiting.values())) >= self._queue_timeout_s:
            actions.append(Refuse(self._waiting.popitem(last=False)[0]))
        return actions

    def drain(self) -> list[Close[Connection]]:
        """Close every idle connection and keep none from now on."""
        self._max_idle = 0
        actions = [Close(connection) for connection in self._idle]
        self._idle.clear()
        return actions

    def _place(
        self, connection: Connection, now: float
    ) -> Use[Connection, Waiter] | Close[Connection] | None:
        if self._waiting:
            return Use(connection, self._waiting.popitem(last=False)[0])
        if len(self._idle) < self._max_idle:
            self._idle[connection] = now
            return None
        return Close(connection)

    def _open_for_waiting(self) -> Open[Waiter] | None:
        if len(self._waiting) > self._opening and self._open < self._max_open:
            return self._begin_open()
        return None

    def _begin_open(self) -> Open[Waiter]:
        self._open += 1
        self._opening += 1
        return self._any
