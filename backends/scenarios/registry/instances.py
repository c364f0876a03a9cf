"""A registry's services and their instances, kept alive by beats. No sockets, no clock.

Each event costs the same however many instances there are: they stand in the order of their last beat, so
that those that are late stand first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Instance(NamedTuple):
    """One instance of a service."""

    service: str
    host: str
    port: int


@dataclass(slots=True)
class Service:
    """The instances of one service, in the order in which they came."""

    instances: dict[Instance, None] = field(default_factory=dict)
    changed_ns: int = 0
    """When an instance last came or went."""


class Instances:
    """All services with their instances, from registration until they leave or their beats stay out."""

    def __init__(self, expire_ns: int) -> None:
        self._expire_ns = expire_ns
        self._services: dict[str, Service] = {}
        self._last_beat: dict[Instance, int] = {}

    def __len__(self) -> int:
        return len(self._last_beat)

    def service(self, name: str) -> Service:
        """Return the service called `name`, without instances where it is unknown."""
        return self._services.setdefault(name, Service())

    def register(self, instance: Instance, now_ns: int) -> bool:
        """Add an instance; return whether it is new."""
        is_new = not self.beat(instance, now_ns)
        if is_new:
            service = self.service(instance.service)
            service.instances[instance] = None
            service.changed_ns = now_ns
            self._last_beat[instance] = now_ns
        return is_new

    def beat(self, instance: Instance, now_ns: int) -> bool:
        """Note a beat; return whether the instance is registered."""
        if self._last_beat.pop(instance, None) is None:
            return False
        self._last_beat[instance] = now_ns  # now it is the last in order
        return True

    def leave(self, instance: Instance, now_ns: int) -> bool:
        """Remove an instance; return whether it was registered."""
        if self._last_beat.pop(instance, None) is None:
            return False
        service = self.service(instance.service)
        del service.instances[instance]
        service.changed_ns = now_ns
        return True

    def expire(self, now_ns: int) -> list[Instance]:
        """Remove the instances whose last beat is too long ago, and return them."""
        late = list(self._late(now_ns))
        for instance in late:
            self.leave(instance, now_ns)
        return late

    def _late(self, now_ns: int) -> Iterator[Instance]:
        for instance, beat_ns in self._last_beat.items():
            if now_ns - beat_ns <= self._expire_ns:
                return
            yield instance
