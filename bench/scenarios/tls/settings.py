"""The settings of the tls scenario."""

from dataclasses import dataclass, field

from bench.experiment.definition import Settings


@dataclass(frozen=True, slots=True)
class TlsSettings(Settings):
    """How many requests are sent at a time, and which kind of key the server has."""

    concurrent: int = 16
    key: str = field(default="ecdsa", metadata={"choices": ("ecdsa", "rsa")})
    """ecdsa (P-256) or rsa (2,048 bits)."""
    warmup_s: float = 0.5
    duration_s: float = 4.0
