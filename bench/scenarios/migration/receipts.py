"""What a client got of an answer so far, whatever way it came."""

from __future__ import annotations

import asyncio
from time import monotonic_ns


class Receipts:
    """The tokens as they came. States: waiting, whole."""

    def __init__(self, tokens: int, start_ns: int) -> None:
        self.arrivals: list[tuple[float, int]] = []
        self.connections = 0
        """Connections that came to be established."""
        self.ends: list[str] = []
        """How connections ended before the answer was whole, in the words of whoever ended them."""
        self.whole = asyncio.Event()
        self._tokens = tokens
        self._start_ns = start_ns
        self._unread = b""

    @property
    def last(self) -> int:
        """The number of the last token; 0 before the first."""
        return max((number for _, number in self.arrivals[-1:]), default=0)

    def take(self, number: int) -> None:
        """Record one token."""
        self.arrivals.append(((monotonic_ns() - self._start_ns) / 1e9, number))
        if number >= self._tokens:
            self.whole.set()

    def feed(self, data: bytes) -> None:
        """Record the tokens in a piece of an event stream (WHATWG HTML, section 9.2)."""
        *events, self._unread = (self._unread + data).split(b"\n\n")
        for event in events:
            self.take(int(event.partition(b"\n")[0].removeprefix(b"id: ")))

    def again(self) -> None:
        """Begin with a new stream: what the last one left unfinished will come again."""
        self._unread = b""
