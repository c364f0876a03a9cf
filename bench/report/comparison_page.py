"""Build the page of a comparison: what differs, the charts of its sides, and every figure with its answer."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.analysis.answers import Answer
from bench.analysis.compare import Comparison
from bench.report import comparison, html
from bench.report.html import Block, Glance, Page, Prose, Section, Table
from bench.report.run import charts, machines, tables
from bench.report.watch import compared as watch

_HINT = "Medians over the trials that count; the thin line is the interval of the median."


def save(compared: Sequence[Comparison], path: Path) -> list[Path]:
    """Write the page of `compared` to `path`, and return that; WriteError where it cannot be written."""
    html.save(build_page(compared), path)
    return [path]


def build_page(compared: Sequence[Comparison]) -> Page:
    """Return the page of comparisons, each of the same sides."""
    first = compared[0]
    names = [side.name for side in first.sides]
    warnings = dict.fromkeys(warning for each in compared for warning in each.warnings)
    return Page(
        kicker="bench: a comparison",
        title=" against ".join(names),
        sentence=_summarize(compared),
        warnings=list(warnings),
        sections=[*_draw(compared), *(_build_section(each) for each in compared)],
        started=first.sides[0].run.started,
        place=" | ".join(dict.fromkeys(machines.format_place(side.run) for side in first.sides)),
        certainty=_count_trials(compared),
    )


def _summarize(compared: Sequence[Comparison]) -> str:
    """Return how many figures differ; of recordings first what a change of the proxy is about."""
    sides = compared[0].sides
    counted = f"To {sides[0].name}, figure by figure: {_count_answers(compared)}."
    return f"{watch.summarize(compared)} {counted}" if sides[0].run.kind == "watch" else counted


def _count_trials(compared: Sequence[Comparison]) -> str:
    """Return the trials of each side, each number once, however many cases have it."""
    counts: dict[str, dict[str, None]] = {}
    for each in compared:
        for side in each.sides:
            counts.setdefault(side.name, {})[tables.format_trial_count(side)] = None
    return "; ".join(f"{name}: {' or '.join(count)}" for name, count in counts.items())


def _count_answers(compared: Sequence[Comparison]) -> str:
    answers = (cell.answer for each in compared for row in each.rows for cell in row.cells[1:])
    counted = Counter(answer for answer in answers if answer is not Answer.NOT_MEASURED)
    return ", ".join(f"{count} {answer}" for answer, count in counted.most_common()) or "nothing was measured"


def _draw(compared: Sequence[Comparison]) -> Iterator[Section]:
    if comparison.is_by_case(compared):
        bars = comparison.build_bars(compared)
        yield Section("", [Glance(bars, _HINT, comparison.build_legend(compared))])
        return
    for each in compared:
        drawn: list[Block] = [charts.build_glance(each.sides), charts.build_charts(each.sides)]
        yield Section(each.sides[0].mode if len(compared) > 1 else "", drawn)


def _build_section(compared: Comparison) -> Section:
    rows = [
        (row.metric.key, side.name, median, "" if cell.answer is Answer.BASELINE else answer)
        for row in compared.rows
        if row.is_telling
        for side, cell in zip(compared.sides, row.cells, strict=True)
        for median, answer in [comparison.format_cell(cell, row.metric.unit, tables.name_trials(side))]
    ]
    sides = [f"{side.name}: {side.run.directory}, {side.case}" for side in compared.sides]
    is_by_case = comparison.is_by_case([compared])
    heading = f"Every figure: {compared.sides[0].case}" if is_by_case else "Every figure"
    return Section(
        heading, [*map(Prose, sides), Table(("metric", "side", "median", "ratio and answer"), rows)]
    )
