"""The settings of the stream scenario."""

from dataclasses import dataclass

from bench.experiment.definition import Settings

LATE_MS = 100.0
"""From when on a reader sees that the first token is late."""


@dataclass(frozen=True, slots=True)
class StreamSettings(Settings):
    """How long an answer is, and how many are read at once."""

    tokens: int = 200
    every_s: float = 0.02
    streams: int = 10
    warmup_s: float = 0.5
    browser: bool = False
    """A headless Chromium as one more reader."""

    @property
    def lasts_s(self) -> float:
        """Return how long a trial lasts, about: the length of an answer."""
        return self.warmup_s + self.tokens * self.every_s
