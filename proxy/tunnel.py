"""Two connections joined after an Upgrade (RFC 9110, section 7.8): bytes both ways, with back-pressure."""

from __future__ import annotations

from collections.abc import Callable

from proxy.transport import Transport


class Tunnel:
    """A client's and an upstream's transport that carry each other's bytes until both have closed."""

    __slots__ = ("_ends", "_on_end", "_open", "has_moved", "silent_since")

    def __init__(self, client: Transport, upstream: Transport) -> None:
        self._ends = (_End(self, client, upstream), _End(self, upstream, client))
        self._on_end: Callable[[Tunnel], None] | None = None
        self._open = 2
        self.has_moved = True
        self.silent_since = 0.0

    def begin(self, early: bytes, on_end: Callable[[Tunnel], None]) -> None:
        """Join the two; `early` goes to the upstream first, `on_end` is told when both have closed."""
        self._on_end = on_end
        for end in self._ends:
            end.here.set_protocol(end)
        if early:
            self._ends[1].here.send(early)

    def is_silent(self, now: float, timeout_s: float) -> bool:
        """Tell whether nothing has moved for `timeout_s`; to be asked once in a while."""
        if self.has_moved:
            self.has_moved = False
            self.silent_since = now
        return now - self.silent_since >= timeout_s

    def abort(self) -> None:
        """Cut both connections."""
        for end in self._ends:
            end.here.abort()

    def closed(self) -> None:
        """Learn that one of the two has closed."""
        self._open -= 1
        if self._open == 0 and self._on_end is not None:
            self._on_end(self)


class _End:
    """One side: what comes in `here` goes out `there`."""

    __slots__ = ("_tunnel", "here", "there")

    def __init__(self, tunnel: Tunnel, here: Transport, there: Transport) -> None:
        self._tunnel = tunnel
        self.here = here
        self.there = there

    def data_received(self, data: bytes) -> None:
        self._tunnel.has_moved = True
        self.there.send(data)

    def eof_received(self) -> bool:
        # Half-closed: the other direction may still have something to say.
        self.there.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._tunnel.closed()
        if exc is None:
            self.there.close()
        else:
            self.there.abort()

    def pause_writing(self) -> None:
        self.there.pause_reading()

    def resume_writing(self) -> None:
        self.there.resume_reading()
