"""The rooms of a chat: who is in them, what was said, and who has said it before. No sockets here.

What is said in a room is numbered from 1 on. Whoever comes back says which number it has last, and whoever is
not sure that it was heard says it again: each speaker counts what it says, and a room takes each count once.
Both chat servers (`backends.chat`, `backends.chat_channels`) keep their rooms here.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

KEPT: Final = 500
"""What is said is kept for those who come back; who was away for longer has lost some."""


@dataclass(slots=True)
class Room:
    """One room."""

    name: str
    said: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=KEPT))
    last: int = 0
    heard: dict[str, int] = field(default_factory=dict)
    """The highest count of each speaker."""
    present: dict[str, int] = field(default_factory=dict)
    """Who is here, and over how many connections: a new one may come before the old one is seen to end."""

    def say(self, who: str, count: int, text: str) -> tuple[int, str] | None:
        """Accept what somebody says; return it with its number, None where it was heard before."""
        if count <= self.heard.get(who, 0):
            return None
        self.heard[who] = count
        self.last += 1
        self.said.append((self.last, text))
        return self.last, text

    def after(self, number: int) -> list[tuple[int, str]]:
        """Return what was said after a number, the oldest first."""
        return [each for each in self.said if each[0] > number]

    def enter(self, who: str) -> bool:
        """Let somebody in; return whether it was not there before."""
        self.present[who] = self.present.get(who, 0) + 1
        return self.present[who] == 1

    def leave(self, who: str) -> bool:
        """Let somebody out; return whether it is gone now."""
        self.present[who] -= 1
        if self.present[who] > 0:
            return False
        del self.present[who]
        return True


class Rooms:
    """The rooms by name; one that nobody has entered yet is empty."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}

    def __getitem__(self, name: str) -> Room:
        if name not in self._rooms:
            self._rooms[name] = Room(name)
        return self._rooms[name]
