"""A registry at work: its roster, its clock, and who is told of which service."""

import asyncio
from time import monotonic_ns
from typing import Any, Final, Protocol

from backends import nacos
from backends.roster import Key, Roster

_SWEEPS_PER_EXPIRY: Final = 3
"""As in Nacos, which looks every 5 s for beats that are 15 s old."""


class Follower(Protocol):
    """Somebody who is told of changes."""

    def tell(self, listing: dict[str, Any]) -> None:
        """Send it what a service is now."""


class Registry:
    """The roster, and who follows which service."""

    def __init__(self, expire_s: float) -> None:
        self.roster = Roster(round(expire_s * 1e9))
        self._followers: dict[str, dict[Follower, None]] = {}
        self._every_s = expire_s / _SWEEPS_PER_EXPIRY

    def sweep(self) -> None:
        """Accept those off whose beats stay out, again and again."""
        for key in self.roster.expire(monotonic_ns()):
            self._changed(key.service)
        asyncio.get_running_loop().call_later(self._every_s, self.sweep)

    def register(self, key: Key) -> None:
        """Put an instance on the roster, and tells who follows its service."""
        if self.roster.register(key, monotonic_ns()):
            self._changed(key.service)

    def leave(self, key: Key) -> None:
        """Accept an instance off the roster, and tells who follows its service."""
        if self.roster.leave(key, monotonic_ns()):
            self._changed(key.service)

    def listing(self, name: str) -> dict[str, Any]:
        """Return the service called `name` with its instances."""
        return nacos.listing(name, self.roster.service(name))

    def follow(self, name: str, who: Follower) -> None:
        """Have somebody be told of every change of a service."""
        self._followers.setdefault(name, {})[who] = None

    def gone(self, who: Follower, follows: set[str], keys: dict[Key, None]) -> None:
        """Remove a client whose connection has ended, and takes its instances off the roster."""
        for name in follows:
            del self._followers[name][who]
        for key in keys:
            self.leave(key)

    def _changed(self, name: str) -> None:
        followers = self._followers.get(name)
        if followers:
            listing = self.listing(name)
            for each in followers:
                each.tell(listing)
