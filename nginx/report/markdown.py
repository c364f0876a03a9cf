"""Format the result of a check as Markdown, as the summary of a job or a comment shows it."""

import re
from collections.abc import Iterable, Iterator

from nginx.acceptance import Acceptance
from nginx.check import FAILING, CheckResult, LocationVerdicts
from nginx.finding import Finding, Severity
from nginx.fix.repair import Repair
from nginx.markdown_text import escape, format_code, format_prose, format_row
from nginx.printable import printable_line
from nginx.report.documentation import help_uri
from nginx.report.summary import ANSWERS
from nginx.rules import CATALOGUE

_MARKS = {"reused": "✓", "partly reused": "~", "not reused": "✗", "depends": "?"}
_WORST_FIRST = ("not reused", "partly reused", "depends", "reused")
_MOST_ROWS = 200
"""So many rows are read; a summary of GitHub holds 1 MiB."""


def markdown(result: CheckResult, at_least: Severity = Severity.LOW, repair: Repair | None = None) -> str:
    """Return tables of the locations by version, the broken ones first, of what was found, and the edit.

    Args:
        result: the result.
        at_least: findings below this severity are counted, not printed.
        repair: the repair of its locations, which is shown as a diff.
    """
    lines = [f"### {_title(result)}", "", f"Judged for {escape(result.judged_for)}."]
    if result.locations:
        ordered = sorted(result.locations, key=lambda each: not each.fails)
        lines += ["", *_table(_location_rows(ordered, result.versions), len(ordered))]
    shown = [each for each in result.findings if each.severity >= at_least]
    if shown:
        lines += ["", "#### Findings", "", *_table(_finding_rows(shown), len(shown))]
        lines += ["", f"`bench check --explain {shown[0].rule}` says why, with examples."]
    lines += _edit(repair) if repair is not None else []
    if result.accepted:
        lines += ["", "#### Accepted", "", *_table(_accepted_rows(result.accepted), len(result.accepted))]
    hidden = len(result.findings) - len(shown)
    if hidden:
        lines += ["", f"{hidden} more below severity {at_least}: `--show info` prints all."]
    if any("reused" in answers for answers in map(_answers, result.locations)):
        lines += ["", *(f"Assumed: {escape(each)}." for each in result.assumptions)]
    return "\n".join(lines) + "\n"


def _title(result: CheckResult) -> str:
    """Return how many locations have which answer, each by the worst of its versions."""
    total = len(result.locations)
    if not total:
        return "No location that passes requests on"
    worst = [_worst(each) for each in result.locations]
    counts = [f"{worst.count(answer)} {answer}" for answer in ANSWERS if answer in worst]
    worst_of = ", by the worst version" if any(len(_answers(each)) > 1 for each in result.locations) else ""
    return (
        f"Upstream connections of {total} location{'s' if total != 1 else ''}{worst_of}: {', '.join(counts)}"
    )


def _worst(location: LocationVerdicts) -> str:
    answers = _answers(location)
    return next(
        answer for answer in ("not reused", "partly reused", "depends", "reused") if answer in answers
    )


def _answers(location: LocationVerdicts) -> set[str]:
    return {verdict.answer for verdict in location.verdicts.values()}


def _edit(repair: Repair) -> Iterator[str]:
    """Yield what `bench fix` would change, as a diff, and what it leaves as it is."""
    diff = repair.diff().rstrip("\n")
    if not diff and not repair.skipped:
        return
    yield from ("", "#### What `bench fix` writes")
    if diff:
        longest = max((len(run) for run in re.findall("`+", diff)), default=0)
        fence = "`" * max(3, longest + 1)
        yield from ("", f"{fence}diff", *map(printable_line, diff.splitlines()), fence)
    if repair.skipped:
        yield ""
    for each in repair.skipped:
        where = f"{format_code(each.context)} ({format_code(str(each.place))})"
        yield f"- {where} is left as it is: {format_prose(each.reason)}"


def _accepted_rows(accepted: Iterable[Acceptance]) -> Iterator[list[str]]:
    yield ["rule", "at", "by", "reason"]
    for each in accepted:
        yield [_rule(each.rule), format_code(str(each.place)), each.by, format_prose(each.reason)]


def _rule(rule: str) -> str:
    """Return a rule's id as a link to what nginx documents of its subject."""
    return f"[{rule}]({help_uri(rule)})"


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
            f"{_rule(each.rule)} {CATALOGUE[each.rule].name}",
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
