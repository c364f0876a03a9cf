"""`python -m backends.stream`: an answer as a stream of tokens, by server-sent events or by WebSocket.

Each request gets an answer of its own: a token every so often, one long silence if asked for, and at last
`end`. A token bears the moment at which it was written, so that whoever gets it knows how long it was held.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from time import monotonic_ns
from typing import Final

from aiohttp import web

from backends import pages
from backends.counters import Counters
from backends.role import Backend
from backends.serving import Parser, main
from backends.watched import WatchedServer

WORDS: Final = ("a", "long", "connection", "carries", "each", "token", "as", "soon", "as", "it", "is")
_NEVER_S: Final = 7 * 86400.0


class Answers:
    """The handlers, and how an answer goes."""

    def __init__(self, given: argparse.Namespace, counters: Counters) -> None:
        self._given = given
        self._counters = counters

    async def page(self, request: web.Request) -> web.Response:
        """Answer with the page that follows an answer."""
        return web.Response(text=pages.FEED, content_type="text/html")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream an answer as server-sent events; to HTTP/1.0 without a length or chunks, as it must."""
        self._counters.requests += 1
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        if self._given.no_accel:
            headers["X-Accel-Buffering"] = "no"
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        number = 0
        async for token in self._tokens():
            number += 1
            await response.write(f"id: {number}\ndata: {token}\n\n".encode())
        return response

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Send an answer as text frames, `NUMBER TOKEN` each."""
        self._counters.requests += 1
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        number = 0
        async for token in self._tokens():
            number += 1
            await socket.send_str(f"{number} {token}")
        await socket.close()
        return socket

    async def _tokens(self) -> AsyncIterator[str]:
        """Yield the tokens of one answer when they are due, `MOMENT WORD` each."""
        given = self._given
        begin_ns = monotonic_ns()
        for place in range(given.tokens):
            silence_s = given.silence if place >= given.tokens // 2 else 0.0
            due_ns = begin_ns + round((place * given.every + silence_s) * 1e9)
            await asyncio.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
            yield f"{monotonic_ns()} {WORDS[place % len(WORDS)]}"
        yield f"{monotonic_ns()} end"


async def _make(given: argparse.Namespace, counters: Counters) -> Backend:
    answers = Answers(given, counters)
    application = web.Application()
    application.add_routes(
        [
            web.get("/", answers.page),
            web.get("/events", answers.events),
            web.get("/socket", answers.socket),
        ]
    )
    runner = web.AppRunner(application, access_log=None, handle_signals=False, keepalive_timeout=_NEVER_S)
    await runner.setup()
    assert runner.server is not None, "a runner that is set up has a server"
    return WatchedServer(runner.server, counters)


def _parser() -> Parser:
    parser = Parser("backends.stream", "An answer as a stream of tokens.")
    parser.add_argument("--tokens", type=int, default=200, metavar="N", help="tokens of an answer")
    parser.add_argument("--every", type=float, default=0.02, metavar="S", help="seconds between two tokens")
    parser.add_argument("--silence", type=float, default=0.0, metavar="S", help="once, in the middle")
    parser.add_argument("--no-accel", action="store_true", help="send `X-Accel-Buffering: no`")
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser(), sys.argv[1:], _make))
