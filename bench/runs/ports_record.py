"""What became of a trial's ports, as its line of `run.jsonl` holds it. Values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ports:
    """The proxy host's ephemeral ports toward the backend, and what running through them did.

    `tuples` is what there is to use: the range times source addresses times destinations. The rates
    are correct responses per second before half of the tuples were in use, and after. Where `reuses`, there
    are such rates only if connect() slowed down.
    """

    range: int = 0
    tuples: int = 0
    used_peak: int | None = 0
    half_range_passed_s: float | None = None
    exhausted_s: float | None = None
    rate_before: float | None = None
    rate_after: float | None = None
    reuses: bool = False
    """Whether connect() may take a port in TIME_WAIT again after a second (tcp_tw_reuse)."""

    @property
    def slowed_s(self) -> float | None:
        """Return when half of the tuples were in use, where that was to slow connect() down."""
        return None if self.is_half_free else self.half_range_passed_s

    @property
    def is_half_free(self) -> bool:
        """Return whether half of the tuples were in use, and connect() took those in TIME_WAIT again."""
        return self.reuses and self.half_range_passed_s is not None and self.rate_after is None
