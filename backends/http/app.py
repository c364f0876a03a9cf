"""The typical Python service as a backend: an aiohttp application with the same answers."""

import asyncio
import socket
import struct
from typing import Final, cast

from aiohttp import web

from backends.behaviours import Failure, Failures, Number, pattern
from backends.counters import Counters
from backends.options import Options
from backends.patient import PatientTransport
from backends.watched import WatchedServer

NO_IDLE_TIMEOUT_S: Final = 7 * 86400.0  # aiohttp has no word for never
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_GARBAGE: Final = b"\x00this is no HTTP response\x00\r\n"


class App:
    """The handlers, and what they share: options, counters, the body that all bodies begin with."""

    def __init__(self, options: Options, counters: Counters, number: Number) -> None:
        self._options = options
        self._counters = counters
        self._failures = Failures(options.failures, number)
        self._pattern = pattern(options.body.high)
        self.served: dict[asyncio.BaseTransport, int] = {}
        self.busy: set[asyncio.BaseTransport] = set()
        self.draining = False

    def dress(self, transport: asyncio.BaseTransport) -> asyncio.BaseTransport:
        """Return what aiohttp is to take for a connection's transport."""
        return cast(asyncio.BaseTransport, PatientTransport(transport, self._options.close))

    def forget(self, transport: asyncio.BaseTransport) -> None:
        """Remove a connection that is gone."""
        self.served.pop(transport, None)

    async def text(self, request: web.Request) -> web.StreamResponse:
        """Answer any path with a body of the size asked for."""
        size = self._options.body.draw()
        return await self._answer(request, web.Response(body=self._pattern[:size], content_type="text/plain"))

    async def json(self, request: web.Request) -> web.StreamResponse:
        """Answer `/json` with what the request said, as services do."""
        said = {"method": request.method, "path": request.path, "id": request.headers.get("X-Bench-Id")}
        return await self._answer(request, web.json_response(said))

    async def _answer(self, request: web.Request, response: web.Response) -> web.StreamResponse:
        transport = cast(asyncio.Transport, request.transport)
        self.busy.add(transport)
        try:
            return await self._exchange(transport, request, response)
        finally:
            self.busy.discard(transport)

    async def _exchange(
        self, transport: asyncio.Transport, request: web.Request, response: web.Response
    ) -> web.StreamResponse:
        async for _ in request.content.iter_any():
            pass
        if self._options.delay is not None:
            await asyncio.sleep(self._options.delay())
        self.served[transport] = served = self.served.get(transport, 0) + 1
        if served == self._options.requests_per_connection or self.draining:
            response.force_close()
        bench_id = request.headers.get("X-Bench-Id")
        if bench_id is not None:
            response.headers["X-Bench-Id"] = bench_id
        failure = self._failures.draw()
        if failure is not None:
            self._fail(transport, failure, response)
            return response
        await response.prepare(request)
        await response.write_eof()
        self._counters.requests += 1
        if not response.keep_alive and not self.draining:
            cast(PatientTransport, transport).is_last = True
        return response

    def _fail(self, transport: asyncio.Transport, failure: Failure, response: web.Response) -> None:
        """Spoil an answer below aiohttp, which then finds its transport closed."""
        self._counters.failed += 1
        if failure is Failure.RESET:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
            return
        if failure is Failure.CUT:
            body = cast(bytes, response.body)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
            transport.write(head + body[: len(body) // 2])
        else:
            transport.write(_GARBAGE)
        cast(PatientTransport, transport).close_now()


class AppServer(WatchedServer):
    """The application's connections, each counted."""

    def __init__(self, runner: web.AppRunner, app: App, counters: Counters) -> None:
        super().__init__(cast(web.Server, runner.server), counters, app.forget, app.dress)
        self._app = app

    async def drain(self, timeout_s: float) -> bool:
        """Close idle connections, lets busy ones finish; return whether all went in time."""
        # aiohttp's own shutdown drops the rest of a request's body that is still on its way.
        self._app.draining = True
        for connection in self.connections:
            # After the exchange that is under way aiohttp closes a busy one.
            if connection.transport is not None and connection.transport not in self._app.busy:
                cast(PatientTransport, connection.transport).close_now()
        return await self.connections.gone(timeout_s)


async def make_app_server(options: Options, counters: Counters, number: Number) -> AppServer:
    """Set the application up, ready for connections."""
    app = App(options, counters, number)
    application = web.Application()
    application.router.add_route("*", "/json", app.json)
    application.router.add_route("*", "/{path:.*}", app.text)
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=options.idle_timeout_s or NO_IDLE_TIMEOUT_S,
    )
    await runner.setup()
    return AppServer(runner, app, counters)
