"""An answer of many tokens: when each is written, and in which words. No sockets.

server.py sends it over TCP, http3.py over QUIC.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from time import monotonic, monotonic_ns
from typing import NamedTuple

from backends.role.counters import Counters

_WORDS = ("a", "long", "connection", "carries", "each", "token", "as", "soon", "as", "it", "is")


@dataclass(slots=True)
class TokenCounters(Counters):
    """The counters of such a server, besides those of all."""

    quic: int = 0
    """QUIC connections."""
    paths: set[tuple[str, int]] = field(default_factory=set)
    """The addresses and ports from which QUIC datagrams came; reported by their number."""

    def event(self, name: str) -> dict[str, object]:
        """Return the counters as the event `name` of a backend."""
        return {"event": name, "role": "backend", **asdict(self), "paths": len(self.paths)}


class Token(NamedTuple):
    """One token as it is sent; numbers count from 1."""

    number: int
    text: str
    """`MOMENT WORD`: when it was written, and what."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How an answer goes."""

    tokens: int
    every_s: float
    silence_s: float = 0.0
    """One long silence, in the middle."""

    def due_s(self, number: int) -> float:
        """Return after how long a token is written, from the beginning on."""
        return (number - 1) * self.every_s + (self.silence_s if number > self.tokens // 2 else 0.0)


class TokenAnswer:
    """An answer that is written from the first request on, whether or not a client reads it."""

    def __init__(self, pace: Pace, *, announces_end: bool) -> None:
        self._pace = pace
        self._announces_end = announces_end
        self._began_s: float | None = None

    async def after(self, number: int) -> range:
        """Wait for a token with a higher number; return all that are due. Empty where the answer is whole."""
        if self._began_s is None:
            self._began_s = monotonic()
        if number >= self._pace.tokens:
            return range(0)
        while (left_s := self._due_s(number + 1) - monotonic()) > 0:
            # uvloop's timers know milliseconds only, and some of them end before their time.
            await asyncio.sleep(max(left_s, 0.001))
        now_s, last = monotonic(), number + 1
        while last < self._pace.tokens and self._due_s(last + 1) <= now_s:
            last += 1
        return range(number + 1, last + 1)

    async def batches(self, number: int) -> AsyncIterator[list[Token]]:
        """Yield the tokens after a number as soon as they are due; at last `end`, if that is announced."""
        while numbers := await self.after(number):
            yield [Token(each, f"{monotonic_ns()} {_WORDS[(each - 1) % len(_WORDS)]}") for each in numbers]
            number = numbers[-1]
        if self._announces_end:
            yield [Token(self._pace.tokens + 1, f"{monotonic_ns()} end")]

    def _due_s(self, number: int) -> float:
        assert self._began_s is not None, "the first request starts the answer"
        return self._began_s + self._pace.due_s(number)
