"""Figures in the documents, each written as a mark that says where it comes from.

    <!-- figure reference:keepalive:ports.rate_before as 0 -->7,501<!-- /figure -->
    <!-- output bench show results/reference -->
    <!-- run reference-push -->, <!-- variants push -->, <!-- claims push -->, <!-- settings push -->

`make figures` writes anew what stands inside the marks, and tests/docs/test_figures.py fails where it is not
what the reference runs say. `docs/development/write-a-page.md` describes the marks.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from bench.analysis import claims, compare, stats
from bench.analysis.metrics import Metric
from bench.runs import read
from bench.runs.record import TrialRecord
from bench.runs.sweep_trial import case_of
from docs.site.pages import DOCS, ROOT
from docs.site.reference import scenarios

RESULTS = ROOT / "results"
_FIGURE = re.compile(r"(<!-- figure (.+?) -->)(.*?)(<!-- /figure -->)", flags=re.DOTALL)
_OUTPUT = re.compile(
    r"(<!-- output (bench .+?) -->\n+```\w*\n)(.*?)(^```\n+<!-- /output -->)", flags=re.DOTALL | re.MULTILINE
)
_TERM = re.compile(r"(?P<run>[\w./-]+):(?P<case>[^:]*):(?P<key>[^:]+?)(?::(?P<of>min|max|sum|count))?")
_FORMAT = re.compile(r"(?P<decimals>\d)(?P<percent>%?)|(?P<digits>\d) digits")
_PART = re.compile(
    r"(<!-- (variants|claims|settings|run) (\S+) -->\n)(.*?)(<!-- /\2 -->)", flags=re.DOTALL | re.MULTILINE
)
COLUMNS = 90
"""The width of printed output: a block of so many characters fits a page."""
_AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "max": max,
    "sum": sum,
    "count": len,
}


class FigureError(ValueError):
    """A mark that names no figure: its text, and what is wrong with it."""

    def __init__(self, mark: str, reason: str) -> None:
        super().__init__(f"<!-- figure {mark} -->: {reason}")


def find_files() -> list[Path]:
    """Return the Markdown files that may have marks."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def update(text: str) -> str:
    """Return a Markdown text with the contents of all marks as they are now; FigureError where one fails."""
    text = _FIGURE.sub(lambda found: found[1] + format_figure(found[2]) + found[4], text)
    text = _PART.sub(lambda found: f"{found[1]}\n{format_part(found[2], found[3])}\n{found[5]}", text)
    return _OUTPUT.sub(lambda found: found[1] + run_command(found[2]) + found[4], text)


def remove(text: str) -> str:
    """Return a Markdown text without its marks and without what stands inside them."""
    return _PART.sub("", _OUTPUT.sub("", _FIGURE.sub("", text)))


def format_part(kind: str, name: str) -> str:
    """Return the variants, the claims or the settings of a scenario, or the table of the run `name`."""
    if kind == "claims":
        return scenarios.format_claims(name, read_run(RESULTS / f"reference-{name}"))
    if kind == "run":
        return scenarios.format_run(read_run(RESULTS / name))
    return scenarios.format_variants(name) if kind == "variants" else scenarios.format_settings(name)


def format_figure(mark: str) -> str:
    """Return the figure of a mark: `TERM [/ TERM | - TERM] [* FACTOR] [as FORMAT]`.

    A TERM is RUN:CASE[@SUBJECT]:KEY[:min|max|sum|count], the median over the trials that count without the
    last part; or FILE.json:ROW:KEY. The ratio of two figures of trials is that of a comparison, not that of
    their medians. FORMAT is a number of decimals (`0`, `1`), of decimals of a percentage
    (`0%`), or of digits that count (`2 digits`); without one, as many decimals as give three digits.
    """
    expression, _, form = mark.partition(" as ")
    expression, _, factor = expression.partition(" * ")
    parts = re.split(r" ([/-]) ", expression)
    value = read_term(mark, parts[0])
    if len(parts) == 3 and parts[1] == "/":
        value = _estimate_ratio(mark, parts[0], parts[2])
    elif len(parts) == 3:
        value -= read_term(mark, parts[2])
    elif len(parts) != 1:
        raise FigureError(mark, "one `/` or `-` is the most")
    return format_value(mark, value * float(factor or 1), form)


def format_value(mark: str, value: float, form: str = "") -> str:
    """Return a value in the form that a mark asks for."""
    found = _FORMAT.fullmatch(form or "3 digits")
    if found is None:
        raise FigureError(mark, f"{form!r} is no format; write 0, 1, 2, 0% or 3 digits")
    if found["digits"]:
        return _round(value, int(found["digits"]), is_asked_for=bool(form))
    if found["percent"]:
        return f"{value * 100:,.{found['decimals']}f} %"
    return f"{value:,.{found['decimals']}f}"


