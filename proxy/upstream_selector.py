"""Selects upstream addresses in turn, and ejects failing ones for a while. No sockets, no clock.

As nginx's max_fails and fail_timeout: an address with so many failures to connect within a time is ejected
for as long. Then one connection tries it, and the others skip it until that attempt has succeeded. Ejected
addresses are still tried when no other is left.
"""

from dataclasses import dataclass
from math import inf


@dataclass(slots=True)
class _UpstreamHealth:
    """The failures of one address; times are the callers' `now`, in seconds."""

    fails: int = 0
    counted_since: float = -inf
    tried_at: float = -inf


class UpstreamSelector:
    """Selects among the addresses 0 to `size` - 1.

    Args:
        max_fails: failures that eject an address; 0: never.
        fail_timeout_s: the time within which failures count, and for which an address is ejected.
    """

    def __init__(self, size: int, *, max_fails: int, fail_timeout_s: float) -> None:
        self._health = [_UpstreamHealth() for _ in range(size)]
        self._max_fails = max_fails if size > 1 and max_fails else inf
        self._fail_timeout_s = fail_timeout_s
        self._last = size - 1

    def select(self, now: float) -> int:
        """Return the address to try first for a new connection."""
        size = len(self._health)
        following = (self._last + 1) % size
        if self._health[following].fails >= self._max_fails:
            following = self._choose([(following + step) % size for step in range(size)], now)
        self._last = following
        return following

    def select_next(self, tried: tuple[int, ...], now: float) -> int | None:
        """Return the address to try after the failures of `tried`; None if none is left."""
        size = len(self._health)
        after = [(tried[-1] + 1 + step) % size for step in range(size)]
        left = [each for each in after if each not in tried]
        return self._choose(left, now) if left else None

    def _choose(self, candidates: list[int], now: float) -> int:
        for each in candidates:
            health = self._health[each]
            if health.fails < self._max_fails:
                return each
            if now - health.tried_at >= self._fail_timeout_s:
                # For this connection only; it stays ejected for the others until that succeeds.
                health.tried_at = now
                return each
        return candidates[0]

    def report_failure(self, each: int, now: float) -> bool:
        """Count a failure; return whether it ejects the address."""
        health = self._health[each]
        if now - health.counted_since > self._fail_timeout_s and health.fails < self._max_fails:
            health.fails = 0
            health.counted_since = now
        health.fails += 1
        health.tried_at = now
        return health.fails == self._max_fails

    def report_success(self, each: int) -> None:
        """End the ejection of an address that accepts connections."""
        health = self._health[each]
        if health.fails >= self._max_fails:
            health.fails = 0
