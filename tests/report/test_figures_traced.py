"""Every figure of what is said of 52 made-up runs is one of their trials, and none is of a void one.

What counts is written down here once more, in the tags that a change of a run gives its trials: the code
under test is not asked.
"""

import itertools
import math
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pytest

from bench.analysis import claims
from bench.analysis.sides import split
from bench.plan import run_plan
from bench.report.charts import BarChart
from bench.report.export import markdown
from bench.report.run import charts, finding, tables, text
from bench.runs.record import Percentiles, Run, Trial, TrialWarning
from tests import synthetic
from tests.synthetic import KEEPALIVE, SHORT, SHORT_BACKEND_CLOSES, SHORT_LOOPBACK, SHORT_NARROW, Story

ALL, COUNTS, NOTHING = "all", "counts", "nothing"
"""Which figures of a trial count: all; counts and CPU, not rates and times; none."""
STORIES = {
    "cliff": SHORT,
    "exhausted": SHORT_NARROW,
    "backend-closes": SHORT_BACKEND_CLOSES,
    "loopback": SHORT_LOOPBACK,
}
TIMED = re.compile(
    r"requests_per_s|latency_ms|connect_ms|service_ms|ports\.rate|ports\..*_s$|late$|never_started"
)
AVERAGED = re.compile(r"requests_per_s$|cpu_us_per_request\.|latency_ms|connect_ms|service_ms")
NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?")


class Tagged(NamedTuple):
    """A trial, and which of its figures count."""

    trial: Trial
    counts: str = ALL


Change = Callable[[list[Trial]], list[Tagged]]


def void(code: str, counts: str, of: Callable[[int, Trial], bool] = lambda index, trial: True) -> Change:
    """Return a change that voids the trials which `of` chooses, and gives them rates of their own."""

    def change(trials: list[Trial]) -> list[Tagged]:
        return [
            Tagged(_spoilt(trial, code), counts) if of(index, trial) else Tagged(trial)
            for index, trial in enumerate(trials)
        ]

    return change


def _spoilt(trial: Trial, code: str) -> Trial:
    """Return `trial` voided, with rates and times that no other trial has."""
    slower = replace(
        trial.ports,
        rate_before=trial.ports.rate_before and trial.ports.rate_before * 0.613,
        rate_after=trial.ports.rate_after and trial.ports.rate_after * 0.613,
    )
    return replace(
        trial,
        valid=False,
        warnings=(TrialWarning(code, "it was seen", "do something", voids=True),),
        requests_per_s=trial.requests_per_s * 0.613,
        latency_ms=_scaled(trial.latency_ms, 1.731),
        ports=slower,
    )


def _scaled(times: Percentiles, factor: float) -> Percentiles:
    return Percentiles(
        *((value or 0) * factor for value in (times.p50, times.p90, times.p99, times.p99_9, times.max))
    )


def _huge(trials: list[Trial]) -> list[Tagged]:
    return [
        Tagged(
            replace(
                trial,
                requests_per_s=trial.requests_per_s * 1e6,
                latency_ms=_scaled(trial.latency_ms, 1e6),
                upstream=replace(trial.upstream, requests_total=(trial.upstream.requests_total or 0) * 10**6),
            )
        )
        for trial in trials
    ]


def _zero(trials: list[Trial]) -> list[Tagged]:
    nothing: dict[str, Any] = {"requests": 0, "requests_per_s": 0.0, "latency_ms": Percentiles()}
    empty = TrialWarning("no-traffic", "0 requests reached the backend on 0 connections", "see", voids=True)
    return [
        Tagged(replace(trial, **nothing, valid=False, warnings=(empty,), cpu_us_per_request={}), NOTHING)
        for trial in trials
    ]


def _cut(trials: list[Trial]) -> list[Tagged]:
    return [*map(Tagged, trials[:-1]), Tagged(replace(trials[-1], interrupted=True), NOTHING)]


def _of(mode: str) -> Change:
    return lambda trials: [Tagged(trial) for trial in trials if trial.mode == mode]


