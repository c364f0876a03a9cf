"""`python -m backends.scenarios.push.server`: one feed of messages, polled, long-polled, or pushed.

One aiohttp application serves all variants, so that a comparison compares them and not their servers. A page
at `/` follows the feed in a browser.
"""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from backends.protocols import aiohttp_server
from backends.protocols.aiohttp_server import last_event_id
from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.scenarios.page import page
from backends.scenarios.push.feed import Feed, FeedMessage, add_drop_flags, start_dropping

MESSAGE_MAX = 64 * 1024 * 1024
"""Bytes of a message that is accepted."""


class PushHandlers:
    """The handlers, and what they share."""

    def __init__(self, feed: Feed, counters: Counters, hold_s: float) -> None:
        self._feed = feed
        self._counters = counters
        self._hold_s = hold_s
        self.followers: dict[asyncio.Transport, None] = {}
        """The connections that are pushed to or held, the oldest first."""

    async def publish(self, request: web.Request) -> web.Response:
        """Publish a message; answer with its number."""
        message = self._feed.publish(await request.text())
        return web.Response(text=str(message.number))

    async def poll(self, request: web.Request) -> web.Response:
        """Answer at once with the messages since the number that is given."""
        self._counters.requests += 1
        return _batch(self._feed.after(last_event_id(request)))

    async def long_poll(self, request: web.Request) -> web.Response:
        """Answer as soon as there is a message, or after the hold time with none."""
        self._counters.requests += 1
        since = last_event_id(request)
        if self._feed.last <= since:
            with self._following(request):
                await self._feed.changed(self._hold_s)
        return _batch(self._feed.after(since))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream messages as server-sent events (WHATWG HTML, section 9.2).

        A client that does not read is not written to: its place in the feed is kept, not its messages.
        """
        self._counters.requests += 1
        response = await aiohttp_server.open_event_stream(request)
        last = last_event_id(request)
        with self._following(request):
            while True:
                messages = self._feed.after(last)
                if messages:
                    last = messages[-1].number
                    await response.write(b"".join([message.event for message in messages]))
                else:
                    await self._feed.changed()

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Send messages as text frames, `NUMBER TEXT` each (RFC 6455)."""
        self._counters.requests += 1
        socket = web.WebSocketResponse(compress=False, autoping=True)
        await socket.prepare(request)
        with self._following(request):
            sending = self._send(socket, last_event_id(request))
            await aiohttp_server.send_until_closed(socket, sending)
        return socket

    async def _send(self, socket: web.WebSocketResponse, last: int) -> None:
        while not socket.closed:
            messages = self._feed.after(last)
            for message in messages:
                await socket.send_str(message.line)
                last = message.number
            if not messages:
                await self._feed.changed()

    @contextmanager
    def _following(self, request: web.Request) -> Iterator[None]:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has left")
        self.followers[transport] = None
        try:
            yield
        finally:
            del self.followers[transport]


def _batch(messages: list[FeedMessage]) -> web.Response:
    if not messages:
        return web.Response(status=204)
    return web.Response(text="".join(f"{message.line}\n" for message in messages))


async def _make(given: argparse.Namespace) -> Backend:
    counters = Counters()
    push = PushHandlers(Feed(), counters, given.hold)
    routes = [
        web.get("/", page),
        web.post("/publish", push.publish),
        web.get("/poll", push.poll),
        web.get("/long-poll", push.long_poll),
        web.get("/events", push.events),
        web.get("/socket", push.socket),
    ]
    start_dropping(given, push.followers)
    return await aiohttp_server.make_backend(routes, counters, MESSAGE_MAX)


if __name__ == "__main__":
    parser = server_parser("backends.scenarios.push.server", "A feed of messages, polled or pushed.")
    parser.add_argument("--hold", type=float, default=25.0, metavar="S", help="longest wait of a long poll")
    add_drop_flags(parser)
    run_server(parser, _make)
