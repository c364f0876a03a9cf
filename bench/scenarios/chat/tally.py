"""What the members of the rooms said and heard: whether each heard everything once and in order. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Ear:
    """One member in one room."""

    last: int = 0
    """The highest number that it heard."""
    missing: set[int] = field(default_factory=set)
    doubled: int = 0
    disordered: int = 0

    def hear(self, number: int) -> bool:
        """Note a message; return whether it is new."""
        if number == self.last + 1:
            self.last = number
        elif number > self.last:
            self.missing.update(range(self.last + 1, number))
            self.last = number
        elif number in self.missing:
            self.missing.discard(number)
            self.disordered += 1
        else:
            self.doubled += 1
            return False
        return True

    def lacks(self, said: int) -> int:
        """Return how many of so many messages it has not heard."""
        return len(self.missing) + said - self.last


@dataclass(slots=True)
class Mouth:
    """What one member says in one room: counted, and kept until it hears it back."""

    count: int = 0
    unheard: dict[int, str] = field(default_factory=dict)

    def say(self, text: str) -> tuple[int, str]:
        """Return what is said now with its count."""
        self.count += 1
        self.unheard[self.count] = text
        return self.count, text

    def heard(self, count: int) -> None:
        """Forget what came back."""
        self.unheard.pop(count, None)


def seats(rooms: int, agents: int, agents_per_room: int) -> list[list[int]]:
    """Return the rooms of each agent: every room has so many different ones, each agent as many rooms."""
    taken: list[list[int]] = [[] for _ in range(agents)]
    for room in range(rooms):
        for place in range(agents_per_room):
            taken[(room * agents_per_room + place) % agents].append(room)
    return taken
