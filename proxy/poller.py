"""The event loop of one process: waits until descriptors are ready, and calls their handlers.

Not an asyncio loop: two of the four system calls of an exchange would then pass layers that cost as much
as the calls themselves. It has only what the proxy needs: descriptors, a tick, signals and deferred calls.
"""

import os
import select
import signal
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from typing import Protocol

READABLE, WRITABLE = select.EPOLLIN, select.EPOLLOUT
PEER_CLOSED = select.EPOLLRDHUP
"""The other side has shut down its sending side."""
EDGE_TRIGGERED = select.EPOLLET
"""Report each event once. Otherwise the kernel checks all reported descriptors again next time."""
MAX_EVENTS = 64
"""Events per iteration. The next iteration sends what this one has read: with more events, at 2,000 clients,
the processor's caches would have lost the state of each connection (4 % of the cost of an exchange).
"""


class EventHandler(Protocol):
    """Handles the events of a descriptor."""

    def read(self) -> None:
        """Handle that the descriptor is readable, and nothing else."""

    def ready(self, events: int) -> None:
        """Handle any other epoll events; they may be stale, as in `read`."""


class DeferredSender(Protocol):
    """A handler with deferred data to send."""

    descriptor: int

    def flush(self) -> None:
        """Send the data."""


class Poller:
    """Waits for events and calls handlers.

    An iteration handles the ready descriptors. Then it flushes the senders deferred in the iteration
    before, runs the calls that one left in `next_iteration`, and runs its own `end_of_iteration` calls.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        # Indexed by descriptor: the kernel assigns the lowest free number, and a short list stays in the
        # processor's cache.
        self._handlers: list[EventHandler | None] = []
        self.deferred: list[DeferredSender] = []
        """Senders that wait until all input that has arrived is read."""
        self.next_iteration: list[Callable[[], None]] = []
        """Calls for the end of the next iteration, which starts at once."""
        self.end_of_iteration: list[Callable[[], None]] = []
        """Calls for the end of this iteration."""
        self.is_running = False
        self._on_error: Callable[[EventHandler, Exception], None] = _raise
        self._tick: Callable[[], None] = lambda: None
        self._tick_s = inf

    def register(self, descriptor: int, handler: EventHandler, events: int = READABLE) -> None:
        """Watch a descriptor, for readability by default."""
        self._epoll.register(descriptor, events)
        handlers = self._handlers
        while len(handlers) <= descriptor:
            handlers.append(None)
        handlers[descriptor] = handler

    def modify(self, descriptor: int, events: int) -> None:
        """Watch for these events from now on, and report pending ones again; hang-ups are always reported."""
        self._epoll.modify(descriptor, events)

    def set_handler(self, descriptor: int, handler: EventHandler) -> None:
        """Replace the handler of a descriptor."""
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Forget a descriptor that is about to be closed, which ends epoll's interest in it."""
        self._handlers[descriptor] = None

    def unregister(self, descriptor: int) -> None:
        """Stop watching a descriptor that stays open."""
        self._handlers[descriptor] = None
        self._epoll.unregister(descriptor)

    def set_tick(self, seconds: float, tick: Callable[[], None]) -> None:
        """Call `tick` about once in so many seconds."""
        self._tick_s, self._tick = seconds, tick

    def set_error_handler(self, on_error: Callable[[EventHandler, Exception], None]) -> None:
        """Pass exceptions of handlers to `on_error`; without it they end the loop."""
        self._on_error = on_error

    def on_signals(self, numbers: Iterable[int], call: Callable[[], None]) -> None:
        """Run a call, from an iteration, for each of these signals that arrives."""
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        for number in numbers:
            # The interpreter writes to the pipe only for signals with a Python handler.
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writing)
        self.register(reading, _Signals(reading, call))

    def run(self) -> None:
        """Run iterations until stopped."""
        self.is_running = True
        poll = self._epoll.poll
        due = monotonic() + self._tick_s
        while self.is_running:
            calls, self.next_iteration = self.next_iteration, []
            deferred, self.deferred = self.deferred, []
            wait_s = 0 if calls or deferred else max(0.0, due - monotonic())
            ready = poll(wait_s if wait_s < inf else None, MAX_EVENTS)
            self._dispatch(ready)
            if deferred:
                if len(ready) == MAX_EVENTS:
                    self._poll_deferred(deferred)
                for sender in deferred:
                    sender.flush()
            for call in calls:
                call()
            if self.end_of_iteration:
                calls, self.end_of_iteration = self.end_of_iteration, []
                for call in calls:
                    call()
            if monotonic() >= due:
                self._tick()
                due = monotonic() + self._tick_s

    def _dispatch(self, ready: Iterable[tuple[int, int]]) -> None:
        handlers = self._handlers
        for descriptor, events in ready:
            # An earlier event may have closed this descriptor.
            handler = handlers[descriptor]
            if handler is None:
                continue
            try:
                if events == READABLE:
                    handler.read()
                else:
                    handler.ready(events)
            except Exception as error:  # noqa: BLE001 - one handler's bug must not end the others
                self._on_error(handler, error)

    def _poll_deferred(self, deferred: list[DeferredSender]) -> None:
        """Read the input of these senders if there was more than one iteration handles."""
        poll = select.poll()
        for sender in deferred:
            if sender.descriptor >= 0:
                poll.register(sender.descriptor, select.POLLIN)
        self._dispatch((descriptor, READABLE) for descriptor, _ in poll.poll(0))

    def stop(self) -> None:
        """Make this iteration the last one."""
        self.is_running = False

    def close(self) -> None:
        """Close the epoll descriptor; watched descriptors stay open."""
        self._epoll.close()


def _raise(handler: EventHandler, error: Exception) -> None:
    raise error


class _Signals:
    """The reading end of the interpreter's wake-up pipe for signals."""

    def __init__(self, descriptor: int, call: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._call = call

    def read(self) -> None:
        """Run the call once per signal."""
        for _ in os.read(self._descriptor, 64):
            self._call()

    def ready(self, events: int) -> None:
        """Run the call once per signal."""
        self.read()
