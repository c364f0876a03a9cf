"""A transport that closes as the backend was told to, for servers that know one way only: at once."""

from __future__ import annotations

import asyncio
from typing import Any

from backends.behaviours import Close, CloseKind


class PatientTransport:
    """Passes everything on to the transport inside, but for the close after a last answer.

    States: serving (a close is a close), `is_last` (a close waits, or is left to the peer).
    """

    def __init__(self, transport: asyncio.BaseTransport, close: Close) -> None:
        self._inside = transport
        self._close = close
        self._timer: asyncio.TimerHandle | None = None
        self.is_last = False

    def close(self) -> None:
        """Close at once, or as the backend was told to after a last answer."""
        if not self.is_last or self._close.kind is CloseKind.AT_ONCE:
            self._inside.close()
        elif self._close.kind is CloseKind.LINGER and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._close.linger_s, self._inside.close)

    def close_now(self) -> None:
        """Close, whatever was said before."""
        self._inside.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inside, name)
