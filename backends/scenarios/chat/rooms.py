"""The rooms of both chat servers: their members and messages, each accepted once. No sockets.

The messages of a room are numbered from 1 on. A member that comes back sends the last number that it has. One
that is not sure that its message arrived sends it again: each sender counts its messages, and a room accepts
each count once.
"""

from collections import deque
from dataclasses import dataclass, field

KEPT = 500
"""Messages that are kept for members that come back; one that was away for longer has lost some."""


@dataclass(slots=True)
class Room:
    """One room."""

    name: str
    messages: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=KEPT))
    last: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """The highest count of each sender."""
    present: dict[str, int] = field(default_factory=dict)
    """The members, each with its connections: a new one may come before the old one is seen to end."""

    def publish(self, member: str, count: int, text: str) -> tuple[int, str] | None:
        """Add a message; return it with its number, None where it was accepted before."""
        if count <= self.counts.get(member, 0):
            return None
        self.counts[member] = count
        self.last += 1
        self.messages.append((self.last, text))
        return self.last, text

    def after(self, number: int) -> list[tuple[int, str]]:
        """Return the messages after a number, the oldest first."""
        return [each for each in self.messages if each[0] > number]

    def enter(self, member: str) -> bool:
        """Add a connection of a member; return whether it is its first."""
        self.present[member] = self.present.get(member, 0) + 1
        return self.present[member] == 1

    def leave(self, member: str) -> bool:
        """Remove a connection of a member; return whether it was its last."""
        self.present[member] -= 1
        if self.present[member] > 0:
            return False
        del self.present[member]
        return True


class Rooms(dict[str, Room]):
    """The rooms by name; one that no member has entered yet is empty."""

    def __missing__(self, name: str) -> Room:
        return self.setdefault(name, Room(name))
