"""Format the result of a check as Markdown, as the summary of a job or a comment shows it."""

from collections.abc import Iterable, Iterator

from nginx.check import FAILING, CheckResult, LocationVerdicts
from nginx.finding import Finding, Severity
from nginx.printable import printable_line
from nginx.report.summary import ANSWERS

_MARKS = {"reused": "✓", "partly reused": "~", "not reused": "✗", "depends": "?"}
_WORST_FIRST = ("not reused", "partly reused", "depends", "reused")
_MOST_ROWS = 200
"""So many rows are read; a summary of GitHub holds 1 MiB."""


def markdown(result: CheckResult) -> str:
    """Return a table of the locations by version, the broken ones first, and one of what was found."""
    lines = [f"### {_title(result)}", "", f"Judged for {_text(result.judged_for)}."]
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
    yield ["location", "passes to", "at", *(f"nginx {_text(version)}" for version in versions)]
    for each in locations:
        answers = [_answer(each, version) for version in each.verdicts]
        yield [_code(each.heading), _code(each.target), _code(str(each.place)), *answers]


def _answer(location: LocationVerdicts, version: str) -> str:
    verdict = location.verdicts[version]
    text = f"{verdict.answer}: {verdict.share}" if verdict.share is not None else verdict.answer
    text = ", on ".join((text, *verdict.depends_on[:1]))
    is_accepted = verdict.answer in FAILING and version in location.accepted
    return f"{_MARKS[verdict.answer]} {_text(text)}{' (accepted)' if is_accepted else ''}"


def _finding_rows(findings: Iterable[Finding]) -> Iterator[list[str]]:
    yield ["severity", "rule", "at", "what, and what to change", "nginx"]
    for each in findings:
        text = f"{_prose(each.message)}<br>**Fix:** {_prose(each.fix)}" if each.fix else _prose(each.message)
        yield [str(each.severity), each.rule, _code(str(each.place)), text, _text(", ".join(each.versions))]


def _table(rows: Iterator[list[str]], total: int) -> Iterator[str]:
    head = next(rows)
    yield _row(head)
    yield _row(["---"] * len(head))
    for _, cells in zip(range(_MOST_ROWS), rows, strict=False):
        yield _row(cells)
    if total > _MOST_ROWS:
        yield ""
        yield f"{total - _MOST_ROWS} more rows are left out."


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Return a text as code in a table, whose cells end at each bar."""
    shown = printable_line(text).replace("|", "\\|")
    fence = "``" if "`" in shown else "`"
    padding = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{padding}{shown}{padding}{fence}"


def _prose(text: str) -> str:
    """Return a text whose lines of configuration, in backticks, are code and whose other parts are text."""
    parts = printable_line(text).split("`")
    if len(parts) % 2 == 0:
        return _text(text)
    return "".join(_code(part) if number % 2 else _text(part) for number, part in enumerate(parts))


def _text(text: str) -> str:
    """Return a text in which nothing is a mark of Markdown or HTML."""
    shown = printable_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{each}" if each in "\\`*_[]|#~$@" else each for each in shown)