def _round(value: float, digits: int, *, is_asked_for: bool) -> str:
    """Return a value with so many digits that count; unasked, no digit before the point is lost."""
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded))) if rounded else 0
    decimals = 0 if value == int(value) else max(0, digits - 1 - exponent)
    return f"{rounded if is_asked_for else value:,.{decimals}f}"


def read_term(mark: str, term: str) -> float:
    """Return the value of one term of a mark."""
    found = _TERM.fullmatch(term.strip())
    if found is None:
        raise FigureError(mark, "write RUN:CASE:KEY, such as reference:keepalive:latency_ms.p99")
    path = RESULTS / found["run"]
    if not path.exists():
        raise FigureError(mark, f"there is no results/{found['run']}")
    if path.suffix == ".json":
        return _read_json(mark, path, found["case"], found["key"])
    trials = _find_case(mark, path, found["case"])
    sample = claims.sample(trials, Metric(found["key"], ""))
    if not sample.quoted:
        raise FigureError(mark, f"no trial says it ({sample.standing})")
    if found["of"]:
        return float(_AGGREGATES[found["of"]](sample.quoted))
    return stats.median(sample.quoted, sample.is_count)


def _estimate_ratio(mark: str, term: str, other: str) -> float:
    """Return the ratio of one term to another: over trials as `bench compare` estimates it."""
    value, base = read_term(mark, term), read_term(mark, other)
    found = [_TERM.fullmatch(each.strip()) for each in (other, term)]
    if any(each is None or each["of"] or each["run"].endswith(".json") for each in found):
        return value / base
    figures, places = [], []
    for each in found:
        assert each is not None, "terms without a form have been refused"
        metric = Metric(each["key"], "")
        trials = _find_case(mark, RESULTS / each["run"], each["case"])
        counted = [trial for trial in trials if claims.counts_for(trial, metric)]
        figures.append(claims.figures(metric, counted, counted))
        places.append((each["run"], each["case"]))
    are_of_blocks = places[0][0] == places[1][0] and places[0] != places[1]
    samples = compare.draw_samples(figures[0], figures[1], are_of_blocks)
    return samples.ratio(stats.ALPHA).center if samples.is_positive else value / base


def _find_case(mark: str, path: Path, case: str) -> Sequence[TrialRecord]:
    """Return the trials of CASE or CASE@SUBJECT; of no case, all trials of the run."""
    run = read_run(path)
    if not case:
        return list(run.trials)
    name, _, subject = case.partition("@")
    fitting = [
        trials
        for trials in claims.cases(run.trials)
        if case_of(trials[0]) == name and subject in ("", trials[0].subject.name)
    ]
    if len(fitting) != 1:
        known = ", ".join(f"{case_of(each[0])}@{each[0].subject.name}" for each in claims.cases(run.trials))
        raise FigureError(mark, f"{len(fitting)} cases are {case!r}; there are {known}")
    return fitting[0]


@cache
def read_run(path: Path) -> Any:
    """Return the run in a folder."""
    return read.read(path)


def _read_json(mark: str, path: Path, row: str, key: str) -> float:
    """Return a number of a JSON file: KEY is a path with slashes, below the only object of `rows` that fits.

    Items of a list are numbered from 0.
    ROW is `NAME=TEXT & NAME=TEXT`, where `*` in TEXT stands for any; empty, the path begins at the top.
    """
    value = json.loads(path.read_text(encoding="utf-8"))
    if row:
        wanted = dict(part.split("=", 1) for part in row.split(" & "))
        rows = [each for each in value["rows"] if _fits(each, wanted)]
        if len(rows) != 1:
            raise FigureError(mark, f"{len(rows)} rows are {row!r}")
        value = rows[0]
    for part in key.split("/"):
        if isinstance(value, list):
            value = dict(zip(map(str, range(len(value))), value, strict=True))
        if not isinstance(value, dict) or part not in value:
            raise FigureError(mark, f"there is no {part!r}")
        value = value[part]
    return float(value)


def _fits(row: dict[str, Any], wanted: dict[str, str]) -> bool:
    return all(fnmatchcase(str(row.get(name)), pattern) for name, pattern in wanted.items())


@cache
def run_command(command: str) -> str:
    """Return what a `bench` command prints at the root of the repository."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", *shlex.split(command)[1:]],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": str(COLUMNS), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.stderr:
        raise FigureError(command, done.stderr.strip())
    return done.stdout.strip("\n") + "\n"
