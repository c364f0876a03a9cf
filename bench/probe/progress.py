"""What a probe tells about itself while it waits."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProbeProgress:
    """Where a probe is."""

    phase: str
    """What it does: "requests on one connection", "idle connections"."""
    elapsed_s: float = 0.0
    of_s: float | None = None
    """How long the phase takes at the most; None where it is short."""
    idle: int = 0
    """Connections that wait."""
    ended: int = 0
    """Those of them that the server has ended."""

    def format(self) -> str:
        """Return it as a line of at most 79 columns."""
        if self.of_s is None:
            return f"probe: {self.phase}"
        return (
            f"probe: {self.phase}: {self.idle} wait, {self.ended} ended by the server;"
            f" {self.elapsed_s:.0f} of at most {self.of_s:.0f} s"
        )


Report = Callable[[ProbeProgress], None]


def tell_nobody(progress: ProbeProgress) -> None:
    """Report to nobody."""
