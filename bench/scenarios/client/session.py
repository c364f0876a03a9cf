"""Sessions of aiohttp's client that set no bounds of their own."""

from typing import Any

import aiohttp


def open_session(**options: Any) -> aiohttp.ClientSession:
    """Return a session without a time-out, and with as many connections as are asked for."""
    options.setdefault("connector", aiohttp.TCPConnector(limit=0))
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), **options)
