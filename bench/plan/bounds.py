"""How large and how small a number of a plan may be: what lies beyond was meant otherwise. Pure."""

import math

from bench.errors import PlanError

MOST_PER_S = 10_000_000
"""Beyond this a due time comes every hundred nanoseconds, in which nothing can be sent."""
SHORTEST_S = 1e-3
LONGEST_S = 86_400.0
"""A day: what is to last longer was meant in another unit."""
LONGEST_RUN_S = 7 * LONGEST_S
"""All trials of a run together."""
MOST_TRIALS = 100_000
MOST_SEED = (1 << 31) - 1
MOST_PROCESSES = 1024
MOST_CONNECTIONS = 1_000_000
"""From one machine: each takes memory and an open file in every role."""
MOST_COUNTED = 1_000_000_000
"""What every proxy can count to, in 32 bits."""
SET_UP_S = 1.0
"""What a trial takes besides its warm-up and its window, about."""


def check_above_zero(key: str, number: float | None) -> None:
    """Raise PlanError where a number is not above 0, or too small or, of seconds, too large to be meant."""
    if number is None:
        return
    if is_negative(number) or number == 0:
        raise PlanError(f"{key} = {number:g} must be a number above 0")
    if number < SHORTEST_S:
        raise PlanError(f"{key} = {number:g} must be at least {SHORTEST_S:g}")
    if key.endswith("_s") and number > LONGEST_S:
        raise PlanError(f"{key} = {number:g} is more than a day; write it in seconds, or as 10s or 5m")


def is_negative(number: float) -> bool:
    """Return whether a number has the sign -, as -0.0 has, which equals 0."""
    return math.copysign(1.0, number) < 0


def check_length(key: str, trials: int, lasts_s: float) -> None:
    """Raise PlanError where so many trials of `lasts_s` take longer than a run may."""
    whole_s = trials * (lasts_s + SET_UP_S)
    if whole_s > LONGEST_RUN_S:
        raise PlanError(
            f"{key}: {trials:,} trials of {lasts_s:,.6g} s take {whole_s / LONGEST_S:,.0f} days;"
            f" a run takes {LONGEST_RUN_S / LONGEST_S:g} at the most: lower trials or the duration"
        )
