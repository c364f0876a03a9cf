"""Who looks on while a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bench.observe.host_observer import HostSample


class Watch(Protocol):
    """Is told of each turn of a run."""

    def started(self, directory: Path, trials: int) -> None:
        """A run of so many trials begins."""

    def trial(self, number: int, mode: str, warmup_s: float, duration_s: float) -> None:
        """A trial begins, in its set-up."""

    def phase(self, name: str) -> None:
        """The trial enters a phase: warm-up, window, drain, second opinion, done."""

    def sample(self, sample: HostSample, tuples: int) -> None:
        """The observers report a host, on their thread; `tuples` is what the proxy's ports give."""
