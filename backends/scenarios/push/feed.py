"""The feed that `backends.push` and `backends.push_picows` serve: its messages, and who waits for the next.

A message has a number, from 1 on; whoever asks says which number it has last, so that nothing is lost or
doubled across requests and reconnects. No sockets here.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

KEPT: Final = 10_000
"""Messages that are kept for those who come back; who was away for longer has lost some."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the feed, in the forms in which it goes out: made once, whoever gets it."""

    number: int
    line: str
    """`NUMBER TEXT`: a line of a poll, or a WebSocket message."""
    event: bytes
    """The same as a server-sent event (WHATWG HTML, section 9.2)."""


class Feed:
    """The messages so far, and a future for each that waits for the next."""

    def __init__(self) -> None:
        self._kept: deque[Message] = deque(maxlen=KEPT)
        self._last = 0
        self._waiting: list[asyncio.Future[bool]] = []

    @property
    def last(self) -> int:
        """The number of the newest message; 0 before the first."""
        return self._last

    def publish(self, text: str) -> Message:
        """Add a message and wakes all that wait."""
        self._last += 1
        event = f"id: {self._last}\ndata: {text}\n\n".encode()
        message = Message(self._last, f"{self._last} {text}", event)
        self._kept.append(message)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(True)
        return message

    def after(self, number: int) -> list[Message]:
        """Return the kept messages with a higher number, the oldest first."""
        newer = self._last - number
        if newer <= 0:
            return []
        if newer == 1:
            return [self._kept[-1]]
        return list(self._kept)[-newer:]

    async def changed(self, timeout_s: float | None = None) -> bool:
        """Wait for the next message; return whether it came within `timeout_s`."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(waiter)
        if timeout_s is None:
            return await waiter
        timer = loop.call_later(timeout_s, _give_up, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
