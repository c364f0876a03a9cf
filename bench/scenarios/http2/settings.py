"""The settings of the http2 scenario."""

from dataclasses import dataclass, field

from bench.experiment.definition import Settings

LARGEST_FIELD_BYTES = 1 << 20
"""Every proxy refuses a far smaller header field."""


@dataclass(frozen=True, slots=True)
class Http2Settings(Settings):
    """How many requests are sent at a time, what they carry, and how slow the slow response is."""

    concurrent: int = 100
    cookie_bytes: int = field(default=350, metadata={"least": 0, "most": LARGEST_FIELD_BYTES})
    token_bytes: int = field(default=600, metadata={"least": 0, "most": LARGEST_FIELD_BYTES})
    generator: str = field(default="h2", metadata={"choices": ("h2", "h2load")})
    """Whose clients: h2 (ours, with httptools and h2), or h2load for a second opinion."""
    every_s: float = field(default=0.0, metadata={"least": 0.0})
    """How often each of them is sent anew; 0: as soon as the last response is there."""
    slow_ms: float = 200.0
    slow_every_s: float = 0.5
    warmup_s: float = 0.5
    duration_s: float = 4.0

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Return the header fields of every request: what a browser that is logged in sends."""
        return [
            ("user-agent", "bench/1 (a browser says much more)"),
            ("accept", "application/json"),
            ("cookie", "session=" + "c" * self.cookie_bytes),
            ("authorization", "Bearer " + "t" * self.token_bytes),
        ]