CHANGES: dict[str, tuple[Change, int]] = {
    "valid": (lambda trials: [*map(Tagged, trials)], 0),
    "one disturbed": (void("machine-shared", COUNTS, lambda index, _: index == 1), 0),
    "short disturbed": (void("machine-shared", COUNTS, lambda _, trial: trial.mode == "short"), 4),
    "all disturbed": (void("machine-shared", COUNTS), 4),
    "one saturated": (void("generator-saturated", COUNTS, lambda index, _: index == 2), 1),
    "all saturated": (void("generator-saturated", COUNTS), 1),
    "keepalive not kept": (
        void("mode-not-keepalive", NOTHING, lambda _, trial: trial.mode == "keepalive"),
        1,
    ),
    "all void": (void("mode-not-short", NOTHING), 1),
    "one-sided": (_of("short"), 0),
    "empty": (lambda trials: [], 1),
    "interrupted": (_cut, 0),
    "huge": (_huge, 0),
    "zero": (_zero, 1),
}
RUNS = list(itertools.product(STORIES, CHANGES))


@cache
def _trials(story: str) -> list[Trial]:
    lab = "loopback" if story == "loopback" else "namespaces"
    stories: dict[str, Story] = {"short": STORIES[story], "keepalive": KEEPALIVE}
    modes = [mode for _ in range(3) for mode in stories]
    return [synthetic.trial(number, mode, stories[mode], lab=lab)[0] for number, mode in enumerate(modes, 1)]


def _run(story: str, change: str) -> tuple[Run, list[Tagged]]:
    tagged = CHANGES[change][0](_trials(story))
    plan = run_plan.build({"trials": 3}).to_json()
    run = Run(plan, synthetic.MACHINE, "2026-03-14T15:09:26+00:00", tuple(each.trial for each in tagged))
    return run, tagged


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield each number of a line of run.jsonl, with its path; counts of one object also summed up."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else key)
        if path == "errors":
            yield path, sum(value.values())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


class Case:
    """The figures of the trials of one mode that count: each path with its values."""

    def __init__(self, tagged: Sequence[Tagged]) -> None:
        self.values: dict[str, list[float]] = {}
        for trial, counts in tagged:
            for path, value in _leaves(trial.to_json()):
                if counts == ALL or (counts == COUNTS and not TIMED.search(path)):
                    self.values.setdefault(path, []).append(value)
        self.has_cliff = "ports.rate_after" in self.values
        self.had_cliff = any(
            trial.ports.rate_after is not None for trial, counts in tagged if counts != NOTHING
        )
        if self.had_cliff:
            self.values = {path: each for path, each in self.values.items() if not AVERAGED.match(path)}

    def median(self, path: str) -> float | None:
        return statistics.median(self.values[path]) if self.values.get(path) else None

    def figures(self) -> Iterator[float]:
        for values in self.values.values():
            yield from (statistics.median(values), min(values), max(values))
        for used in self.values.get("upstream.requests_per_connection", []):
            yield 1000 / used if used else 0.0


def _allowed(run: Run, tagged: Sequence[Tagged]) -> list[float]:
    """Return every figure that may be said of a run."""
    cases = {
        mode: Case([each for each in tagged if each.trial.mode == mode]) for mode in ("short", "keepalive")
    }
    found = [value for case in cases.values() for value in case.figures()]
    found += map(float, range(len(run.trials) + 1))
    found += [float(each.trial.ports.tuples) for each in tagged]
    for trial, _ in tagged:
        said = " ".join(f"{warning.message} {warning.advice}" for warning in trial.warnings)
        found += [_parse(number) for number in NUMBER.findall(said)]
    rates = [
        case.values.get("ports.rate_before" if case.has_cliff else "requests_per_s", [])
        for case in cases.values()
    ]
    costs = [case.values.get("cpu_us_per_request_before_cliff.proxy", []) for case in cases.values()]
    found += hodges_lehmann(*rates)
    found += [100 * share for share in hodges_lehmann(*costs)]
    return [*found, 1000.0]  # connections per 1,000 requests


