"""The queues of both brokers: numbered messages, what waits for the next, where a consumer stands. Pure."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

KEPT = 10_000
"""Messages of a queue that are kept; a consumer that needs older ones has lost some."""
BATCH = 32
"""Messages in one answer, as RocketMQ's consumers request by default."""


class QueueMessage(NamedTuple):
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
        self._kept: deque[QueueMessage] = deque(maxlen=KEPT)
        self._last = 0
        self._waiting: dict[object, Callable[[], None]] = {}

    def publish(self, text: str) -> QueueMessage:
        """Add a message, and call once each that waits."""
        self._last += 1
        message = QueueMessage(self._last, text)
        self._kept.append(message)
        waiting, self._waiting = self._waiting, {}
        for call in waiting.values():
            call()
        return message

    def after(self, number: int) -> list[QueueMessage]:
        """Return the oldest kept messages with a higher number, no more than fit into an answer."""
        newer = min(self._last - number, len(self._kept))
        if newer <= 0:
            return []
        first = len(self._kept) - newer
        return [self._kept[index] for index in range(first, min(first + BATCH, len(self._kept)))]

    def wait(self, waiter: object, call: Callable[[], None]) -> None:
        """Call `call` when the next message comes."""
        self._waiting[waiter] = call

    def abandon(self, waiter: object) -> None:
        """Wait no longer."""
        self._waiting.pop(waiter, None)


class Position(NamedTuple):
    """Where a consumer stands: a queue, the last message that it has, and how long it would wait for more."""

    queue: str
    after: int
    wait_s: float


def parse_position(query: Mapping[str, str]) -> Position | None:
    """Return the position that a query names; None where it names none."""
    name, after, wait = query.get("queue"), query.get("after", "0"), query.get("wait", "0")
    if not name or not after.isdecimal() or not wait.replace(".", "", 1).isdecimal():
        return None
    return Position(name, int(after), float(wait))
