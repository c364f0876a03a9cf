"""`python -m backends.push_picows`: the feed of messages by WebSocket only, on picows.

What `backends.push` does at `/socket`, as fast as Python can. A message is published by a frame at
`/publish`, which is answered with its number.
"""

import argparse
import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs, urlsplit

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from backends import dropping
from backends.connections import Connections
from backends.counters import Counters
from backends.dropping import Dropping
from backends.feed import Feed, Message
from backends.listening import BACKLOG
from backends.role import Acceptor
from backends.serving import Parser, main

if TYPE_CHECKING:
    from picows.picows import WSCloseHandshake

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a message that is taken."""


class Hub:
    """The feed and who follows it; a message goes to all of them at once."""

    def __init__(self, counters: Counters) -> None:
        self.feed = Feed()
        self.counters = counters
        self.connections: Connections[Subscriber | Publisher] = Connections()
        self.followers: dict[Subscriber, None] = {}

    def listener(self, request: WSUpgradeRequest) -> WSListener | None:
        """Return who serves a connection; None refuses it."""
        self.counters.accepted += 1
        url = urlsplit(request.path.decode())
        if url.path == "/publish":
            return Publisher(self)
        since = parse_qs(url.query).get("since", ["0"])[0]
        if url.path != "/socket" or not since.isdecimal():
            self.counters.errors.protocol += 1
            return None
        self.counters.requests += 1
        return Subscriber(self, int(since))

    def publish(self, text: str) -> Message:
        """Add a message and sends it to all that follow and read."""
        message = self.feed.publish(text)
        data = message.line.encode()
        for each in self.followers:
            each.take(message.number, data)
        return message

    def lost(self, transport: WSTransport, gone: "Subscriber | Publisher", *, dropped: bool) -> None:
        """Remove a connection that has ended."""
        self.connections.discard(gone)
        handshake = cast("WSCloseHandshake | None", transport.close_handshake)  # None: it ended without one
        if dropped or (handshake is not None and handshake.recv is None):
            self.counters.closed_first += 1


class Subscriber(WSListener):
    """One that follows. States: following, held (it does not read: its place is kept, not its messages)."""

    def __init__(self, hub: Hub, since: int) -> None:
        self._hub = hub
        self._last = since
        self._is_held = False
        self._dropped = False
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._hub.connections.add(self)
        self._hub.followers[self] = None
        self._catch_up()

    def take(self, number: int, data: bytes) -> None:
        """Send one message, unless others are held back before it."""
        if not self._is_held and self._transport is not None:
            self._last = number
            self._transport.send(WSMsgType.TEXT, data)

    def drop(self) -> None:
        """End the connection from this side."""
        if self._transport is not None:
            self._dropped = True
            self._transport.disconnect()

    def pause_writing(self) -> None:
        self._is_held = True

    def resume_writing(self) -> None:
        self._is_held = False
        self._catch_up()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), b"")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        del self._hub.followers[self]
        self._hub.lost(transport, self, dropped=self._dropped)

    def _catch_up(self) -> None:
        for message in self._hub.feed.after(self._last):
            if self._is_held:
                return
            self.take(message.number, message.line.encode())


class Publisher(WSListener):
    """One that publishes."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._hub.connections.add(self)

    def drop(self) -> None:
        """End the connection from this side."""
        if self._transport is not None:
            self._transport.disconnect()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            message = self._hub.publish(frame.get_payload_as_utf8_text())
            transport.send(WSMsgType.TEXT, str(message.number).encode())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), b"")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._hub.lost(transport, self, dropped=False)


class PicowsServer:
    """Accepts by picows' own server."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def accept(self, listener: socket.socket) -> asyncio.AbstractServer:
        """Serve the connections that come to a socket."""
        return await ws_create_server(
            self._hub.listener, sock=listener, backlog=BACKLOG, max_frame_size=LARGEST
        )

    async def drain(self, timeout_s: float) -> bool:
        """Close every connection; return whether all went in time."""
        for connection in self._hub.connections:
            connection.drop()
        return await self._hub.connections.gone(timeout_s)


async def _make(given: argparse.Namespace, counters: Counters) -> Acceptor:
    hub = Hub(counters)
    Dropping(given, lambda: hub.followers, Subscriber.drop).start()
    return PicowsServer(hub)


def _parser() -> Parser:
    parser = Parser("backends.push_picows", "A feed of messages by WebSocket, on picows.")
    dropping.add_flags(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser(), sys.argv[1:], _make))
