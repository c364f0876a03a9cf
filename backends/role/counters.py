"""What a backend counts, and the event that reports it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Errors:
    """Exchanges that went wrong on the client's side."""

    protocol: int = 0
    reset: int = 0


@dataclass(slots=True)
class Counters:
    """What one worker did so far; the keys are those of docs/reference/pipes.md."""

    accepted: int = 0
    requests: int = 0
    failed: int = 0
    errors: Errors = field(default_factory=Errors)
    closed_first: int = 0

    def count_lost(self, error: Exception | None, *, peer_closed: bool) -> None:
        """Count the end of a connection: reset by the peer, closed by the peer, or by us first."""
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            self.errors.reset += 1
        elif not peer_closed:
            self.closed_first += 1

    def event(self, name: str) -> dict[str, object]:
        """Return the counters as the event `name` of a backend."""
        return {"event": name, "role": "backend", **asdict(self)}


def sum_counters(events: Iterable[Mapping[str, Any]]) -> Counters:
    """Add up the counters in several workers' events."""
    total = Counters()
    for event in events:
        for key in ("accepted", "requests", "failed", "closed_first"):
            setattr(total, key, getattr(total, key) + event[key])
        total.errors.protocol += event["errors"]["protocol"]
        total.errors.reset += event["errors"]["reset"]
    return total
