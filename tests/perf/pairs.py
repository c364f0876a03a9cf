"""What interleaved rounds amount to: a row with medians, paired ratios and the verdict on a target. Pure.

The ratio of a round is ours over theirs, measured within the same seconds, so that what the machine
does meanwhile cancels out; the median of these ratios has an interval from order statistics.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bench.analysis.stats import Estimate, median_interval


def paired_ratio(old: Sequence[float], new: Sequence[float]) -> Estimate:
    """Return the median of `new[i] / old[i]`, for rounds that were run side by side, and its interval.

    All values are above 0; both sequences are equally long.
    """
    return median_interval([after / before for before, after in zip(old, new, strict=True)])


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and their ends."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of one value or more."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Target:
    """At most `limit`: of what `of` names (ratio, ratio's low end, or our own median)."""

    limit: float
    of: str = "ratio"

    def __str__(self) -> str:
        names = {"ratio": "ratio", "ratio_low": "low end of ratio", "ours": "ours"}
        return f"{names[self.of]} <= {self.limit:.3g}"

    def is_met(self, ours: Spread, ratio: Estimate | None) -> bool | None:
        """Tell whether the target is met; None where what it speaks of was not measured."""
        if self.of == "ours":
            return ours.median <= self.limit
        value = None if ratio is None else ratio.low if self.of == "ratio_low" else ratio.center
        return None if value is None else value <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: ours beside another, or ours alone."""

    part: str
    """The name that `--only` selects."""
    what: str
    unit: str
    ours: Spread | None
    other: str = ""
    theirs: Spread | None = None
    ratio: Estimate | None = None
    target: str = ""
    met: bool | None = None
    notes: tuple[str, ...] = ()


def alone(part: str, what: str, unit: str, ours: Sequence[float], target: Target | None = None) -> Row:
    """Return the row of something that has nothing beside it."""
    spread = Spread.of(ours)
    met = target.is_met(spread, None) if target else None
    return Row(part, what, unit, spread, target=str(target or ""), met=met)


def beside(
    row: Row, other: str, ours: Sequence[float], theirs: Sequence[float], target: Target | None = None
) -> Row:
    """Return the row for ours and `other`, round by round; `row` gives part, what, unit and notes."""
    mine, ratio = Spread.of(ours), paired_ratio(theirs, ours)
    met = target.is_met(mine, ratio) if target else None
    return Row(
        row.part, row.what, row.unit, mine, other, Spread.of(theirs), ratio, str(target or ""), met, row.notes
    )


def missing(part: str, what: str, other: str, reason: str) -> Row:
    """Return the row that says what could not be measured, and why."""
    return Row(part, what, "", None, other, notes=(reason,))


def order(names: Sequence[str], round_: int) -> list[str]:
    """Return the order of one round: it starts one further each time, and turns round every other time.

    Nobody always runs first, nor always after the same neighbour.
    """
    start = round_ // 2 % len(names) if names else 0
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if round_ % 2 else turned
