"""The settings of the migration scenario."""

from dataclasses import dataclass, field

from bench.experiment.definition import Settings


@dataclass(frozen=True, slots=True)
class MigrationSettings(Settings):
    """How long the answer is, when the address changes, and how long each side waits."""

    tokens: int = 300
    every_s: float = 0.02
    move_at_s: float = 1.5
    outage_s: float = field(default=0.5, metadata={"least": 0})
    round_trip_s: float = field(default=0.04, metadata={"least": 0})
    timeout_s: float = 2.0
    """Of the variants over TCP that have one."""
    idle_timeout_s: float = 60.0
    """After which a QUIC client abandons a silent connection."""
    watch_s: float = 9.0
