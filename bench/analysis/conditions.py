"""Conditions on figures: `requests_per_s<0.95`, `latency_ms.p99>1.2x`, `abs:errors>0`. Pure.

`METRIC OP VALUE` bounds the ratio of a later side to the first, with or without an `x` after the value; with
`abs:` before the metric it bounds the later side's own median, in the metric's unit. METRIC is the path of a
figure in a trial's line of run.jsonl, with dots between the keys.

A condition is judged by intervals, never by a point: it fails where the whole interval is beyond the bound,
passes where none of it is, and else the trials cannot tell. That one of them fails by chance happens once
in forty times at the most, over all conditions and sides together: Holm, A Simple Sequentially Rejective
Multiple Test Procedure, Scandinavian Journal of Statistics 6 (1979). That all of them pass needs no
correction: Berger, Multiparameter Hypothesis Testing, Technometrics 24 (1982).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, TypedDict, cast

from bench import units
from bench.analysis import cliff, stats
from bench.analysis.answers import Cell, Samples
from bench.analysis.compare import Comparison, MetricRow
from bench.analysis.metrics import Metric
from bench.analysis.sides import AnySide
from bench.errors import ExitCode, PlanError

FAIL_ON, REQUIRE = "--fail-on", "--require"
Operator = Literal["<", "<=", ">", ">="]
_OPPOSITE: dict[Operator, Operator] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_CONDITION = re.compile(r"(abs:)?\s*([A-Za-z0-9_.-]+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)(x?)")

_GRAMMAR = (
    "write METRIC OP RATIO such as 'cpu_us_per_request.proxy<1.05', or abs:METRIC OP VALUE such as"
    " 'abs:errors<1'"
)


class Verdict(StrEnum):
    """What trials say of a condition."""

    PASSED = "passed"
    FAILED = "failed"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Condition:
    """What must not be: a figure of a later side, or its ratio to the first, beyond `value`."""

    text: str
    """As it was written."""
    key: str
    operator: Operator
    """What is beyond the value: of what --require says, the opposite."""
    value: float
    is_absolute: bool
    option: str = FAIL_ON

    def is_beyond(self, value: float, bound: float) -> bool:
        """Return whether `value` is beyond `bound`."""
        if value == bound:
            return self.operator in ("<=", ">=")
        return (value > bound) is (self.operator in (">", ">="))

    @property
    def alternative(self) -> stats.Alternative:
        """Return what a test must show for it to fail."""
        return "greater" if self.operator in (">", ">=") else "less"


class JudgedJson(TypedDict):
    """A condition and what the trials say of it, in JSON."""

    option: str
    condition: str
    side: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What the trials of one side say of one condition."""

    condition: Condition
    side: str
    verdict: Verdict
    reason: str
    """The figure with its interval, or why there is none."""
    p: float = 1.0
    """Of the test that the figure is not beyond the value."""

    def to_json(self) -> JudgedJson:
        """Return it as plain values."""
        return {
            "option": self.condition.option,
            "condition": self.condition.text,
            "side": self.side,
            "verdict": self.verdict,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        """Return a sentence."""
        return f"{self.verdict}: {self.condition.option} '{self.condition.text}': {self.side}: {self.reason}"


def parse(text: str, option: str = FAIL_ON, remedy: str = _GRAMMAR) -> Condition:
    """Return the condition in `text`, which was given with `option`; PlanError, with `remedy`, if none is."""
    match = _CONDITION.fullmatch(text.strip())
    if match is None or (match[1] and match[5]):
        raise PlanError(f"{option} {text!r} is no condition; {remedy}")
    prefix, key, sign, value, _ = match.groups()
    operator = cast("Operator", sign)
    beyond = _OPPOSITE[operator] if option == REQUIRE else operator
    return Condition(text.strip(), key, beyond, float(value), bool(prefix), option)


def judge(conditions: Sequence[Condition], *compared: Comparison) -> list[Judged]:
    """Return the verdict on each condition for each side after the first, or for the only one.

    Comparisons of the same runs, case by case, are corrected for together. PlanError where a condition names
    a metric that a comparison does not know, or a ratio of one side.
    """
    judged, alphas = [], []
    for comparison in compared:
        found = list(_judge_all(conditions, comparison))
        judged += found
        alphas += [comparison.alpha] * len(found)
    adjusted = stats.holm([each.p for each in judged])
    return [
        _withhold(each, len(judged)) if each.verdict is Verdict.FAILED and p > alpha / 2 else each
        for each, p, alpha in zip(judged, adjusted, alphas, strict=True)
    ]


def exit_code(judged: Sequence[Judged]) -> ExitCode:
    """Return how a command ends: one that fails is worse than one that cannot be told."""
    verdicts = {each.verdict for each in judged}
    if Verdict.FAILED in verdicts:
        return ExitCode.FINDINGS
    return ExitCode.CANNOT_TELL if Verdict.CANNOT_TELL in verdicts else ExitCode.OK


def _judge_all(conditions: Sequence[Condition], comparison: Comparison) -> Iterator[Judged]:
    for each in conditions:
        row = comparison.row(each.key)
        if len(row.cells) == 1 and not each.is_absolute:
            raise PlanError(
                f"{each.option} {each.text!r} is a ratio, and there is one side only; write abs:{each.text}"
            )
        pairs = list(zip(comparison.sides, row.cells, strict=True))
        for side, cell in pairs[1:] or pairs:
            yield _judge(each, side, row, cell)


def _withhold(each: Judged, together: int) -> Judged:
    """Return a failure as what cannot be told: not surely enough, where so many are judged together."""
    reason = f"{each.reason}, not sure enough with {together} judged together"
    return replace(each, verdict=Verdict.CANNOT_TELL, reason=reason)


def _judge(each: Condition, side: AnySide, row: MetricRow, cell: Cell) -> Judged:
    name, first = _name(side), row.cells[0]
    instead = cell.instead
    if each.is_absolute:
        instead = cliff.metric_instead(row.metric, side.counted_for(row.metric))
    if instead is not None:
        reason = f"{each.key} means nothing where half of the ports were passed; take {instead}"
        return Judged(each, name, Verdict.CANNOT_TELL, reason)
    if cell.estimate is None or (first.estimate is None and not each.is_absolute):
        where = "" if each.is_absolute else " on both sides"
        return Judged(each, name, Verdict.CANNOT_TELL, f"{each.key} was not measured{where}")
    if each.is_absolute:
        return _judge_median(each, name, cell)
    assert cell.samples is not None, "what was measured on both sides was compared"
    return _judge_ratio(each, name, cell, cell.samples)


def _judge_median(each: Condition, name: str, cell: Cell) -> Judged:
    estimate = cell.estimate
    assert estimate is not None, "what was not measured has been told"
    low, high = estimate.low, estimate.high
    if len(set(cell.values)) == 1 < estimate.n:  # equal in every trial, whatever their number
        low = high = estimate.center
    shown = f"{each.key} is {estimate.center:,.6g}"
    if low is None or high is None:
        return _too_few(each, name, shown, stats.fewest(cell.alpha, paired=True) - estimate.n)
    beyond = sum(each.is_beyond(value, each.value) for value in cell.values)
    p = 0.0 if low == high else stats.sign_test(beyond, estimate.n)
    verdict = _verdict(each.is_beyond(low, each.value), each.is_beyond(high, each.value))
    return Judged(each, name, verdict, f"{shown} [{low:,.6g}, {high:,.6g}]", p)


def _judge_ratio(each: Condition, name: str, cell: Cell, samples: Samples) -> Judged:
    if cell.ratio is not None:
        low, high, bound = cell.ratio.low, cell.ratio.high, each.value
        center, between = units.ratio(cell.ratio.center), ""
        if low is not None and high is not None:
            center, *bounds = units.ratios((cell.ratio.center, low, high))
            between = f" [{', '.join(bounds)}]"
        shown = f"{each.key} is {center}"
    else:  # from or to 0 there is no ratio, but a difference to the first side's values times the bound
        difference = samples.times(each.value).difference(cell.alpha)
        low, high, bound = difference.low, difference.high, 0.0
        shown, between = (
            f"{each.key} went from {_median(samples.old, each):,.6g} to {_median(samples.new, each):,.6g}",
            "",
        )
    if samples.are_equal and min(len(samples.old), len(samples.new)) > 1:  # 1x, whatever their number
        beyond = each.is_beyond(1.0, each.value)
        return Judged(each, name, _verdict(beyond, beyond), f"{shown}, equal in every trial", 0.0)
    if low is None or high is None:
        return _too_few(each, name, shown, cell.more_trials or 1)
    verdict = _verdict(each.is_beyond(low, bound), each.is_beyond(high, bound))
    p = samples.p(each.alternative, each.value) if verdict is Verdict.FAILED else 1.0
    return Judged(each, name, verdict, shown + between, p)


def _verdict(low_is_beyond: bool, high_is_beyond: bool) -> Verdict:
    if low_is_beyond is not high_is_beyond:
        return Verdict.CANNOT_TELL
    return Verdict.FAILED if low_is_beyond else Verdict.PASSED


def _too_few(each: Condition, name: str, shown: str, more: int) -> Judged:
    return Judged(
        each,
        name,
        Verdict.CANNOT_TELL,
        f"{shown}, without an interval: at least {units.plural(more, 'more trial')}",
    )


def _median(values: Sequence[float], each: Condition) -> float:
    return stats.median(values, Metric(each.key, "").is_count)


def _name(side: AnySide) -> str:
    """Return the name of a side, with its case where there may be several comparisons."""
    if side.subject is None:
        return side.name
    return side.case if side.name in (side.mode, side.subject, side.case) else f"{side.name}, {side.case}"
