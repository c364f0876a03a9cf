"""Conditions on figures: `requests_per_s<0.95`, `latency_ms.p99>1.2x`, `abs:errors>0`. Pure.

`METRIC OP VALUE` bounds the ratio of a later side to the first, with or without an `x` after the value; with
`abs:` before the metric it bounds the later side's own median, in the metric's unit. METRIC is the path of a
figure in a trial's line of run.jsonl, with dots between the keys.
"""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analysis.compare import Cell, Comparison
from bench.analysis.sides import AnySide
from bench.errors import PlanError

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"(abs:)?\s*([A-Za-z0-9_.-]+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)(x?)")


@dataclass(frozen=True, slots=True)
class Condition:
    """What must not be: a figure of a later side, or its ratio to the first, beyond `value`."""

    text: str
    key: str
    holds: Callable[[float, float], bool]
    value: float
    is_absolute: bool


def parse(text: str) -> Condition:
    """Return the condition in `text`, which was given with --fail-on; PlanError where there is none."""
    match = _CONDITION.fullmatch(text.strip())
    if match is None or (match[1] and match[5]):
        raise PlanError(
            f"--fail-on {text!r} is no condition; write METRIC OP RATIO such as 'requests_per_s<0.95',"
            " or abs:METRIC OP VALUE such as 'abs:errors>0'"
        )
    prefix, key, sign, value, _ = match.groups()
    return Condition(text.strip(), key, _OPERATORS[sign], float(value), bool(prefix))


def failures(conditions: Sequence[Condition], comparison: Comparison) -> list[str]:
    """Return a sentence for each condition that holds, or cannot be judged, on a side after the first.

    PlanError where a condition names a metric that the comparison does not know.
    """
    lines = []
    for each in conditions:
        cells = comparison.row(each.key).cells
        for side, cell in zip(comparison.sides[1:], cells[1:], strict=True):
            name = _name(side)
            value = _judged(each, cells[0], cell)
            if value is None:
                reason = f"{each.key} was not measured on both sides"
                lines.append(f"{name}: {each.text} cannot be judged: {reason}")
            elif each.holds(value, each.value):
                shown = (
                    f"{value:,.6g}" if each.is_absolute else "new" if math.isinf(value) else f"{value:.3g}x"
                )
                lines.append(f"{name}: {each.key} is {shown}, which fails {each.text}")
    return lines


def _name(side: AnySide) -> str:
    """Return the name of a side, with its case where there may be several comparisons."""
    if side.subject is None:
        return side.name
    return side.case if side.name in (side.mode, side.subject, side.case) else f"{side.name}, {side.case}"


def _judged(each: Condition, first: Cell, cell: Cell) -> float | None:
    if cell.estimate is None or (first.estimate is None and not each.is_absolute):
        return None
    if each.is_absolute:
        return cell.estimate.center
    if cell.ratio is not None:
        return cell.ratio.center
    if first.estimate is None:
        return None
    old, new = first.estimate.center, cell.estimate.center
    if old == 0:
        return 1.0 if new == 0 else math.inf  # from none to some is beyond every ratio
    return new / old
