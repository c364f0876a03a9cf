"""What changed, and which subscribers have seen it. Pure: no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

Address = tuple[str, int]
"""What tells an instance from the others of its service."""


@dataclass(frozen=True, slots=True)
class Change:
    """An instance came, or went, at a moment."""

    address: Address
    came: bool
    at_ns: int


class News:
    """The changes that somebody has yet to see."""

    def __init__(self) -> None:
        self._followers: dict[str, set[int]] = {}
        self._unseen: dict[str, dict[Change, set[int]]] = {}
        self.happened = self.seen = 0

    @property
    def unseen(self) -> int:
        """Return how many times a change has yet to be seen."""
        return sum(len(who) for changes in self._unseen.values() for who in changes.values())

    def follow(self, who: int, service: str) -> None:
        """Have a subscriber be one of those who are to see what changes in a service."""
        self._followers.setdefault(service, set()).add(who)

    def add(self, service: str, change: Change) -> None:
        """Have every follower of the service be yet to see a change."""
        followers = self._followers.get(service)
        if followers:
            self.happened += 1
            self._unseen.setdefault(service, {})[change] = set(followers)

    def look(
        self, who: int, service: str, there: Collection[Address], record: Callable[[Change], None]
    ) -> None:
        """Take what a subscriber sees of its service; `record` gets each change that is new to it."""
        changes = self._unseen.get(service)
        if not changes:
            return
        for change, waiting in tuple(changes.items()):
            if who in waiting and (change.address in there) is change.came:
                waiting.discard(who)
                self.seen += 1
                record(change)
                if not waiting:
                    del changes[change]
