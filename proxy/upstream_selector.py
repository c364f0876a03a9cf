"""Whose turn it is among the upstream addresses, and who is left out for a while. No sockets, no clock.

As nginx's max_fails and fail_timeout: an address that could not be connected to so many times within a while
is left out for as long. After that one connection tries it, and the others go on without it until that one
has come to be. Who is left out is still asked where nobody else is left to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(slots=True)
class _Member:
    """One address; moments are the callers' `now`, in seconds."""

    fails: int = 0
    counted_since: float = -inf
    tried_at: float = -inf


class Rotation:
    """The addresses 0 to `size` - 1.

    Args:
        max_fails: failures that leave an address out; 0 for none.
        fail_timeout_s: the time within which they count, and for which it is left out.
    """

    def __init__(self, size: int, *, max_fails: int, fail_timeout_s: float) -> None:
        self._members = [_Member() for _ in range(size)]
        self._max_fails = max_fails if size > 1 and max_fails else inf
        self._fail_timeout_s = fail_timeout_s
        self._last = size - 1

    def turn(self, now: float) -> int:
        """Return who is to be asked first for one more connection."""
        size = len(self._members)
        following = (self._last + 1) % size
        if self._members[following].fails >= self._max_fails:
            following = self._choose([(following + step) % size for step in range(size)], now)
        self._last = following
        return following

    def another(self, asked: tuple[int, ...], now: float) -> int | None:
        """Return who is to be asked now that these have failed, one after another; None: nobody is left."""
        size = len(self._members)
        after = [(asked[-1] + 1 + step) % size for step in range(size)]
        left = [each for each in after if each not in asked]
        return self._choose(left, now) if left else None

    def _choose(self, candidates: list[int], now: float) -> int:
        for each in candidates:
            member = self._members[each]
            if member.fails < self._max_fails:
                return each
            if now - member.tried_at >= self._fail_timeout_s:
                # For one connection: it is out for the others until that has come to be.
                member.tried_at = now
                return each
        return candidates[0]

    def failed(self, each: int, now: float) -> bool:
        """Count a failure; True where the address is left out from now on."""
        member = self._members[each]
        if now - member.counted_since > self._fail_timeout_s and member.fails < self._max_fails:
            member.fails = 0
            member.counted_since = now
        member.fails += 1
        member.tried_at = now
        return member.fails == self._max_fails

    def connected(self, each: int) -> None:
        """Learn that an address can be connected to: whoever was left out is in again."""
        member = self._members[each]
        if member.fails >= self._max_fails:
            member.fails = 0
