"""WebSockets on picows (the [push] extra): how they are opened, and one that carries requests in turn."""

import asyncio
from typing import Any

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

_HANDSHAKE_S = 30.0
"""Thousands shake hands at once: picows' own 5 s are for one."""


async def connect(listener: WSListener, url: str, **options: Any) -> None:
    """Connect `listener` to `url`; OSError where that fails."""
    try:
        await ws_connect(lambda: listener, url, websocket_handshake_timeout=_HANDSHAKE_S, **options)
    except (WSError, TimeoutError) as error:
        raise ConnectionError(f"no connection: {error}") from error


class WebSocketConnection(WSListener):
    """One connection. States: away, connected, closed."""

    def __init__(self) -> None:
        self._transport: WSTransport | None = None
        self._waiting: asyncio.Future[bytes] | None = None

    @property
    def is_connected(self) -> bool:
        """Return whether it is connected."""
        return self._transport is not None

    async def request(self, message: bytes) -> bytes:
        """Send a message and return the one that answers it; ConnectionError where the connection ends."""
        if self._transport is None:
            raise ConnectionError("the connection is gone")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.send(WSMsgType.TEXT, message)
        return await self._waiting

    def receive(self, message: bytes) -> None:
        """Accept a message: the response to the request that waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(message)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Pass a message on."""
        if frame.msg_type == WSMsgType.TEXT:
            self.receive(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Fail the request that waits."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the connection ended before the response came"))
