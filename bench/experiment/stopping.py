"""When a run ends before its last trial: its interval is narrow, a condition fails, or its time is over.

Intervals and conditions are looked at after certain blocks only (bench/analysis/looks.py), and no trial is
under way meanwhile.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.analysis import compare, conditions, looks, metrics, sides
from bench.analysis.answers import Answer, Cell
from bench.analysis.compare import Comparison
from bench.analysis.conditions import Condition, Verdict
from bench.analysis.metrics import METRICS, Metric
from bench.analysis.sides import AnySide
from bench.errors import PlanError
from bench.runs.record import RunRecord
from bench.runs.timeline import Series

_UNTIL = re.compile(r"(?:([A-Za-z0-9_.-]+)\s*=\s*)?(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class Until:
    """How narrow the interval of a ratio is to be: each end within `share` of the centre."""

    share: float
    key: str | None = None
    """None: the proxy's CPU per request, or the first figure of a scenario."""

    def is_met(self, cell: Cell) -> bool:
        """Return whether the interval of `cell` is that narrow."""
        ratio = cell.ratio
        if ratio is None or ratio.low is None or ratio.high is None:
            return False
        return max(ratio.high / ratio.center, ratio.center / ratio.low) <= 1 + self.share


def parse_until(text: str) -> Until:
    """Return what `--until` says: 5%, or METRIC=5%; PlanError where it is neither."""
    match = _UNTIL.fullmatch(text.strip())
    if match is None or not 0 < float(match[2]) <= 100:
        raise PlanError(f"--until {text!r} is no width; write 5%, or METRIC=5% with up to 100 %")
    return Until(float(match[2]) / 100, match[1])


@dataclass(slots=True)
class Stopping:
    """The rules by which a run ends, and, once it has ended by one of them, which it was."""

    until: Until | None = None
    required: Sequence[Condition] = ()
    time_limit_s: float | None = None
    known: Sequence[Metric] = METRICS
    reason: str = ""
    """Why it ended before its last trial; empty where it did not."""
    is_narrow: bool = False
    """Whether the interval is as narrow as `until` asks."""
    _began_s: float = field(default_factory=time.monotonic)

    @property
    def looks(self) -> bool:
        """Return whether the trials are looked at on the way."""
        return self.until is not None or bool(self.required)

    def check(self, cases: int) -> None:
        """Raise PlanError where a rule names no metric, or a ratio where there is one case only."""
        for each in self.required:
            metrics.named(each.key, self.known)
        if self.until is not None and self.until.key is not None:
            metrics.named(self.until.key, self.known)
        if cases > 1:
            return
        if self.until is not None:
            raise PlanError("--until is about a ratio, and there is one case; use --mode both, or bench ab")
        for each in self.required:
            if not each.is_absolute:
                text = each.text
                raise PlanError(f"--require {text!r} is a ratio, and there is one case; write abs:{text}")

    def go_on(self, block: int, most: int, groups: Callable[[], Sequence[Sequence[AnySide]]]) -> bool:
        """Return whether another block is to follow; `groups` gives what has been measured so far."""
        if self.time_limit_s is not None and time.monotonic() - self._began_s >= self.time_limit_s:
            self.reason = f"the time limit of {self.time_limit_s:g} s has been reached"
        elif self.looks and block in looks.looks(most):
            self.reason = self._look(groups(), looks.alpha_at(block, most))
        return not self.reason and block < most

    def _look(self, groups: Sequence[Sequence[AnySide]], alpha: float) -> str:
        compared = [compare.compare(group, self._judged, alpha) for group in groups]
        judged = conditions.judge(self.required, *compared)
        failed = [each for each in judged if each.verdict is Verdict.FAILED]
        if failed:
            return f"{failed[0].condition.option} '{failed[0].condition.text}' has failed"
        if self.until is None:
            return ""
        cells = [cell for one in compared for cell in one.row(self._key(one)).cells[1:]]
        hopeless = [cell for cell in cells if cell.answer in (Answer.REFUSED, Answer.NOT_MEASURED)]
        if hopeless:
            instead = hopeless[0].instead
            remedy = f"take {instead}" if instead else "name another metric"
            return f"--until cannot be met: {self._key(compared[0])} {hopeless[0].answer}; {remedy}"
        self.is_narrow = bool(cells) and all(map(self.until.is_met, cells))
        if self.is_narrow:
            return f"the interval of {self._key(compared[0])} is within {100 * self.until.share:g} %"
        return ""

    @property
    def _judged(self) -> Sequence[Metric]:
        """Return the metrics that the rules are about."""
        keys = [each.key for each in self.required]
        if self.until is not None:
            keys += [self.until.key] if self.until.key is not None else self._usual
        return [metrics.named(key, self.known) for key in dict.fromkeys(keys)]

    @property
    def _usual(self) -> Sequence[str]:
        """Return what `--until` is about where it names nothing: the first of them that was measured."""
        if self.known is not METRICS:
            return [self.known[0].key]
        return ["cpu_us_per_request_before_cliff.proxy", "requests_per_s"]

    def _key(self, compared: Comparison) -> str:
        assert self.until is not None, "it is asked for where there is one"
        if self.until.key is not None:
            return self.until.key
        measured = (key for key in self._usual if all(cell.estimate for cell in compared.row(key).cells))
        return next(measured, self._usual[0])


def groups_of(runs: Sequence[RunRecord[Any]]) -> Sequence[Sequence[AnySide]]:
    """Return what is compared of runs that were made together: one with itself, several case by case."""
    if len(runs) == 1:
        return [sides.split(runs[0])]
    return sides.match([sides.select(str(run.directory), run, Series()) for run in runs])
