"""`python -m backends.push`: one feed of messages, polled, long-polled, or pushed by SSE or WebSocket.

One aiohttp application serves all four, so that a comparison compares the ways and not their servers. A
message has a number, from 1 on; whoever asks says which number it has last (`since=`, `Last-Event-ID`), so
that nothing is lost or doubled across requests and reconnects.
"""

import argparse
import asyncio
import sys
from collections import deque
from typing import Final, NamedTuple

from aiohttp import WSMsgType, web

from backends.counters import Counters
from backends.role import Backend
from backends.serving import Parser, main
from backends.watched import WatchedServer

KEPT: Final = 10_000
"""Messages that are kept for those who come back; who was away for longer has lost some."""
_NEVER_S: Final = 7 * 86400.0


class Message(NamedTuple):
    """One message of the feed."""

    number: int
    text: str


class Feed:
    """The messages so far, and one future for all that wait for the next: waking them costs one step."""

    def __init__(self) -> None:
        self._kept: deque[Message] = deque(maxlen=KEPT)
        self._last = 0
        self._next: asyncio.Future[None] | None = None

    @property
    def last(self) -> int:
        """The number of the newest message; 0 before the first."""
        return self._last

    def publish(self, text: str) -> Message:
        """Adds a message and wakes all that wait."""
        self._last += 1
        message = Message(self._last, text)
        self._kept.append(message)
        if self._next is not None:
            self._next.set_result(None)
            self._next = None
        return message

    def after(self, number: int) -> list[Message]:
        """Returns the kept messages with a higher number, the oldest first."""
        newer = self._last - number
        if newer <= 0:
            return []
        return list(self._kept)[-newer:]

    async def changed(self, timeout_s: float | None = None) -> bool:
        """Waits for the next message; returns whether it came within `timeout_s`."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._next], timeout=timeout_s)
        return self._next is None or self._next.done()


class Push:
    """The handlers, and what they share."""

    def __init__(self, feed: Feed, counters: Counters, hold_s: float) -> None:
        self._feed = feed
        self._counters = counters
        self._hold_s = hold_s

    async def publish(self, request: web.Request) -> web.Response:
        """Takes one message; answers with its number."""
        message = self._feed.publish(await request.text())
        return web.Response(text=str(message.number))

    async def poll(self, request: web.Request) -> web.Response:
        """Answers at once with the messages since the number that is given."""
        self._counters.requests += 1
        return _batch(self._feed.after(_since(request)))

    async def long_poll(self, request: web.Request) -> web.Response:
        """Answers as soon as there is a message, or after the hold time with none."""
        self._counters.requests += 1
        since = _since(request)
        if self._feed.last <= since:
            await self._feed.changed(self._hold_s)
        return _batch(self._feed.after(since))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Streams messages as server-sent events (WHATWG HTML, section 9.2)."""
        self._counters.requests += 1
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        last = _since(request)
        while True:
            messages = self._feed.after(last)
            if messages:
                last = messages[-1].number
                text = "".join(f"id: {message.number}\ndata: {message.text}\n\n" for message in messages)
                await response.write(text.encode())
            else:
                await self._feed.changed()

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Sends messages as text frames, `NUMBER TEXT` each (RFC 6455)."""
        self._counters.requests += 1
        socket = web.WebSocketResponse(compress=False, autoping=True)
        await socket.prepare(request)
        sending = asyncio.ensure_future(self._send(socket, _since(request)))
        try:
            async for frame in socket:
                if frame.type is WSMsgType.ERROR:
                    break
        finally:
            sending.cancel()
        return socket

    async def _send(self, socket: web.WebSocketResponse, last: int) -> None:
        while not socket.closed:
            messages = self._feed.after(last)
            for message in messages:
                await socket.send_str(f"{message.number} {message.text}")
                last = message.number
            if not messages:
                await self._feed.changed()


def _since(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID") or request.query.get("since", "0")
    if not text.isdecimal():
        raise web.HTTPBadRequest(text=f"since={text} is no message's number")
    return int(text)


def _batch(messages: list[Message]) -> web.Response:
    if not messages:
        return web.Response(status=204)
    return web.Response(text="".join(f"{message.number} {message.text}\n" for message in messages))


async def _make(given: argparse.Namespace, counters: Counters) -> Backend:
    push = Push(Feed(), counters, given.hold)
    application = web.Application()
    application.add_routes(
        [
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
    return WatchedServer(runner.server, counters)


def _parser() -> Parser:
    parser = Parser("backends.push", "A feed of messages, polled or pushed.")
    parser.add_argument("--hold", type=float, default=25.0, metavar="S", help="longest wait of a long poll")
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser(), sys.argv[1:], _make))
