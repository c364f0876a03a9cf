"""Waits until sockets are ready: epoll on Linux, poll elsewhere.

Not an asyncio loop: importing one costs as much as ten thousand requests, and its timers have a
grain of a millisecond, where an open loop must be on time to some tens of microseconds.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Protocol

READABLE = select.POLLIN
WRITABLE = select.POLLOUT

_GRAIN_NS = 1_000_000
"""epoll_wait counts in milliseconds, and Python rounds up to them."""

Handler = Callable[[], None]


class _Poll(Protocol):
    def register(self, fd: int, eventmask: int, /) -> None: ...
    def modify(self, fd: int, eventmask: int, /) -> None: ...
    def unregister(self, fd: int, /) -> None: ...


class Poller:
    """Knows a handler for each descriptor that is watched, and waits until some are ready.

    A handler may close its own descriptor and open others; it must leave those of others alone, since
    their events may be in the batch at hand.
    """

    __slots__ = ("_epoll", "_events", "_poll", "handlers")

    def __init__(self) -> None:
        self.handlers: dict[int, Handler] = {}
        """What to call when a descriptor is ready for what it is watched for, in error or hung up."""
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            self._poll: _Poll = self._epoll
            self._events: Callable[[float], list[tuple[int, int]]] = self._epoll.poll
        else:
            poll = self._poll = select.poll()
            self._events = lambda timeout_s: poll.poll(timeout_s * 1000)

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        """Call `handler` whenever `fd` is ready for `mask`, in error or hung up."""
        self.handlers[fd] = handler
        self._poll.register(fd, mask)

    def turn(self, fd: int, mask: int, handler: Handler) -> None:
        """Watch `fd` for `mask` from now on."""
        self.handlers[fd] = handler
        self._poll.modify(fd, mask)

    def hand(self, fd: int, handler: Handler) -> None:
        """Let `handler` take what was watched for already."""
        self.handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Leave `fd` alone; before it is closed."""
        del self.handlers[fd]
        self._poll.unregister(fd)

    def run_ready(self, timeout_ns: int) -> None:
        """Wait up to `timeout_ns` until something is ready, and call the handlers of all that is."""
        for fd, _ in self.ready(timeout_ns):
            self.handlers[fd]()

    def ready(self, timeout_ns: int) -> list[tuple[int, int]]:
        """Wait up to `timeout_ns` until something is ready; return descriptors and events of all that is.

        Comes back up to a millisecond early where the wait is longer than that, but hardly late.
        """
        if timeout_ns > _GRAIN_NS:
            timeout_ns -= _GRAIN_NS
        else:
            timeout_ns = self._wait_finely(timeout_ns)
        return self._events(timeout_ns / 1e9)

    def _wait_finely(self, timeout_ns: int) -> int:
        """Wait for a short time; return how long is left to wait."""
        if timeout_ns > 0 and self._epoll:
            select.select((self._epoll,), (), (), timeout_ns / 1e9)  # Counts in microseconds.
            return 0
        return max(0, timeout_ns)
