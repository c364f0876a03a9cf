"""What is due again and again, each at a phase of its own, without a timer for each. Pure: no clock."""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_SLOTS = 1000


class TimerWheel(Generic[T]):
    """A turn has a number of slots; what stands in a slot is due once a turn."""

    def __init__(self, every_ns: int, start_ns: int) -> None:
        self.slot_ns = every_ns // _SLOTS
        self._slots: list[dict[T, None]] = [{} for _ in range(_SLOTS)]
        self._start_ns = start_ns
        self._next = 0
        self._slot_of: dict[T, int] = {}

    def add(self, item: T, now_ns: int) -> None:
        """Make an item due a whole turn from now, and again each turn."""
        slot = (now_ns - self._start_ns) // self.slot_ns % _SLOTS
        self._slots[slot][item] = None
        self._slot_of[item] = slot

    def remove(self, item: T) -> None:
        """Remove an item."""
        del self._slots[self._slot_of.pop(item)][item]

    def due(self, now_ns: int) -> Iterator[T]:
        """Yield what has become due since the last time; what was missed for turns is due once."""
        last = (now_ns - self._start_ns) // self.slot_ns
        first = max(self._next, last - _SLOTS)
        self._next = max(self._next, last)
        for number in range(first, last):
            yield from tuple(self._slots[number % _SLOTS])
