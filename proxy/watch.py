"""Watches short-lived sockets through one epoll descriptor, which the event loop watches in turn.

A loop takes seven system calls to watch a new descriptor and to forget it again; a connection that serves a
single request is closed before that pays.
"""

import asyncio
import select
from collections.abc import Callable

_MAX_EVENTS = 64


class EpollWatcher:
    """Calls readers as an asyncio loop does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], object]] = {}
        loop.add_reader(self._epoll.fileno(), self._read_ready)

    def add_reader(self, descriptor: int, reader: Callable[[], object]) -> None:
        """Call `reader` whenever the descriptor is readable."""
        if descriptor not in self._readers:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._readers[descriptor] = reader

    def remove_reader(self, descriptor: int) -> bool:
        """Stop watching; return whether the descriptor was watched."""
        if self._readers.pop(descriptor, None) is None:
            return False
        self._epoll.unregister(descriptor)
        return True

    def _read_ready(self) -> None:
        readers = self._readers
        for descriptor, _ in self._epoll.poll(0, _MAX_EVENTS):
            # An earlier reader may have closed this descriptor.
            reader = readers.get(descriptor)
            if reader is not None:
                reader()
