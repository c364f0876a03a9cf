"""What a backend counts, and the event that tells it."""

from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Errors:
    """Exchanges that went wrong on the client's side."""

    protocol: int = 0
    reset: int = 0


@dataclass(slots=True)
class Counters:
    """What one worker did so far; the words are those of docs/pipes.md."""

    accepted: int = 0
    requests: int = 0
    failed: int = 0
    errors: Errors = field(default_factory=Errors)
    closed_first: int = 0

    def event(self, name: str) -> dict[str, object]:
        """Returns the counters as the event `name` of a backend."""
        return {"event": name, "role": "backend", **asdict(self)}
