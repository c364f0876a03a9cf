"""What keep-alive gains over short connections in one run, as the comparison of that run has it. Pure.

Title, sentence, picture and documents quote these cells: one estimate, and no more claimed than its answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis import compare
from bench.analysis.answers import Answer, Cell
from bench.analysis.compare import Comparison
from bench.analysis.sides import Side

_RATE, _CPU = "requests_per_s", "cpu_us_per_request.proxy"


@dataclass(frozen=True, slots=True)
class Gain:
    """Rate and CPU per request of one side as ratios to the other; before the cliff where there is one."""

    rate: Cell
    cpu: Cell

    @property
    def rate_ratio(self) -> float | None:
        """Return how many times the requests per second were served; None where that is not known."""
        return None if self.rate.ratio is None else self.rate.ratio.center

    @property
    def cpu_ratio(self) -> float | None:
        """Return the share of the CPU per request that was spent; None where that is not known."""
        return None if self.cpu.ratio is None else self.cpu.ratio.center

    @property
    def open_cells(self) -> Sequence[Cell]:
        """Return the cells with a ratio of which the trials cannot tell whether there is a difference."""
        known = [cell for cell in (self.rate, self.cpu) if cell.ratio is not None]
        return [cell for cell in known if cell.answer is Answer.CANNOT_TELL]

    @property
    def is_too_few(self) -> bool:
        """Return whether there are too few trials for an interval, and so for any answer."""
        return any(cell.no_more_than is None for cell in self.open_cells)


def find(short: Side, keepalive: Side) -> Gain:
    """Return what `keepalive` gains over `short`, two sides of one run."""
    compared = compare.compare((short, keepalive))
    return Gain(follow(compared, _RATE), follow(compared, _CPU))


def follow(compared: Comparison, key: str) -> Cell:
    """Return the second side's cell of the metric called `key`, or of the one to take in its place."""
    cell = compared.row(key).cells[1]
    return compared.row(cell.instead).cells[1] if cell.instead is not None else cell
