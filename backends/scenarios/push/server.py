"""`python -m backends.push`: one feed of messages, polled, long-polled, or pushed by SSE or WebSocket.

One aiohttp application serves all four, so that a comparison compares the ways and not their servers. A page
at `/` follows the feed in a browser (backends/pages.py).
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import WSMsgType, web

from backends import dropping, pages
from backends.counters import Counters
from backends.dropping import Dropping
from backends.feed import Feed, Message
from backends.role import Backend
from backends.serving import Parser, main
from backends.watched import WatchedServer

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a message that is taken."""
_NEVER_S: Final = 7 * 86400.0


class Push:
    """The handlers, and what they share."""

    def __init__(self, feed: Feed, counters: Counters, hold_s: float) -> None:
        self._feed = feed
        self._counters = counters
        self._hold_s = hold_s
        self.followers: dict[asyncio.Transport, None] = {}
        """The connections of those who are pushed to or held, the oldest first."""

    async def publish(self, request: web.Request) -> web.Response:
        """Accept one message; answers with its number."""
        message = self._feed.publish(await request.text())
        return web.Response(text=str(message.number))

    async def page(self, request: web.Request) -> web.Response:
        """Answer with the page that follows the feed."""
        return web.Response(text=pages.FEED, content_type="text/html")

    async def poll(self, request: web.Request) -> web.Response:
        """Answer at once with the messages since the number that is given."""
        self._counters.requests += 1
        return _batch(self._feed.after(_since(request)))

    async def long_poll(self, request: web.Request) -> web.Response:
        """Answer as soon as there is a message, or after the hold time with none."""
        self._counters.requests += 1
        since = _since(request)
        if self._feed.last <= since:
            with self._following(request):
                await self._feed.changed(self._hold_s)
        return _batch(self._feed.after(since))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream messages as server-sent events (WHATWG HTML, section 9.2).

        Who does not read is not written to: its place in the feed is kept, not its messages.
        """
        self._counters.requests += 1
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        last = _since(request)
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
            sending = asyncio.ensure_future(self._send(socket, _since(request)))
            try:
                async for frame in socket:
                    if frame.type is WSMsgType.ERROR:
                        break
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
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


def _since(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID") or request.query.get("since", "0")
    if not text.isdecimal():
        raise web.HTTPBadRequest(text=f"since={text} is no message's number")
    return int(text)


def _batch(messages: list[Message]) -> web.Response:
    if not messages:
        return web.Response(status=204)
    return web.Response(text="".join(f"{message.line}\n" for message in messages))


async def _make(given: argparse.Namespace, counters: Counters) -> Backend:
    push = Push(Feed(), counters, given.hold)
    application = web.Application(client_max_size=LARGEST)
    application.add_routes(
        [
            web.get("/", push.page),
            web.post("/publish", push.publish),
            web.get("/poll", push.poll),
            web.get("/long-poll", push.long_poll),
            web.get("/events", push.events),
            web.get("/socket", push.socket),
        ]
    )
    runner = web.AppRunner(application, access_log=None, handle_signals=False, keepalive_timeout=_NEVER_S)
    await runner.setup()
    assert runner.server is not None, "a runner that is set up has a server"
    Dropping(given, lambda: push.followers, lambda transport: transport.close()).start()
    return WatchedServer(runner.server, counters)


def _parser() -> Parser:
    parser = Parser("backends.push", "A feed of messages, polled or pushed.")
    parser.add_argument("--hold", type=float, default=25.0, metavar="S", help="longest wait of a long poll")
    dropping.add_flags(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser(), sys.argv[1:], _make))
