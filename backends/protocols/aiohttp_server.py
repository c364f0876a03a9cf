"""What the servers on aiohttp share: an application behind connections that are counted, and WebSockets."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from aiohttp import WSMsgType, web

from backends.protocols import sse
from backends.role.backend import WrappingBackend
from backends.role.counters import Counters

NO_IDLE_TIMEOUT_S = 7 * 86400.0  # aiohttp has no word for never


async def set_up(application: web.Application, idle_timeout_s: float = NO_IDLE_TIMEOUT_S) -> web.Server:
    """Set an application up; return what makes the protocols of its connections."""
    runner = web.AppRunner(
        application, access_log=None, handle_signals=False, keepalive_timeout=idle_timeout_s
    )
    await runner.setup()
    assert runner.server is not None, "a runner that is set up has a server"
    return runner.server


async def make_backend(
    routes: Sequence[web.RouteDef], counters: Counters, body_max: int = 1 << 20
) -> WrappingBackend:
    """Return a backend with some routes, which accepts request bodies of up to `body_max` bytes."""
    application = web.Application(client_max_size=body_max)
    application.add_routes(routes)
    return WrappingBackend(await set_up(application), counters)


def last_event_id(request: web.Request) -> int:
    """Return the number of the last event or message that the client has; refuse what is none."""
    try:
        return sse.last_id(request.headers, request.query)
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


async def open_event_stream(request: web.Request, **more: str) -> web.StreamResponse:
    """Begin a response of server-sent events; `more` are further header fields."""
    response = web.StreamResponse(headers={**sse.HEADERS, **more})
    await response.prepare(request)
    return response


async def send_until_closed(socket: web.WebSocketResponse, send: Coroutine[Any, Any, None]) -> None:
    """Run `send` until the client closes the WebSocket; what the client sends is dropped."""
    sending = asyncio.ensure_future(send)
    try:
        async for frame in socket:
            if frame.type is WSMsgType.ERROR:
                break
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
