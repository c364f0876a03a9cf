"""The reverse proxy that one writes with aiohttp: its client behind its server, on uvloop, streaming.

`python -m tests.perf.aiohttp_proxy LISTEN_PORT UPSTREAM_HOST:PORT short|keepalive`
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

# RFC 9110, section 7.6.1, and the length, which aiohttp sets from the body that it is given.
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
_CHUNK_BYTES = 1 << 18
_SESSION = web.AppKey("session", aiohttp.ClientSession)


def application(upstream: str, *, is_short: bool) -> web.Application:
    """Return the proxy to `upstream` (HOST:PORT); `is_short`: one upstream connection per request."""
    app = web.Application(client_max_size=1 << 30)

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(
            limit=0, force_close=is_short, keepalive_timeout=None if is_short else 60
        )
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as opened:
            app[_SESSION] = opened
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        headers["Via"] = "1.1 aiohttp"
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Proto"] = request.scheme
        headers["X-Forwarded-Host"] = request.host
        body = request.content if request.body_exists else None
        url = f"http://{upstream}{request.raw_path}"
        async with request.app[_SESSION].request(request.method, url, headers=headers, data=body) as answer:
            return await _pass_on(request, answer)

    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


async def _pass_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
    if answer.content_length is not None and answer.content_length <= _CHUNK_BYTES:
        headers.pop("Content-Length")
        return web.Response(status=answer.status, headers=headers, body=await answer.read())
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for piece in answer.content.iter_any():
        await response.write(piece)
    return response


def main() -> None:
    """Serve until ended."""
    port, upstream, mode = sys.argv[1:]
    uvloop.install()
    app = application(upstream, is_short=mode == "short")
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None, backlog=4096)


if __name__ == "__main__":
    main()
