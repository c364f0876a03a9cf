"""A comparison as text and as pictures: of runs of the load generator, and of scenarios case by case."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.answers import MOST_MORE, Answer, Cell
from bench.analysis.compare import Comparison, MetricRow
from bench.analysis.conditions import Judged
from bench.analysis.metrics import Metric
from bench.analysis.stats import Estimate
from bench.report import sheet, style
from bench.report.charts import Bar, BarChart, ChartSide
from bench.report.run import side_picture, tables
from bench.report.style import PALETTE
from bench.report.text_table import (
    format_number,
    format_numbers,
    format_warnings,
    terminal_width,
    wrap,
)
from bench.report.watch import compared as watch
from nginx.printable import printable_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDEST = 80
_MOST_PANELS = 9
_ON_RATIOS = (
    "A ratio is the median of the ratios of all pairs of trials (Hodges-Lehmann), not that of the medians."
)


def text(compared: Sequence[Comparison], keys: Sequence[str] = ()) -> str:
    """Return what `bench compare` prints: the sides, the rows and the warnings of each comparison.

    Where there are `keys`, only the rows of those are printed, and neither sides nor warnings.

    A warning that an earlier comparison carries is not repeated.
    """
    seen: set[str] = set()
    parts = []
    for comparison in compared:
        if keys:
            rows = [row for row in _rows(comparison) if row.metric.key in keys]
            parts.append("".join([*_lines(comparison, rows), "\n", *_footnotes(comparison, rows)]))
            continue
        parts.append(_one(comparison, [line for line in comparison.warnings if line not in seen]))
        seen.update(comparison.warnings)
    if any(_has_bare_ratio(each, keys) for each in compared):
        parts.append(f"{_fold(_ON_RATIOS)}\n")
    if not keys and _is_watch(compared):
        parts.insert(0, f"{wrap(watch.summarize(compared))}\n")
    return "\n".join(parts)


def _has_bare_ratio(compared: Comparison, keys: Sequence[str]) -> bool:
    """Return whether a ratio is shown that has no interval, whose note would say what it is."""
    rows = [row for row in _rows(compared) if not keys or row.metric.key in keys]
    return any(cell.ratio and cell.ratio.low is None for row in rows for cell in row.cells)


def format_verdicts(judged: Iterable[Judged]) -> str:
    """Return a paragraph for each condition that was judged."""
    return "".join(f"{_fold(str(each))}\n" for each in judged)


def save(compared: Sequence[Comparison], stem: Path) -> list[Path]:
    """Draw `compared` as `stem`.png and `stem`.svg, and return the PNGs.

    Runs have a picture for each comparison, named after its mode where there are several; the cases of
    scenarios, and the hops of recordings, share one. ResultsError where it cannot be written.
    """
    if is_by_case(compared):
        return [style.save_figure(stem, draw, compared)[0]]
    if len(compared) == 1:
        return [style.save_figure(stem, side_picture.draw, compared[0].sides)[0]]
    stems = [stem.with_name(f"{stem.name}-{each.sides[0].mode}") for each in compared]
    pairs = zip(stems, compared, strict=True)
    return [style.save_figure(each_stem, side_picture.draw, each.sides)[0] for each_stem, each in pairs]


def is_by_case(compared: Sequence[Comparison]) -> bool:
    """Return whether the comparisons are of cases that share their figures: of scenarios, of recordings."""
    first = compared[0].sides[0]
    return first.subject is not None or _is_watch(compared)


def _is_watch(compared: Sequence[Comparison]) -> bool:
    return compared[0].sides[0].run.kind == "watch"


def draw(compared: Sequence[Comparison]) -> "Figure":
    """Return the picture of cases: a panel for each metric, and in it a group of bars for each case."""
    run = compared[0].sides[0].run
    what = "recordings of a watch" if run.kind == "watch" else run.scenario
    title = f"{what}: {' against '.join(_names(compared))}"
    sides = "  ·  ".join(f"{side.name}: {side.run.directory}" for side in compared[0].sides)
    left_out = [metric.key for metric in _telling(compared)[_MOST_PANELS:]]
    note = [f"Not drawn, but in the table: {', '.join(left_out)}."] if left_out else []
    bars, legend = build_bars(compared), build_legend(compared)
    return sheet.compose([title], sides, None, bars, legend=legend, small_print=note)


def build_bars(compared: Sequence[Comparison]) -> list[BarChart]:
    """Return the medians of each metric, case under case, with the interval where the trials give one."""
    return [
        BarChart(metric.key, metric.unit or "count", list(_build_group(metric, compared)))
        for metric in _telling(compared)[:_MOST_PANELS]
    ]


def _telling(compared: Sequence[Comparison]) -> list[Metric]:
    """Return the metrics of which any comparison has a row that is worth reading."""
    return list(dict.fromkeys(row.metric for each in compared for row in each.rows if row.is_telling))


def build_legend(compared: Sequence[Comparison]) -> list[ChartSide]:
    """Return the sides, each with its colour."""
    return [ChartSide(name, rank % len(PALETTE)) for rank, name in enumerate(_names(compared))]


def _build_group(metric: Metric, compared: Sequence[Comparison]) -> Iterator[Bar]:
    for each in compared:
        cells = each.row(metric.key).cells
        if each.sides[0].run.kind == "watch" and not any(cell.values for cell in cells):
            continue  # a figure of the whole host, or of hops alone
        for rank, (side, cell) in enumerate(zip(each.sides, cells, strict=True)):
            label = side.name if len(compared) == 1 else f"{_group(each)}: {side.name}"
            if cell.estimate is None:
                yield Bar(label, None, _missing(cell), colour=rank)
                continue
            ratio = "" if cell.ratio is None else f" ({units.ratio(cell.ratio.center)})"
            text = f"{format_number(cell.estimate.center, metric.unit)}{ratio}"
            yield Bar(
                label, cell.estimate.center, text, cell.estimate.low, cell.estimate.high, rank % len(PALETTE)
            )


def _one(compared: Comparison, warnings: Sequence[str]) -> str:
    head = [
        printable_line(f"{side.name}: {side.run.directory}, {side.case}, {tables.format_trial_count(side)}")
        + "\n"
        for side in compared.sides
    ]
    rows = list(_rows(compared))
    notes = (*_footnotes(compared, rows), format_warnings(warnings))
    return "".join([*head, "\n", *_lines(compared, rows), "\n", *notes])


def _fold(text: str) -> str:
    return textwrap.fill(printable_line(text), _width(), subsequent_indent="  ", break_on_hyphens=False)


def _width() -> int:
    return min(_WIDEST, terminal_width())


def _rows(compared: Comparison) -> Iterator[MetricRow]:
    """Yield the rows that are worth reading."""
    before = tables.ONLY_WITH_CLIFF
    has_cliff = any(row.metric.key == "ports.rate_before" and row.is_telling for row in compared.rows)
    for row in compared.rows:
        if row.is_telling and (has_cliff or not row.metric.key.startswith(before)):
            yield row


def _lines(compared: Comparison, rows: Sequence[MetricRow]) -> Iterator[str]:
    """Yield a line for each metric, and below it one for each side: median, ratio and answer."""
    names = [printable_line(side.name) for side in compared.sides]
    figures = [[_shown(cell, row.metric.unit) for cell in row.cells] for row in rows]
    wide, words = max(map(len, names), default=0), tables.name_trials(compared.sides[0])
    median, ratio = (max((len(cell[at]) for cells in figures for cell in cells), default=0) for at in (0, 1))
    for row, cells in zip(rows, figures, strict=True):
        yield f"{_labelled(row.metric, compared)}\n"
        for name, (middle, factor), cell in zip(names, cells, row.cells, strict=True):
            answer = "" if cell.answer is Answer.BASELINE else answer_words(cell, row.metric.unit, words)
            line = f"  {name:<{wide}}  {middle:>{median}}  {factor:>{ratio}}"
            yield from (f"{each}\n" for each in _beside(line, answer))


def _beside(line: str, answer: str) -> list[str]:
    """Return a line with an answer at its right, folded there; or below it, where a word has no room."""
    indent = len(line) + 2
    if max(map(len, answer.split()), default=0) > _width() - indent:
        return [
            line.rstrip(),
            *textwrap.wrap(answer, _width(), initial_indent="    ", subsequent_indent="    "),
        ]
    first, *more = textwrap.wrap(answer, _width() - indent) or [""]
    return [f"{line}  {first}".rstrip(), *(" " * indent + each for each in more)]


TrialWords = tuple[str, str]
"""What one trial is called, and several."""
_TRIAL: TrialWords = ("trial", "trials")


def answer_words(cell: Cell, unit: str, words: TrialWords = _TRIAL) -> str:
    """Return the answer that a cell gives, in words."""
    if cell.answer is Answer.NO_DIFFERENCE:
        if not cell.no_more_than:
            return f"equal in every {words[0]}"
        return f"no difference larger than {_size(cell, unit)} shown"
    if cell.answer is Answer.CANNOT_TELL:
        return f"cannot tell; {_more(cell, words)} would"
    if cell.answer is Answer.REFUSED:
        return f"refused: take {cell.instead}"
    return cell.answer.value


def format_answer(cell: Cell, unit: str, words: TrialWords = _TRIAL) -> str:
    """Return the ratio to the first side with its interval, and the answer in words."""
    return ": ".join(part for part in (_shown(cell, unit)[1], answer_words(cell, unit, words)) if part)


def format_cell(cell: Cell, unit: str, words: TrialWords = _TRIAL) -> tuple[str, str]:
    """Return the median of a cell, and its answer."""
    return _shown(cell, unit)[0], format_answer(cell, unit, words)


def _size(cell: Cell, unit: str) -> str:
    assert cell.no_more_than is not None, "an interval gives a size"
    if cell.ratio is None:
        return f"{format_number(cell.no_more_than, unit)} {unit}".rstrip()
    return f"{100 * cell.no_more_than:.2g} %"


def _more(cell: Cell, words: TrialWords) -> str:
    more = cell.more_trials or 1
    if more >= MOST_MORE:
        return f"not even {MOST_MORE:,} more {words[1]}"
    about = "about" if cell.no_more_than is not None else "at least"  # for an interval to begin with
    return f"{about} {more:,} more {words[more != 1]}"


def _shown(cell: Cell, unit: str) -> tuple[str, str]:
    """Return the median and the ratio with its interval, or the difference with it."""
    median = _missing(cell) if cell.estimate is None else format_number(cell.estimate.center, unit)
    if cell.ratio is not None:
        if cell.ratio.low is None:
            return median, units.ratio(cell.ratio.center)
        return median, _with_interval(cell.ratio, units.ratios)
    if cell.difference is not None:
        return median, _with_interval(cell.difference, lambda values: _signed(values, unit))
    return median, ""


def _missing(cell: Cell) -> str:
    """Return what stands in place of a median: that it is mixed over the cliff, or nothing."""
    return "mixed" if cell.values else "-"


def _with_interval(estimate: Estimate, shown: Callable[[Sequence[float]], list[str]]) -> str:
    if estimate.low is None or estimate.high is None:
        return shown([estimate.center])[0]
    center, low, high = shown([estimate.center, estimate.low, estimate.high])
    return f"{center} [{low}, {high}]"


def _labelled(metric: Metric, compared: Comparison) -> str:
    if metric.key.startswith("second_opinion."):
        tools = tables.name_tools(trial for side in compared.sides for trial in side.trials)
        return f"{metric.key} ({tools})"
    is_in_key = metric.unit in ("", "1/s", "s", "ratio") or f"_{metric.unit}" in metric.key
    return metric.key if is_in_key else f"{metric.key} ({metric.unit})"


def _signed(values: Sequence[float], unit: str) -> list[str]:
    texts = format_numbers(values, unit)
    return [("+" if value > 0 else "") + text for value, text in zip(values, texts, strict=True)]


def _footnotes(compared: Comparison, rows: Sequence[MetricRow]) -> Iterator[str]:
    cells = [cell for row in rows for cell in row.cells[1:]]
    notes = []
    if ratios := [cell for cell in cells if cell.ratio and cell.ratio.low is not None]:
        over = _count_pairs(ratios)
        notes.append(
            f"[low, high]: {100 * (1 - compared.alpha):.3g} % interval of the ratio to"
            f" {printable_line(compared.sides[0].name)} (Hodges-Lehmann{over})."
        )
    if tested := [cell for cell in cells if cell.p is not None]:
        tests = sorted({"Wilcoxon signed-rank" if cell.pairs else "Mann-Whitney" for cell in tested})
        notes.append(
            f"better, worse: {' or '.join(tests)} test, p at most {compared.alpha:.2g}, corrected for"
            f" {units.plural(compared.tests, 'test')} (Benjamini-Hochberg)."
        )
    moved = (cell for row in rows if row.is_moved_by_rate for cell in row.cells[1:])
    if any(cell.answer in (Answer.HIGHER, Answer.LOWER) for cell in moved):
        notes.append(
            "higher, lower: of connections this follows from the rate of requests, and is no change of reuse."
        )
    if any(cell.answer is Answer.REFUSED for cell in cells):
        notes.append(
            "refused, mixed: before and after half of the ports were used; a figure over both means nothing."
        )
    yield from (_fold(note) + "\n" for note in notes)


def _count_pairs(cells: Sequence[Cell]) -> str:
    """Return over how many pairs intervals are; nothing where none is over pairs."""
    counts = sorted({cell.pairs for cell in cells if cell.pairs})
    if not counts:
        return ""
    span = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    where = "" if all(cell.pairs for cell in cells) else " where trials have pairs"
    return f", over {span} pairs of trials{where}"


def _names(compared: Sequence[Comparison]) -> list[str]:
    return [side.name for side in compared[0].sides]


def _group(compared: Comparison) -> str:
    """Return the case that a group of bars is of: what its sides have in common."""
    cases = list(dict.fromkeys(side.case for side in compared.sides))
    subjects = list(dict.fromkeys(str(side.subject) for side in compared.sides))
    modes = list(dict.fromkeys(side.mode for side in compared.sides))
    common = [names for names in (cases, modes, subjects) if len(names) == 1]
    return (common[0][0] if common else " | ".join(cases)).removesuffix("@direct")
