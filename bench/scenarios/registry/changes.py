"""The changes of instances, and which subscribers have seen them. Pure: no clock."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

Address = tuple[str, int]
"""What identifies an instance of a service."""


@dataclass(frozen=True, slots=True)
class InstanceChange:
    """An instance came, or died, at a moment."""

    address: Address
    came: bool
    at_ns: int


class ChangeTracker:
    """The changes that a subscriber has yet to see."""

    def __init__(self) -> None:
        self._followers: dict[str, set[int]] = {}
        self._unseen: dict[str, dict[InstanceChange, set[int]]] = {}
        self.happened = 0

    @property
    def unseen(self) -> int:
        """Return how many times a change has yet to be seen."""
        return sum(len(waiting) for changes in self._unseen.values() for waiting in changes.values())

    def follow(self, subscriber: int, service: str) -> None:
        """Add a subscriber to those that are to see what changes in a service."""
        self._followers.setdefault(service, set()).add(subscriber)

    def add(self, service: str, change: InstanceChange) -> None:
        """Add a change that every follower of the service has yet to see."""
        followers = self._followers.get(service)
        if followers:
            self.happened += 1
            self._unseen.setdefault(service, {})[change] = set(followers)

    def compare(
        self,
        subscriber: int,
        service: str,
        there: Collection[Address],
        record: Callable[[InstanceChange], None],
    ) -> None:
        """Compare what a subscriber sees of its service; `record` receives each change that is new to it."""
        changes = self._unseen.get(service)
        if not changes:
            return
        for change, waiting in tuple(changes.items()):
            if subscriber in waiting and (change.address in there) is change.came:
                waiting.discard(subscriber)
                record(change)
                if not waiting:
                    del changes[change]