def hodges_lehmann(old: Sequence[float], new: Sequence[float]) -> list[float]:
    """Return the median of the ratios of all pairs, that of logarithms; nothing where there is none."""
    logs = [math.log(after / before) for before in old for after in new if before and after]
    return [math.exp(statistics.median(logs))] if logs else []


def _parse(number: str) -> float:
    return float(number.replace(",", ""))


def _untraced(said: str, allowed: Sequence[float]) -> list[str]:
    """Return the numbers in `said` that none of `allowed` rounds to, with as many digits as are shown."""
    return [
        shown
        for shown in NUMBER.findall(said)
        if not any(abs(value - _parse(shown)) <= _half_digit(shown) for value in allowed)
    ]


def _half_digit(shown: str) -> float:
    """Return how far a value may be from its figure, which is rounded to the digits that it has."""
    return 0.5 * math.pow(10, -len(shown.partition(".")[2])) + 1e-6


def _said(run: Run) -> dict[str, str]:
    """Return what each output says of a run."""
    sides = split(run)
    glance = charts.build_glance(sides).blocks if sides else []
    title, sentence = finding.format_title(run), finding.summarize(run)
    table, warnings = tables.build_result_table(run), text.summarize_warnings(run)
    return {
        "title": title,
        "sentence": sentence,
        "picture": " ".join(f"{each.text} {each.detail}" for each in finding.state_cliff(sides))
        or "; ".join(finding.format_headline(sides)),
        "terminal": text.format_run(run).partition("next:")[0],
        "glance": " ".join(bar.text for each in glance if isinstance(each, BarChart) for bar in each.rows),
        "markdown": markdown.format_run(title, claims.judge(run), sentence, table, warnings),
    }


@pytest.mark.parametrize(("story", "change"), RUNS, ids=lambda value: str(value).replace(" ", "-"))
def test_each_figure_is_of_a_trial_that_counts(story: str, change: str) -> None:
    run, tagged = _run(story, change)
    allowed = _allowed(run, tagged)
    untraced = {output: found for output, said in _said(run).items() if (found := _untraced(said, allowed))}
    assert untraced == {}
    assert claims.exit_code([run]) == CHANGES[change][1]


@pytest.mark.parametrize(("story", "change"), RUNS, ids=lambda value: str(value).replace(" ", "-"))
def test_a_row_of_a_trial_has_its_figures_and_none_that_is_void(story: str, change: str) -> None:
    run, tagged = _run(story, change)
    for row, each in zip(tables.build_trial_table(run).rows, tagged, strict=True):
        own = Case([each]).values | {
            path: [value] for path, value in _leaves(each.trial.to_json())
            if (each.counts == ALL or not TIMED.search(path))
            and not (each.trial.ports.rate_after is not None and AVERAGED.match(path))
        }  # fmt: skip
        allowed = [value for values in own.values() for value in values] + [1.0, 2.0, 3.0]
        assert _untraced(" ".join(row), allowed) == []


def test_the_outputs_do_say_something() -> None:
    run, tagged = _run("cliff", "valid")
    said = _said(run)
    assert {output: len(NUMBER.findall(each)) > 2 for output, each in said.items()} == dict.fromkeys(
        said, True
    )
    case = Case([each for each in tagged if each.trial.mode == "short"])
    assert (
        f"{case.median('ports.rate_before'):,.0f}/s to {case.median('ports.rate_after'):,.0f}/s"
        in said["sentence"]
    )
    # The average over the cliff is a figure of every trial, and is said nowhere.
    short = [each.trial.requests_per_s for each in tagged if each.trial.mode == "short"]
    average = f"{statistics.median(short):,.0f}"
    assert not [output for output, each in said.items() if average in each]


@pytest.mark.parametrize("story", STORIES)
def test_what_is_void_is_called_so(story: str) -> None:
    run, _ = _run(story, "all disturbed")
    said = _said(run)
    assert all("void" in each for each in said.values()), said
    assert "requests per second" not in said["sentence"]
    assert "of the proxy CPU per request" in said["title"], "the CPU of a disturbed trial counts"
