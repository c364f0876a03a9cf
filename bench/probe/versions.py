"""Which versions of HTTP a server speaks beside HTTP/1: HTTP/2 by ALPN, or by prior knowledge. No request."""

import asyncio
import contextlib
import ssl

from bench.load import probe as first_answer
from bench.probe.client import NoConnection, ProbeClient
from bench.probe.limits import LimitReached

_SETTINGS_S = 2.0
"""How long a server may take for its SETTINGS."""


async def find_http2(client: ProbeClient, alpn: ssl.SSLContext | None) -> str | None:
    """Return "h2" or "h2c" where the server speaks it; `alpn` is a context of TLS that offers h2."""
    with contextlib.suppress(NoConnection, LimitReached):
        if alpn is None:
            return "h2c" if await _answers_preface(client) else None
        connection = await client.open(alpn)
        connection.close()
        return "h2" if connection.protocol == "h2" else None
    return None


async def _answers_preface(client: ProbeClient) -> bool:
    """Return whether the preface of HTTP/2 is answered by SETTINGS (RFC 9113, section 3.4)."""
    connection = await client.open()
    # For a server of HTTP/1 it is a request, though one that it does not know.
    client.budget.take_request()
    connection.send(first_answer.H2_PREFACE)
    received, until_s = b"", asyncio.get_running_loop().time() + _SETTINGS_S
    try:
        while not first_answer.is_settings(received):
            if received[:5] == b"HTTP/" or connection.ended is not None:
                return False
            await connection.wait(until_s)
            received += connection.take()
        return True
    except TimeoutError:
        return False
    finally:
        connection.close()
