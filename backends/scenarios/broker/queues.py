"""A broker's queues: numbered messages, and who waits for the next one. No sockets, no clock."""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

KEPT: Final = 10_000
"""Messages of a queue that are kept; who asks for older ones has lost some."""
BATCH: Final = 32
"""Messages in one answer, as RocketMQ's consumers ask for by default."""


class Message(NamedTuple):
    """One message of a queue; numbers count from 1."""

    number: int
    text: str

    @property
    def line(self) -> str:
        """The message as it is sent."""
        return f"{self.number} {self.text}"


class Queue:
    """The messages of one queue, in order."""

    def __init__(self) -> None:
        self._kept: deque[Message] = deque(maxlen=KEPT)
        self._last = 0
        self._waiting: dict[object, Callable[[], None]] = {}

    def publish(self, text: str) -> Message:
        """Add a message, and calls once each who waits."""
        self._last += 1
        message = Message(self._last, text)
        self._kept.append(message)
        waiting, self._waiting = self._waiting, {}
        for call in waiting.values():
            call()
        return message

    def after(self, number: int) -> list[Message]:
        """Return the oldest kept messages with a higher number, no more than fit into an answer."""
        newer = min(self._last - number, len(self._kept))
        if newer <= 0:
            return []
        first = len(self._kept) - newer
        return [self._kept[index] for index in range(first, min(first + BATCH, len(self._kept)))]

    def wait(self, who: object, call: Callable[[], None]) -> None:
        """Have `call` be called when the next message comes."""
        self._waiting[who] = call

    def give_up(self, who: object) -> None:
        """Have somebody wait no longer."""
        self._waiting.pop(who, None)
