"""An examination as people read it. Values in, text out; the caller prints."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nginx import tree
from nginx.check import Examination, Judged
from nginx.finding import Finding, Severity
from nginx.rules import CATALOGUE, Rule
from nginx.tree import Directive
from nginx.verdict import Verdict

_MARKS = {"reused": ("✓", "32"), "not reused": ("✗", "31"), "depends": ("?", "33")}
_COLOURS = {
    Severity.ERROR: "31;1",
    Severity.HIGH: "31",
    Severity.MEDIUM: "33",
    Severity.LOW: "36",
    Severity.INFO: "2",
}
_CLOSERS = {
    "nginx": "nginx closes first and keeps TIME_WAIT",
    "backend": "the server closes first and keeps TIME_WAIT",
    "race": "nginx and the server race to close; the first keeps TIME_WAIT",
}
_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours text for a terminal, or leaves it alone."""

    in_colour: bool = False

    def __call__(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.in_colour else text


def text(examination: Examination, shown: Severity = Severity.LOW, paint: Paint = Paint()) -> str:
    """Returns the report: each location with its verdict, why and what to change, then what else was found.

    Args:
        examination: the answer to report.
        shown: findings below this severity are counted, not printed.
        paint: how to colour.
    """
    lines: list[str] = []
    by_location = _by_location(examination.findings)
    for location in examination.locations:
        lines += _location(location, by_location.get((location.place.file, location.place.line), []), paint)
        lines.append("")
    rest = [finding for finding in examination.findings if not _explains_a_location(finding)]
    lines += _rest([finding for finding in rest if finding.severity >= shown], paint)
    hidden = sum(1 for finding in rest if finding.severity < shown)
    lines += _summary(examination, hidden)
    return "\n".join(lines) + "\n"


def explanation(rule: Rule) -> str:
    """Returns a rule with its reasons and a configuration on either side of it."""
    parts = [f"{rule.id} {rule.name} ({rule.severity})", rule.summary]
    if rule.explanation:
        parts.append(rule.explanation)
    if not rule.unproven:
        parts.append("Proven by traffic through nginx, before and since 1.29.7.")
    else:
        parts.append(f"Not proven by traffic in the tests: {rule.unproven}.")
    if rule.detect is not None and rule.bad.strip():
        shown = f"on nginx {rule.shown_on}"
        parts.append(f"Flagged {shown}:\n\n{_laid_out(rule.bad)}")
        parts.append(f"Not flagged {shown}:\n\n{_laid_out(rule.good)}")
    return "\n\n".join(parts) + "\n"


def _laid_out(text: str) -> str:
    """Returns a configuration with one directive a line; one that nginx would refuse as it is."""
    read = tree.read(text, "example")
    if read.problems:
        return textwrap.indent(text.rstrip(), "    ")
    return "\n".join(_lines(text, read.directives, "    "))


def _lines(text: str, directives: Iterable[Directive], indent: str) -> Iterator[str]:
    for each in directives:
        said = " ".join(text[each.start : each.args_end].split())
        if each.block is None:
            yield f"{indent}{said};"
        else:
            yield f"{indent}{said} {{"
            yield from _lines(text, each.block, indent + "    ")
            yield f"{indent}}}"


def _by_location(findings: Iterable[Finding]) -> dict[tuple[str, int], list[Finding]]:
    found: dict[tuple[str, int], list[Finding]] = {}
    for finding in findings:
        if _explains_a_location(finding):
            for place in finding.passes:
                found.setdefault((place.file, place.line), []).append(finding)
    return found


def _explains_a_location(finding: Finding) -> bool:
    return bool(finding.passes) and CATALOGUE[finding.rule].about_reuse


def _location(location: Judged, findings: list[Finding], paint: Paint) -> Iterator[str]:
    yield f"{paint(location.context, '1')} -> {location.target}   {paint(str(location.place), '2')}"
    groups: dict[Verdict, list[str]] = {}
    for version, verdict in location.verdicts.items():
        groups.setdefault(verdict, []).append(version)
    for verdict, versions in groups.items():
        mark, code = _MARKS[verdict.answer]
        closer = f": {_CLOSERS[verdict.closer]}" if verdict.closer else ""
        yield f"  {paint(mark, code)} {', '.join(versions)}  {paint(verdict.answer, code)}{closer}"
        yield from _wrapped("why", _near(verdict.reason, location.place.file))
    for finding in findings:
        if finding.fix and any(location.verdicts[version].answer != "reused" for version in finding.versions):
            note = (
                "" if len(finding.versions) == len(location.verdicts) else f" [{', '.join(finding.versions)}]"
            )
            said = f"{finding.fix} ({finding.rule}, {finding.place}){note}"
            yield from _wrapped("fix", _near(said, location.place.file))
        else:
            said = f"{finding.message} ({finding.rule}, {finding.place})"
            yield from _wrapped("note", _near(said, location.place.file))


def _near(text: str, file: str) -> str:
    """Returns a text whose places in the file at hand are only their lines."""
    return re.sub(rf"{re.escape(file)}:(\d+)", r"line \1", text)


def _wrapped(label: str, content: str) -> list[str]:
    head = f"      {label:<5}"
    return textwrap.wrap(
        content,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _rest(findings: list[Finding], paint: Paint) -> Iterator[str]:
    for finding in findings:
        severity = paint(f"{finding.severity!s:<6}", _COLOURS[finding.severity])
        yield f"{severity} {finding.rule}  {paint(str(finding.place), '2')}"
        yield from _wrapped("", _near(finding.message, finding.place.file))
        if finding.fix:
            yield from _wrapped("fix", finding.fix)
    if findings:
        yield ""


def _summary(examination: Examination, hidden: int) -> Iterator[str]:
    total = len(examination.locations)
    if not total:
        yield "no pass location here: nothing is sent to an upstream server"
    for version in examination.versions if total else ():
        answers = [location.verdicts[version].answer for location in examination.locations]
        counts = [f"{answers.count(answer)} {answer}" for answer in _MARKS if answer in answers]
        yield f"nginx {version}: of {total} location{'s' if total != 1 else ''}, {', '.join(counts)}"
    if total and len(examination.versions) > 1:
        yield _difference(examination)
    if hidden:
        yield f"{hidden} remark{'s' if hidden != 1 else ''} not shown (--severity info shows all)"


def _difference(examination: Examination) -> str:
    """Returns what changes from the first version to the last."""
    old, new = examination.versions[0], examination.versions[-1]
    pairs = [(loc.verdicts[old], loc.verdicts[new]) for loc in examination.locations]
    broken = [pair for pair in pairs if pair[0].answer != "reused"]
    repaired = sum(1 for _, after in broken if after.answer == "reused")
    lost = sum(1 for before, after in pairs if before.answer == "reused" != after.answer)
    closers = sum(1 for before, after in broken if after.closer and after.closer != before.closer)
    if not broken and not lost:
        return f"from {old} to {new} nothing changes: all connections are reused"
    without = f"{len(broken)} location{'s' if len(broken) != 1 else ''} without reuse"
    parts = (
        [f"repairs {repaired} of {without}" if repaired else f"repairs none of {without}"] if broken else []
    )
    if len(broken) > repaired > 0:
        parts.append(f"{len(broken) - repaired} stay{'s' if len(broken) - repaired == 1 else ''} as broken")
    if lost:
        parts.append(f"{lost} lose{'s' if lost == 1 else ''} reuse")
    if closers:
        parts.append(f"in {closers} another side closes first")
    return f"an upgrade from {old} to {new} " + "; ".join(parts)
