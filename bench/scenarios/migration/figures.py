"""What the arrivals of an answer's tokens amount to: how many came, and how long it was silent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Arrival = tuple[float, int]
"""When a token came, in seconds from the first connect, and its number."""


class Told(NamedTuple):
    """An answer as it arrived."""

    got: int
    """Tokens, each counted once."""
    doubled: int
    silence_s: float
    """The longest time without a new token; where some never came, up to the end of the watch."""
    silence_began_s: float
    curve: list[tuple[float, float]]
    """How many tokens there were, over time; ends with the watch."""


def told(arrivals: Sequence[Arrival], tokens: int, watched_s: float) -> Told:
    """Return what `arrivals`, in the order of time, tell of an answer that was watched for `watched_s`."""
    seen: set[int] = set()
    curve: list[tuple[float, float]] = []
    silence_s = silence_began_s = 0.0
    for at_s, number in arrivals:
        if number in seen:
            continue
        seen.add(number)
        if curve and at_s - curve[-1][0] > silence_s:
            silence_s, silence_began_s = at_s - curve[-1][0], curve[-1][0]
        curve.append((at_s, float(len(seen))))
    last_s = curve[-1][0] if curve else 0.0
    if len(seen) < tokens and watched_s - last_s > silence_s:
        silence_s, silence_began_s = watched_s - last_s, last_s
    if watched_s > last_s:
        curve.append((watched_s, float(len(seen))))
    return Told(len(seen), len(arrivals) - len(seen), silence_s, silence_began_s, curve)


def allowed_s(outage_s: float, round_trip_s: float, every_s: float) -> float:
    """Return the silence that a connection may show which survives a change of address.

    The outage, a round trip to say where the client is now, one to learn what was lost, the time between two
    tokens, and 20 ms for two busy processes.
    """
    return outage_s + 2 * round_trip_s + every_s + 0.02
