"""Watches the sockets of upstream connections through one epoll descriptor, which the event loop watches.

uvloop takes seven system calls to watch a descriptor and to forget it again, which a connection for a single
request does not earn back, and the standard library's loop schedules a call for each event.
"""

import asyncio
import contextlib
import select
from collections.abc import Callable

_MAX_EVENTS = 64


class EpollWatcher:
    """Calls readers as an asyncio loop does; descriptors may be closed once their reader is removed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], object]] = {}
        loop.add_reader(self._epoll.fileno(), self._read_ready)

    def add_reader(self, descriptor: int, reader: Callable[[], object]) -> None:
        """Call `reader` whenever the descriptor is readable."""
        if descriptor not in self._readers:
            with contextlib.suppress(FileExistsError):
                self._epoll.register(descriptor, select.EPOLLIN)
        self._readers[descriptor] = reader

    def remove_reader(self, descriptor: int) -> bool:
        """Stop watching; return whether the descriptor was watched."""
        # Most are closed next, which ends epoll's interest in them.
        return self._readers.pop(descriptor, None) is not None

    def _read_ready(self) -> None:
        readers = self._readers
        for descriptor, _ in self._epoll.poll(0, _MAX_EVENTS):
            reader = readers.get(descriptor)
            if reader is not None:
                reader()
            else:
                # It is paused, or an earlier reader has closed it.
                with contextlib.suppress(OSError):
                    self._epoll.unregister(descriptor)
