"""The observer of a run: what it is told while the run goes on."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bench.load.generator import Second
    from bench.observe.host_observer import HostSample


class Progress(Protocol):
    """Is told of each step of a run."""

    def started(self, directory: Path, trials: int) -> None:
        """Note that a run of so many trials begins."""

    def note(self, text: str) -> None:
        """Say one line about the run, once."""

    def trial(self, number: int, label: str, warmup_s: float, duration_s: float) -> None:
        """Note that a trial begins, in its set-up."""

    def phase(self, name: str) -> None:
        """Note that the trial enters a phase: warm-up, window, drain, second opinion, done."""

    def second(self, second: "Second") -> None:
        """Accept a second, or a part of one, that the load generator reports."""

    def sample(self, sample: "HostSample", tuples: int, reuses: bool = False) -> None:
        """Accept a sample of a host, on the observers' thread.

        `tuples` is what the proxy's ports give; `reuses`: those in TIME_WAIT can be taken again.
        """
