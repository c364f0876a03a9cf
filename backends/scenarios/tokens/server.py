"""`python -m backends.scenarios.tokens.server`: an answer that is sent token by token.

It goes over SSE, WebSocket, polls and HTTP/3 (http3.py). Each request gets an answer of its own, which ends
with `end`. With `--shared` there is one for all: a client that comes back says which token it has last
(`since=`, `Last-Event-ID`).
"""

import argparse

from aiohttp import web

from backends.protocols import aiohttp_server, sse
from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.scenarios.page import page
from backends.scenarios.tokens.answer import Pace, TokenAnswer, TokenCounters


class TokenHandlers:
    """The handlers over TCP, and what they share."""

    def __init__(self, given: argparse.Namespace, counters: TokenCounters) -> None:
        self._pace = Pace(given.tokens, given.every, given.silence)
        self._more = {"X-Accel-Buffering": "no"} if given.no_accel else {}
        self._counters = counters
        self.shared = TokenAnswer(self._pace, announces_end=False) if given.shared else None

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream server-sent events; to HTTP/1.0 without a length or chunks, as it must."""
        answer, last = self._receive(request)
        response = await aiohttp_server.open_event_stream(request, **self._more)
        async for batch in answer.batches(last):
            await response.write(b"".join(sse.format_event(*token) for token in batch))
        return response

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Send a text frame for each token, `NUMBER TOKEN` (RFC 6455)."""
        answer, last = self._receive(request)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await aiohttp_server.send_until_closed(socket, _send(socket, answer, last))
        return socket

    async def poll(self, request: web.Request) -> web.Response:
        """Answer with the numbers of the tokens that the client has not, as soon as there is one."""
        answer, last = self._receive(request)
        return web.Response(text=" ".join(map(str, await answer.after(last))))

    def _receive(self, request: web.Request) -> tuple[TokenAnswer, int]:
        """Count a request; return its answer, and the number of the last token that the client has."""
        self._counters.requests += 1
        if self.shared is None:
            return TokenAnswer(self._pace, announces_end=True), 0
        return self.shared, aiohttp_server.last_event_id(request)


async def _send(socket: web.WebSocketResponse, answer: TokenAnswer, last: int) -> None:
    async for batch in answer.batches(last):
        for token in batch:
            await socket.send_str(f"{token.number} {token.text}")
    await socket.close()


async def _make(given: argparse.Namespace) -> Backend:
    counters = TokenCounters()
    handlers = TokenHandlers(given, counters)
    if given.certificate is not None and handlers.shared is not None:
        from backends.scenarios.tokens import http3  # noqa: PLC0415 - needs an extra, which TCP does not

        for each in given.listen:
            await http3.listen(each, given.certificate, given.key, handlers.shared, counters)
    routes = [
        web.get("/", page),
        web.get("/events", handlers.events),
        web.get("/socket", handlers.socket),
        web.get("/token", handlers.poll),
    ]
    return await aiohttp_server.make_backend(routes, counters)


if __name__ == "__main__":
    parser = server_parser("backends.scenarios.tokens.server", "An answer as a stream of tokens.")
    parser.add_argument("--tokens", type=int, default=200, metavar="N", help="tokens of an answer")
    parser.add_argument("--every", type=float, default=0.02, metavar="S", help="seconds between two tokens")
    parser.add_argument("--silence", type=float, default=0.0, metavar="S", help="once, in the middle")
    parser.add_argument("--no-accel", action="store_true", help="send `X-Accel-Buffering: no`")
    parser.add_argument("--shared", action="store_true", help="one answer for all, which clients resume")
    parser.add_argument(
        "--certificate", metavar="FILE", help="serve a shared answer by HTTP/3 too, with this"
    )
    parser.add_argument("--key", metavar="FILE", help="the certificate's key")
    run_server(parser, _make)
