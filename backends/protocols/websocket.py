"""WebSockets (RFC 6455) on picows: its own server, and connections that are counted."""

import asyncio
import socket
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from backends.role.backend import Backend
from backends.role.listening import BACKLOG, HANDSHAKE_S

if TYPE_CHECKING:
    from picows.picows import WSCloseHandshake

MESSAGE_MAX = 64 * 1024 * 1024
"""Bytes of a message that is accepted."""


class WebSocketConnection(WSListener):
    """One connection, counted from its handshake to its end."""

    def __init__(self, backend: "WebSocketBackend") -> None:
        self._backend = backend
        self._is_dropped = False
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Count the connection."""
        self.transport = transport
        self._backend.connections.add(self)
        self.on_open()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Pass a text on; answer a close with a close."""
        if frame.msg_type == WSMsgType.TEXT:
            self.on_text(frame.get_payload_as_utf8_text())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), b"")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Count how the connection ended."""
        self.transport = None
        self.on_close()
        self._backend.connections.discard(self)
        handshake = cast("WSCloseHandshake | None", transport.close_handshake)  # None: it ended without one
        if self._is_dropped or (handshake is not None and handshake.recv is None):
            self._backend.counters.closed_first += 1

    def on_open(self) -> None:
        """Begin, once the handshake is done."""

    def on_text(self, text: str) -> None:
        """Handle a text message."""

    def on_close(self) -> None:
        """Release what the connection held."""

    def send(self, data: bytes) -> None:
        """Send a text message, unless the connection is gone."""
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, data)

    def close(self) -> None:
        """End the connection from this side."""
        if self.transport is not None:
            self._is_dropped = True
            self.transport.disconnect()


class WebSocketBackend(Backend):
    """Accepts by picows' own server; a kind of backend makes its connections in `connect`."""

    def connect(self, path: str, query: dict[str, str]) -> WebSocketConnection | None:
        """Return the listener of a new connection; None refuses it."""
        raise NotImplementedError

    async def accept(self, listener: socket.socket) -> asyncio.AbstractServer:
        """Serve the connections that come to a socket."""
        return await ws_create_server(
            self._upgrade,
            sock=listener,
            backlog=BACKLOG,
            max_frame_size=MESSAGE_MAX,
            websocket_handshake_timeout=HANDSHAKE_S,
        )

    def _upgrade(self, request: WSUpgradeRequest) -> WebSocketConnection | None:
        self.counters.accepted += 1
        url = urlsplit(request.path.decode())
        connection = self.connect(url.path, dict(parse_qsl(url.query)))
        if connection is None:
            self.counters.errors.protocol += 1
        return connection
