"""One process's turns: waits until descriptors are ready, and calls who watches them. No sockets, no HTTP.

Not an asyncio loop: two of the four system calls of an exchange would then go through layers that cost as
much as the calls themselves. What the proxy needs of a loop is here: descriptors, a tick, signals, and calls
for later.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from typing import Protocol

IN, OUT = select.EPOLLIN, select.EPOLLOUT
END = select.EPOLLRDHUP
"""The other side has ended what it sends."""
CHANGES = select.EPOLLET
"""Tell of each event once. Otherwise the kernel looks again, at the next turn, at all that it told before."""
TURN = 64
"""Events of a turn. What a turn reads is sent on by the next: with more of them the processor's caches would
have lost, at 2,000 clients, what they knew of each connection (4 % of all that an exchange costs)."""


class Watcher(Protocol):
    """Who watches a descriptor."""

    def read(self) -> None:
        """Take it that there is something to read, and nothing else to learn."""

    def ready(self, events: int) -> None:
        """Take any other events of epoll; both are hints, which an earlier event may have made stale."""


class Holder(Protocol):
    """A watcher that holds back what it has to send."""

    descriptor: int

    def flush(self) -> None:
        """Send it."""


class Poller:
    """Waits, and calls.

    A turn: what is ready is handled; then they who held back in the turn before send, and come the calls that
    it has left for `later`; then those that this turn has left for `soon`.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        # By descriptor: these are small numbers, since the kernel gives the lowest that is free, and a list
        # of them stays in the processor's cache.
        self._watchers: list[Watcher | None] = []
        self.held: list[Holder] = []
        """Who holds something back until all that has come in for it by now was read."""
        self.later: list[Callable[[], None]] = []
        """Calls to make at the end of the next turn, which comes at once."""
        self.soon: list[Callable[[], None]] = []
        """Calls to make at the end of this turn."""
        self.is_running = False
        self._failed: Callable[[Watcher, Exception], None] = _raise
        self._tick: Callable[[], None] = lambda: None
        self._tick_s = inf

    def add(self, descriptor: int, watcher: Watcher, events: int = IN) -> None:
        """Begin to watch a descriptor, for what comes in unless told otherwise."""
        self._epoll.register(descriptor, events)
        watchers = self._watchers
        while len(watchers) <= descriptor:
            watchers.append(None)
        watchers[descriptor] = watcher

    def change(self, descriptor: int, events: int) -> None:
        """Watch it for these events from now on, and tell anew what is there; hang-ups are always told."""
        self._epoll.modify(descriptor, events)

    def hand(self, descriptor: int, watcher: Watcher) -> None:
        """Tell another watcher from now on."""
        self._watchers[descriptor] = watcher

    def remove(self, descriptor: int) -> None:
        """Forget a descriptor that is about to be closed, which ends epoll's interest in it."""
        self._watchers[descriptor] = None

    def release(self, descriptor: int) -> None:
        """Forget a descriptor that stays open."""
        self._watchers[descriptor] = None
        self._epoll.unregister(descriptor)

    def every(self, seconds: float, tick: Callable[[], None]) -> None:
        """Call `tick` about once in so many seconds."""
        self._tick_s, self._tick = seconds, tick

    def guard(self, failed: Callable[[Watcher, Exception], None]) -> None:
        """Have `failed` take what a watcher raises; without it, the turns end with it."""
        self._failed = failed

    def on_signals(self, numbers: Iterable[int], call: Callable[[], None]) -> None:
        """Make a call, from a turn, for each of these signals that comes."""
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        for number in numbers:
            # The interpreter writes to the pipe only for signals that have a handler in Python.
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writing)
        self.add(reading, _Signals(reading, call))

    def run(self) -> None:
        """Take turns until told to stop."""
        self.is_running = True
        poll = self._epoll.poll
        due = monotonic() + self._tick_s
        while self.is_running:
            calls, self.later = self.later, []
            held, self.held = self.held, []
            wait_s = 0 if calls or held else max(0.0, due - monotonic())
            ready = poll(wait_s if wait_s < inf else None, TURN)
            self._tell(ready)
            if held:
                if len(ready) == TURN:
                    self._look_at(held)
                for holder in held:
                    holder.flush()
            for call in calls:
                call()
            if self.soon:
                calls, self.soon = self.soon, []
                for call in calls:
                    call()
            if monotonic() >= due:
                self._tick()
                due = monotonic() + self._tick_s

    def _tell(self, ready: Iterable[tuple[int, int]]) -> None:
        watchers = self._watchers
        for descriptor, events in ready:
            # An earlier event may have closed this one.
            watcher = watchers[descriptor]
            if watcher is None:
                continue
            try:
                if events == IN:
                    watcher.read()
                else:
                    watcher.ready(events)
            except Exception as error:  # noqa: BLE001 - one watcher's bug is not the others' end
                self._failed(watcher, error)

    def _look_at(self, held: list[Holder]) -> None:
        """Read what has come in for these, where more has come in than the turn had room for."""
        look = select.poll()
        for holder in held:
            if holder.descriptor >= 0:
                look.register(holder.descriptor, select.POLLIN)
        self._tell((descriptor, IN) for descriptor, _ in look.poll(0))

    def stop(self) -> None:
        """Make this turn the last one."""
        self.is_running = False

    def close(self) -> None:
        """Let go of the epoll; what was watched stays open."""
        self._epoll.close()


def _raise(watcher: Watcher, error: Exception) -> None:
    raise error


class _Signals:
    """The reading end of the pipe that the interpreter tells of signals."""

    def __init__(self, descriptor: int, call: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._call = call

    def read(self) -> None:
        for _ in os.read(self._descriptor, 64):
            self._call()

    def ready(self, events: int) -> None:
        self.read()
