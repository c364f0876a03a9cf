"""Waits until sockets are ready: epoll on Linux, poll elsewhere.

Not an asyncio loop: each request would cost a few per cent more, and its import as much as some thousand of
them (docs/reference/pipes.md has the figures). Its timers have a resolution of a millisecond, while an open
loop needs some tens of microseconds.
"""

import resource
import select
from collections.abc import Callable
from typing import Protocol

READABLE = select.POLLIN
WRITABLE = select.POLLOUT

_TIMER_NS = 1_000_000
"""Resolution of epoll_wait, to which Python rounds up."""

_OVERHEAD_FDS = 32
"""Standard streams, the poller, and what Python itself may open."""

Handler = Callable[[], None]


class _Poll(Protocol):
    def register(self, fd: int, eventmask: int, /) -> None: ...
    def modify(self, fd: int, eventmask: int, /) -> None: ...
    def unregister(self, fd: int, /) -> None: ...


class Poller:
    """Calls the handler of each watched descriptor that is ready.

    A handler may close its own descriptor and open others. It must not close those of others, since their
    events may be in the current batch.
    """

    __slots__ = ("_epoll", "_poll", "_wait", "handlers")

    def __init__(self) -> None:
        self.handlers: dict[int, Handler] = {}
        """The handler of each descriptor: for readiness, errors and hang-ups."""
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            self._poll: _Poll = self._epoll
            self._wait: Callable[[float], list[tuple[int, int]]] = self._epoll.poll
        else:
            poll = self._poll = select.poll()
            self._wait = lambda timeout_s: poll.poll(timeout_s * 1000)

    def register(self, fd: int, mask: int, handler: Handler) -> None:
        """Call `handler` whenever `fd` is ready for `mask`, in error or hung up."""
        self.handlers[fd] = handler
        self._poll.register(fd, mask)

    def modify(self, fd: int, mask: int, handler: Handler) -> None:
        """Watch `fd` for `mask` from now on, with this handler."""
        self.handlers[fd] = handler
        self._poll.modify(fd, mask)

    def set_handler(self, fd: int, handler: Handler) -> None:
        """Replace the handler of `fd`."""
        self.handlers[fd] = handler

    def unregister(self, fd: int) -> None:
        """Stop watching `fd`, before it is closed."""
        del self.handlers[fd]
        self._poll.unregister(fd)

    def run_ready(self, timeout_ns: int) -> None:
        """Wait up to `timeout_ns` for events, and call the handlers of all that is ready."""
        for fd, _ in self.ready(timeout_ns):
            self.handlers[fd]()

    def ready(self, timeout_ns: int) -> list[tuple[int, int]]:
        """Wait up to `timeout_ns` for events; return descriptors and events of all that is ready.

        It returns up to a millisecond early from a longer wait, but hardly ever late.
        """
        if timeout_ns > _TIMER_NS:
            timeout_ns -= _TIMER_NS
        else:
            timeout_ns = self._wait_precisely(timeout_ns)
        return self._wait(timeout_ns / 1e9)

    def _wait_precisely(self, timeout_ns: int) -> int:
        """Wait for a short time; return the time that is left to wait."""
        if timeout_ns > 0 and self._epoll:
            select.select((self._epoll,), (), (), timeout_ns / 1e9)  # Has a resolution of microseconds.
            return 0
        return max(0, timeout_ns)


def raise_fd_limit(clients: int) -> str | None:
    """Raise the soft limit of open files for so many clients; return the reason if that fails, else None."""
    wanted = clients + _OVERHEAD_FDS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return (
            f"{clients} connections need {wanted} open files, and the limit is {hard};"
            f" raise it (ulimit -Hn {wanted}) or use more workers"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return None
