"""Format the result of a check as Markdown, as the summary of a job or a comment shows it."""

from collections.abc import Iterable, Iterator

from nginx.check import FAILING, CheckResult, LocationVerdicts
from nginx.finding import Finding, Severity
from nginx.markdown_text import escape, format_code, format_prose, format_row
from nginx.report.summary import ANSWERS

_MARKS = {"reused": "✓", "partly reused": "~", "not reused": "✗", "depends": "?"}
_WORST_FIRST = ("not reused", "partly reused", "depends", "reused")
_MOST_ROWS = 200
"""So many rows are read; a summary of GitHub holds 1 MiB."""


def markdown(result: CheckResult) -> str:
    """Return a table of the locations by version, the broken ones first, and one of what was found."""
    lines = [f"### {_title(result)}", "", f"Judged for {escape(result.judged_for)}."]
    if result.locations:
        ordered = sorted(result.locations, key=lambda each: not each.fails)
        lines += ["", *_table(_location_rows(ordered, result.versions), len(ordered))]
    shown = [each for each in result.findings if each.severity > Severity.INFO]
    if shown:
        lines += ["", "#### Findings", "", *_table(_finding_rows(shown), len(shown))]
    hidden = len(result.findings) - len(shown) + result.accepted
    if hidden:
        lines += ["", f"{hidden} more {'are' if hidden != 1 else 'is'} for information, or accepted."]
    return "\n".join(lines) + "\n"


def _title(result: CheckResult) -> str:
    """Return how many locations reuse their connections under every version."""
    total = len(result.locations)
    if not total:
        return "No location that passes requests on"
    worst = [_worst(each) for each in result.locations]
    counts = [f"{worst.count(answer)} {answer}" for answer in ANSWERS if answer in worst]
    return f"Upstream connections of {total} location{'s' if total != 1 else ''}: {', '.join(counts)}"


def _worst(location: LocationVerdicts) -> str:
    answers = {verdict.answer for verdict in location.verdicts.values()}
    return next(
        answer for answer in ("not reused", "partly reused", "depends", "reused") if answer in answers
    )


def _location_rows(locations: Iterable[LocationVerdicts], versions: Iterable[str]) -> Iterator[list[str]]:
    yield ["location", "passes to", "at", *(f"nginx {escape(version)}" for version in versions)]
    for each in locations:
        answers = [_answer(each, version) for version in each.verdicts]
        yield [format_code(each.heading), format_code(each.target), format_code(str(each.place)), *answers]


def _answer(location: LocationVerdicts, version: str) -> str:
    verdict = location.verdicts[version]
    text = f"{verdict.answer}: {verdict.share}" if verdict.share is not None else verdict.answer
    text = ", on ".join((text, *verdict.depends_on[:1]))
    is_accepted = verdict.answer in FAILING and version in location.accepted
    return f"{_MARKS[verdict.answer]} {escape(text)}{' (accepted)' if is_accepted else ''}"


def _finding_rows(findings: Iterable[Finding]) -> Iterator[list[str]]:
    yield ["severity", "rule", "at", "what, and what to change", "nginx"]
    for each in findings:
        text = (
            f"{format_prose(each.message)}<br>**Fix:** {format_prose(each.fix)}"
            if each.fix
            else format_prose(each.message)
        )
        yield [
            str(each.severity),
            each.rule,
            format_code(str(each.place)),
            text,
            escape(", ".join(each.versions)),
        ]


def _table(rows: Iterator[list[str]], total: int) -> Iterator[str]:
    head = next(rows)
    yield format_row(head)
    yield format_row(["---"] * len(head))
    for _, cells in zip(range(_MOST_ROWS), rows, strict=False):
        yield format_row(cells)
    if total > _MOST_ROWS:
        yield ""
        yield f"{total - _MOST_ROWS} more rows are left out."
