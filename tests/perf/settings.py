"""How long and how often to measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole form by default; `quick` for a look that takes a minute or two."""

    generator_rounds: int = 11
    """Pairs of ours and wrk."""
    response_rounds: int = 6
    """Of each server's response."""
    response_requests: int = 50_000
    other_rounds: int = 6
    """The fewest rounds whose median has a 95 % interval."""
    proxy_rounds: int = 7
    requests: int = 200_000
    """Of each run of ours beside wrk: about as long as wrk's, so that starts and ends weigh alike."""
    other_requests: int = 60_000
    """Of each run of ours and of the others that count."""
    window_s: int = 2
    """Of each run of wrk in part a."""
    shape_rounds: int = 6
    shape_other_rounds: int = 2
    shape_window_s: float = 0.3
    """What is measured of each turn with a shape."""
    starts: int = 10
    trials: int = 3
    observed_times: int = 3
    observed_s: float = 6.0
    long_s: int = 20


QUICK = Settings(
    generator_rounds=3,
    response_rounds=3,
    response_requests=30_000,
    other_rounds=3,
    proxy_rounds=3,
    requests=100_000,
    other_requests=20_000,
    window_s=1,
    shape_rounds=3,
    shape_other_rounds=1,
    starts=3,
    trials=1,
    observed_times=1,
    observed_s=2.0,
    long_s=6,
)
