"""The typical Python service as a backend: an aiohttp application with the same answers."""

import asyncio
from typing import Any, cast

from aiohttp import web

from backends.http.behaviours import GARBAGE, Failure, Failures, NextNumber, pattern
from backends.http.options import Options
from backends.protocols.aiohttp_server import NO_IDLE_TIMEOUT_S, set_up
from backends.role.backend import WrappingBackend
from backends.role.closing import Close, CloseKind, reset
from backends.role.counters import Counters


class ConfiguredTransport:
    """Passes everything on to the transport inside, but closes as configured after a last answer.

    States: serving (a close is a close), `is_last` (a close waits, or is left to the peer).
    """

    def __init__(self, transport: asyncio.BaseTransport, close: Close) -> None:
        self._inside = transport
        self._close = close
        self._timer: asyncio.TimerHandle | None = None
        self.is_last = False

    def close(self) -> None:
        """Close at once, or as configured after a last answer."""
        if not self.is_last or self._close.kind is CloseKind.AT_ONCE:
            self._inside.close()
        elif self._close.kind is CloseKind.LINGER and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._close.linger_s, self._inside.close)

    def close_now(self) -> None:
        """Close, whatever is configured."""
        self._inside.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inside, name)


class App:
    """The handlers, and what they share: options, counters, the body that all bodies begin with."""

    def __init__(self, options: Options, counters: Counters, next_number: NextNumber) -> None:
        self._options = options
        self._counters = counters
        self._failures = Failures(options.failures, next_number)
        self._pattern = pattern(options.response_size.high)
        self.served: dict[asyncio.BaseTransport, int] = {}
        self.busy: set[asyncio.BaseTransport] = set()
        self.draining = False

    async def text(self, request: web.Request) -> web.StreamResponse:
        """Answer any path with a body of the configured size."""
        size = self._options.response_size.draw()
        return await self._answer(request, web.Response(body=self._pattern[:size], content_type="text/plain"))

    async def json(self, request: web.Request) -> web.StreamResponse:
        """Answer `/json` with what the request holds, as services do."""
        content = {"method": request.method, "path": request.path, "id": request.headers.get("X-Bench-Id")}
        return await self._answer(request, web.json_response(content))

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
            cast(ConfiguredTransport, transport).is_last = True
        return response

    def _fail(self, transport: asyncio.Transport, failure: Failure, response: web.Response) -> None:
        """Spoil an answer below aiohttp, which then finds its transport closed."""
        self._counters.failed += 1
        if failure is Failure.RESET:
            reset(transport)
            return
        if failure is Failure.CUT:
            body = cast(bytes, response.body)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
            transport.write(head + body[: len(body) // 2])
        else:
            transport.write(GARBAGE)
        cast(ConfiguredTransport, transport).close_now()


class AppServer(WrappingBackend):
    """The application's connections, each counted."""

    def __init__(self, server: web.Server, app: App, options: Options, counters: Counters) -> None:
        super().__init__(server, counters)
        self._app = app
        self._close = options.close

    def wrap(self, transport: asyncio.BaseTransport) -> asyncio.BaseTransport:
        """Return what aiohttp gets for a connection's transport."""
        return cast(asyncio.BaseTransport, ConfiguredTransport(transport, self._close))

    def on_lost(self, transport: asyncio.BaseTransport) -> None:
        """Drop what is known of a connection."""
        self._app.served.pop(transport, None)

    async def drain(self, timeout_s: float) -> bool:
        """Close idle connections, allow busy ones to finish; return whether all went in time."""
        # aiohttp's own shutdown drops the rest of a request's body that is still on its way.
        self._app.draining = True
        for connection in self.connections:
            # After the exchange that is under way aiohttp closes a busy one.
            if connection.transport not in self._app.busy:
                cast(ConfiguredTransport, connection.transport).close_now()
        return await self.connections.wait_empty(timeout_s)


async def make_app_server(options: Options, counters: Counters, next_number: NextNumber) -> AppServer:
    """Set the application up, ready for connections."""
    app = App(options, counters, next_number)
    application = web.Application()
    application.router.add_route("*", "/json", app.json)
    application.router.add_route("*", "/{path:.*}", app.text)
    server = await set_up(application, options.idle_timeout_s or NO_IDLE_TIMEOUT_S)
    return AppServer(server, app, options, counters)
