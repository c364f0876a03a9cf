"""An answer of many tokens: which of them are written by now, and what is counted of those who ask.

Who tells it is answer.py (over TCP) and http3.py (over QUIC).
"""

import asyncio
from dataclasses import asdict, dataclass, field
from time import monotonic

from backends.counters import Counters


@dataclass(slots=True)
class AnswerCounters(Counters):
    """What such a server counts beside what all do."""

    quic: int = 0
    """QUIC connections."""
    seen: set[tuple[str, int]] = field(default_factory=set)
    """The addresses and ports from which QUIC datagrams came."""

    def event(self, name: str) -> dict[str, object]:
        """Return the counters as the event `name` of a backend."""
        counted = {key: value for key, value in asdict(self).items() if key != "seen"}
        return {"event": name, "role": "backend", **counted, "paths": len(self.seen)}


class Answer:
    """Which tokens there are by now. States: unasked, being written, whole.

    It begins with the first who asks for it, and goes on whether or not anybody listens.
    """

    def __init__(self, tokens: int, every_s: float) -> None:
        self.tokens = tokens
        self._every_s = every_s
        self._began_s: float | None = None

    def begin(self, now_s: float) -> None:
        """Start to write, unless that has begun."""
        if self._began_s is None:
            self._began_s = now_s

    def written(self, now_s: float) -> int:
        """Return the number of the newest token."""
        if self._began_s is None:
            return 0
        return min(self.tokens, int((now_s - self._began_s) / self._every_s))

    def due_s(self, number: int) -> float:
        """Return the moment at which a token is written."""
        assert self._began_s is not None, "nobody has asked"
        # The half of a microsecond keeps `written` from rounding down at that very moment.
        return self._began_s + number * self._every_s + 5e-7

    async def after(self, number: int) -> range:
        """Wait for a token with a higher number; return all there are. Empty where the answer is whole."""
        self.begin(monotonic())
        if number >= self.tokens:
            return range(0)
        while (left_s := self.due_s(number + 1) - monotonic()) > 0:
            # uvloop's timers know milliseconds only, and some of them end before their time.
            await asyncio.sleep(max(left_s, 0.001))
        return range(number + 1, self.written(monotonic()) + 1)


def event(number: int) -> bytes:
    """Return a token as a server-sent event (WHATWG HTML, section 9.2)."""
    return f"id: {number}\ndata: token-{number:04}\n\n".encode()
