"""`python -m backends.scenarios.push.picows_server`: the feed of messages by WebSocket only, on picows.

What push/server.py does at `/socket`, as fast as Python can. A message is published by a frame at `/publish`,
which is answered with its number.
"""

import argparse

from picows import WSMsgType

from backends.protocols.websocket import WebSocketBackend, WebSocketConnection
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.scenarios.push.feed import Feed, FeedMessage, add_drop_flags, start_dropping


class Hub(WebSocketBackend):
    """The feed and its followers; a message goes to all of them at once."""

    def __init__(self) -> None:
        super().__init__(Counters())
        self.feed = Feed()
        self.followers: dict[Subscriber, None] = {}

    def connect(self, path: str, query: dict[str, str]) -> WebSocketConnection | None:
        """Return the listener of a new connection; None refuses it."""
        if path == "/publish":
            return Publisher(self)
        since = query.get("since", "0")
        if path != "/socket" or not since.isdecimal():
            return None
        self.counters.requests += 1
        return Subscriber(self, int(since))

    def publish(self, text: str) -> FeedMessage:
        """Add a message and send it to all that follow and read."""
        message = self.feed.publish(text)
        data = message.line.encode()
        for each in self.followers:
            each.push(message.number, data)
        return message


class Subscriber(WebSocketConnection):
    """A follower. States: following, held (it does not read: its place is kept, not its messages)."""

    def __init__(self, hub: Hub, since: int) -> None:
        super().__init__(hub)
        self._hub = hub
        self._last = since
        self._is_held = False

    def on_open(self) -> None:
        """Send what there is."""
        self._hub.followers[self] = None
        self._catch_up()

    def push(self, number: int, data: bytes) -> None:
        """Send one message, unless others are held back before it."""
        if not self._is_held and self.transport is not None:
            self._last = number
            self.transport.send(WSMsgType.TEXT, data)

    def pause_writing(self) -> None:
        """Hold messages back."""
        self._is_held = True

    def resume_writing(self) -> None:
        """Send what was held back."""
        self._is_held = False
        self._catch_up()

    def on_close(self) -> None:
        """Follow no longer."""
        del self._hub.followers[self]

    def _catch_up(self) -> None:
        for message in self._hub.feed.after(self._last):
            if self._is_held:
                return
            self.push(message.number, message.line.encode())


class Publisher(WebSocketConnection):
    """A connection that publishes."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._hub = hub

    def on_text(self, text: str) -> None:
        """Publish a message; answer with its number."""
        self.send(str(self._hub.publish(text).number).encode())


async def _make(given: argparse.Namespace) -> Hub:
    hub = Hub()
    start_dropping(given, hub.followers)
    return hub


if __name__ == "__main__":
    parser = server_parser(
        "backends.scenarios.push.picows_server", "A feed of messages by WebSocket, on picows."
    )
    add_drop_flags(parser)
    run_server(parser, _make)
