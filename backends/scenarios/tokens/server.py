"""`python -m backends.answer`: one answer, written token by token, over SSE, WebSocket, polls and HTTP/3.

Whoever comes back says which token it has last (`since=`, `Last-Event-ID`). One aiohttp application serves
all that goes over TCP; HTTP/3 is http3.py's, and what the answer is tokens.py's.
"""

import argparse
import asyncio
import sys
from typing import Final

from aiohttp import WSMsgType, web

from backends.counters import Counters
from backends.role import Backend
from backends.serving import Parser, main
from backends.tokens import Answer, AnswerCounters, event
from backends.watched import WatchedServer

_NEVER_S: Final = 7 * 86400.0


class Telling:
    """The handlers of the ways over TCP, and what they share."""

    def __init__(self, answer: Answer, counters: AnswerCounters) -> None:
        self._answer = answer
        self._counters = counters

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream the answer as server-sent events."""
        last = self._asked(request)
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        while numbers := await self._answer.after(last):
            await response.write(b"".join(map(event, numbers)))
            last = numbers[-1]
        return response

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Send a text frame for each token, its number (RFC 6455)."""
        last = self._asked(request)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        sending = asyncio.ensure_future(self._send(socket, last))
        try:
            async for frame in socket:
                if frame.type is WSMsgType.ERROR:
                    break
        finally:
            sending.cancel()
        return socket

    async def token(self, request: web.Request) -> web.Response:
        """Answer with the tokens since the number that is given, as soon as there is one."""
        numbers = await self._answer.after(self._asked(request))
        return web.Response(text=" ".join(map(str, numbers)))

    async def _send(self, socket: web.WebSocketResponse, last: int) -> None:
        while numbers := await self._answer.after(last):
            for number in numbers:
                await socket.send_str(str(number))
            last = numbers[-1]
        await socket.close()

    def _asked(self, request: web.Request) -> int:
        """Count a request, and return the number of the last token that whoever asks has got."""
        self._counters.requests += 1
        text = request.headers.get("Last-Event-ID") or request.query.get("since", "0")
        if not text.isdecimal():
            raise web.HTTPBadRequest(text=f"since={text} is no token's number")
        return int(text)


async def _make(given: argparse.Namespace, counters: Counters) -> Backend:
    assert isinstance(counters, AnswerCounters)
    answer = Answer(given.tokens, given.every)
    telling = Telling(answer, counters)
    application = web.Application()
    application.add_routes(
        [
            web.get("/events", telling.events),
            web.get("/socket", telling.socket),
            web.get("/token", telling.token),
        ]
    )
    runner = web.AppRunner(application, access_log=None, handle_signals=False, keepalive_timeout=_NEVER_S)
    await runner.setup()
    assert runner.server is not None, "a runner that is set up has a server"
    if given.certificate is not None:
        from backends import http3  # noqa: PLC0415 - needs an extra, which the ways over TCP do not

        for each in given.listen:
            await http3.listen(each, given.certificate, given.key, answer, counters)
    return WatchedServer(runner.server, counters)


def _parser() -> Parser:
    parser = Parser("backends.answer", "An answer of many tokens, over SSE, WebSocket, polls and HTTP/3.")
    parser.add_argument("--tokens", type=int, default=300, metavar="N", help="how many there are")
    parser.add_argument("--every", type=float, default=0.02, metavar="S", help="time between two")
    parser.add_argument("--certificate", metavar="FILE", help="speak HTTP/3 too, with this certificate")
    parser.add_argument("--key", metavar="FILE", help="its key")
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser(), sys.argv[1:], _make, AnswerCounters()))
