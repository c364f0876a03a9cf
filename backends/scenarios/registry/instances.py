"""Who is alive: a registry's services and their instances, kept alive by beats. No sockets, no clock.

Each event costs the same however many instances there are: they stand in the order of their last beat, so
that those that are late stand first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Key(NamedTuple):
    """What tells one instance from all others."""

    service: str
    host: str
    port: int


@dataclass(slots=True)
class Service:
    """The instances of one service, in the order in which they came."""

    instances: dict[Key, None] = field(default_factory=dict)
    changed_ns: int = 0
    """When an instance last came or went."""


class Roster:
    """All services. An instance is on it from its registration until it leaves or its beats stay out."""

    def __init__(self, expire_ns: int) -> None:
        self._expire_ns = expire_ns
        self._services: dict[str, Service] = {}
        self._last_beat: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._last_beat)

    def service(self, name: str) -> Service:
        """Return the service called `name`, without instances where nobody has heard of it."""
        return self._services.setdefault(name, Service())

    def register(self, key: Key, now_ns: int) -> bool:
        """Put an instance on the roster; return whether it is new there."""
        is_new = not self.beat(key, now_ns)
        if is_new:
            service = self.service(key.service)
            service.instances[key] = None
            service.changed_ns = now_ns
            self._last_beat[key] = now_ns
        return is_new

    def beat(self, key: Key, now_ns: int) -> bool:
        """Note a sign of life; return whether the instance is on the roster."""
        if self._last_beat.pop(key, None) is None:
            return False
        self._last_beat[key] = now_ns  # now it is the last in order
        return True

    def leave(self, key: Key, now_ns: int) -> bool:
        """Accept an instance off the roster; return whether it was on it."""
        if self._last_beat.pop(key, None) is None:
            return False
        service = self.service(key.service)
        del service.instances[key]
        service.changed_ns = now_ns
        return True

    def expire(self, now_ns: int) -> list[Key]:
        """Accept those off whose last beat is too long ago, and return them."""
        late = list(self._late(now_ns))
        for key in late:
            self.leave(key, now_ns)
        return late

    def _late(self, now_ns: int) -> Iterator[Key]:
        for key, beat_ns in self._last_beat.items():
            if now_ns - beat_ns <= self._expire_ns:
                return
            yield key
