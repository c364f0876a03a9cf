"""The settings of the tls scenario."""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import PlanError
from bench.experiment.definition import Settings

_KEYS = ("ecdsa", "rsa")


@dataclass(frozen=True, slots=True)
class TlsSettings(Settings):
    """How many requests are sent at a time, and which kind of key the server has."""

    concurrent: int = 16
    key: str = "ecdsa"
    """ecdsa (P-256) or rsa (2,048 bits)."""
    warmup_s: float = 0.5
    duration_s: float = 4.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        if self.key not in _KEYS:
            raise PlanError(f"plan: settings.key = {self.key!r} is not one of {', '.join(_KEYS)}")
