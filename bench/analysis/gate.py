"""Conditions that fail a comparison: `requests_per_s<0.95`, `latency_ms.p99>1.2x`, `abs:errors>0`. Pure.

`METRIC OP VALUE` judges the ratio of a later side to the first, with or without an `x` after the
value; with `abs:` before the metric it judges the later side's own median, in the metric's unit.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analysis import metrics
from bench.analysis.compare import Cell, Comparison
from bench.analysis.metrics import Metric
from bench.errors import PlanError

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"(abs:)?\s*([a-z0-9_.]+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)(x?)")


@dataclass(frozen=True, slots=True)
class Condition:
    """What must not be: `metric` of a later side, or its ratio to the first, beyond `value`."""

    text: str
    metric: Metric
    compares: Callable[[float, float], bool]
    value: float
    absolute: bool


def condition(text: str) -> Condition:
    """Return the condition that `text` says; PlanError where it says none."""
    match = _CONDITION.fullmatch(text.strip())
    if match is None or (match[1] and match[5]):
        raise PlanError(
            f"--fail-on {text!r} is no condition; write METRIC OP RATIO such as 'requests_per_s<0.95',"
            " or abs:METRIC OP VALUE such as 'abs:errors>0'"
        )
    prefix, key, sign, value, _ = match.groups()
    return Condition(text.strip(), metrics.named(key), _OPERATORS[sign], float(value), bool(prefix))


def failures(conditions: Sequence[Condition], comparison: Comparison) -> list[str]:
    """Return a sentence for each condition that holds, or cannot be judged, on a side after the first."""
    said = []
    for each in conditions:
        cells = comparison.row(each.metric.key).cells
        for side, cell in zip(comparison.sides[1:], cells[1:], strict=True):
            value = _judged(each, cells[0], cell)
            if value is None:
                why = f"{each.metric.key} was not measured on both sides"
                said.append(f"{side.name}: {each.text} cannot be judged: {why}")
            elif each.compares(value, each.value):
                shown = f"{value:,.6g}" if each.absolute else "new" if math.isinf(value) else f"{value:.3g}x"
                said.append(f"{side.name}: {each.metric.key} is {shown}, which fails {each.text}")
    return said


def _judged(each: Condition, first: Cell, cell: Cell) -> float | None:
    if cell.estimate is None or (first.estimate is None and not each.absolute):
        return None
    if each.absolute:
        return cell.estimate.center
    if cell.ratio is not None:
        return cell.ratio.center
    if first.estimate is None:
        return None
    old, new = first.estimate.center, cell.estimate.center
    if old == 0:
        return 1.0 if new == 0 else math.inf  # from none to some is beyond every ratio
    return new / old
