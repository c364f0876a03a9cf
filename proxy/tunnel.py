"""Two connections joined after an Upgrade (RFC 9110, section 7.8): bytes both ways, with back-pressure."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.transport import Transport

if TYPE_CHECKING:
    from proxy.upstream import UpstreamConnection


class Tunnel:
    """A client's and an upstream's transport that forward each other's bytes until both have closed."""

    __slots__ = ("_on_close", "_open", "_sides", "connection", "idle_since", "was_active")

    def __init__(self, client: Transport, upstream: Transport, connection: "UpstreamConnection") -> None:
        self.connection = connection
        """It counts as open for as long."""
        self._sides = (_Side(self, client, upstream), _Side(self, upstream, client))
        self._on_close: Callable[[Tunnel], None] | None = None
        self._open = 2
        self.was_active = True
        self.idle_since = 0.0

    def begin(self, early_data: bytes, on_close: "Callable[[Tunnel], None]") -> None:
        """Join the two; `early_data` goes to the upstream first, `on_close` runs when both are closed."""
        self._on_close = on_close
        for side in self._sides:
            side.source.set_protocol(side)
            if side.destination.is_full:
                side.source.pause_reading()
        client, upstream = self._sides
        if early_data:
            upstream.source.send(early_data)
        if client.source.has_ended:
            upstream.source.write_eof()

    def is_idle(self, now: float, timeout_s: float) -> bool:
        """Return whether no bytes have moved for `timeout_s`; called once a sweep."""
        if self.was_active:
            self.was_active = False
            self.idle_since = now
        return now - self.idle_since >= timeout_s

    def abort(self) -> None:
        """Abort both connections."""
        for side in self._sides:
            side.source.abort()

    def side_closed(self) -> None:
        """Note that one of the two has closed."""
        self._open -= 1
        if self._open == 0 and self._on_close is not None:
            self._on_close(self)


class _Side(asyncio.Protocol):
    """One direction: input of `source` is sent to `destination`."""

    __slots__ = ("_tunnel", "destination", "source")

    def __init__(self, tunnel: Tunnel, source: Transport, destination: Transport) -> None:
        self._tunnel = tunnel
        self.source = source
        self.destination = destination

    def data_received(self, data: bytes) -> None:
        """Forward the bytes."""
        self._tunnel.was_active = True
        self.destination.send(data)

    def eof_received(self) -> bool:
        """Forward the FIN; the other direction stays open."""
        self.destination.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side."""
        self._tunnel.side_closed()
        if exc is None:
            self.destination.close()
        else:
            self.destination.abort()

    def pause_writing(self) -> None:
        """Stop reading from the other side."""
        self.destination.pause_reading()

    def resume_writing(self) -> None:
        """Read from the other side again."""
        self.destination.resume_reading()
