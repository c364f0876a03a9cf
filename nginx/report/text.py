"""Format the result of a check, and the explanation of a rule, as text for a terminal."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nginx import tree
from nginx.check import CheckResult, LocationVerdicts
from nginx.finding import Finding, Severity
from nginx.printable import printable, printable_line
from nginx.rules import CATALOGUE, Rule
from nginx.tree import Directive
from nginx.verdict import Verdict

_MARKS = {
    "reused": ("✓", "32"),
    "partly reused": ("~", "33"),
    "not reused": ("✗", "31"),
    "depends": ("?", "33"),
}
_COLOURS = {
    Severity.ERROR: "31;1",
    Severity.HIGH: "31",
    Severity.MEDIUM: "33",
    Severity.LOW: "36",
    Severity.INFO: "2",
}
_CLOSES_FIRST = {
    "nginx": "nginx closes first and keeps TIME_WAIT",
    "backend": "the server closes first and keeps TIME_WAIT",
    "race": "nginx and the server race to close; the first keeps TIME_WAIT",
}
_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Colorizer:
    """Colours text for a terminal, or leaves it as it is."""

    in_colour: bool = False

    def __call__(self, text: str, code: str) -> str:
        """Return a text, made printable, in the colour of an SGR code."""
        shown = printable_line(text)
        return f"\x1b[{code}m{shown}\x1b[0m" if self.in_colour else shown


def format_check(
    result: CheckResult, at_least: Severity = Severity.LOW, colorize: Colorizer = Colorizer()
) -> str:
    """Return the report: each location with its verdict, why and what to change, then what else was found.

    Args:
        result: the result to report.
        at_least: findings below this severity are counted, not printed.
        colorize: how to colour.
    """
    lines = [f"judged for {printable_line(result.judged_for)}", ""]
    by_location = _by_location(result.findings)
    for location in result.locations:
        lines += _format_location(
            location, by_location.get((location.place.file, location.place.line), []), colorize
        )
        lines.append("")
    rest = [finding for finding in result.findings if not _explains_a_location(finding)]
    lines += _format_findings([finding for finding in rest if finding.severity >= at_least], colorize)
    hidden = sum(1 for finding in rest if finding.severity < at_least)
    lines += _summary(result, hidden)
    return "\n".join(lines) + "\n"


def format_rule(rule: Rule) -> str:
    """Return a rule with its reasons and a configuration on either side of it."""
    parts = [f"{rule.id} {rule.name} ({rule.severity})", rule.summary]
    if rule.explanation:
        parts.append(rule.explanation)
    if not rule.unproven:
        parts.append("Proven by traffic through nginx, before and since 1.29.7.")
    else:
        parts.append(f"Not proven by traffic in the tests: {rule.unproven}.")
    if rule.bad.strip():
        shown = f"on nginx {rule.shown_on}"
        parts.append(f"Flagged {shown}:\n\n{_format_config(rule.bad)}")
        parts.append(f"Not flagged {shown}:\n\n{_format_config(rule.good)}")
    return "\n\n".join(parts) + "\n"


def format_rules() -> str:
    """Return the ids of all rules, each with its severity and its title, in the order of the ids."""
    lines = []
    for rule in sorted(CATALOGUE.values(), key=lambda rule: rule.id):
        head = f"{rule.id:<6} {rule.severity!s:<6} "
        lines.append(textwrap.fill(rule.summary, 80, initial_indent=head, subsequent_indent=" " * len(head)))
    return "\n".join(lines) + "\n"


def _format_config(text: str) -> str:
    """Return a configuration with one directive a line; one that nginx would refuse as it is."""
    read = tree.parse(text, "example")
    if read.problems:
        return textwrap.indent(text.rstrip(), "    ")
    return "\n".join(_format_lines(text, read.directives, "    "))


def _format_lines(text: str, directives: Iterable[Directive], indent: str) -> Iterator[str]:
    for each in directives:
        words = " ".join(text[each.start : each.args_end].split())
        if each.block is None:
            yield f"{indent}{words};"
        else:
            yield f"{indent}{words} {{"
            yield from _format_lines(text, each.block, indent + "    ")
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


def _format_location(
    location: LocationVerdicts, findings: list[Finding], colorize: Colorizer
) -> Iterator[str]:
    context, place = colorize(location.heading, "1"), colorize(str(location.place), "2")
    yield f"{context} -> {printable_line(location.target)}   {place}"
    by_verdict: dict[Verdict, list[str]] = {}
    for version, verdict in location.verdicts.items():
        by_verdict.setdefault(verdict, []).append(version)
    file = location.place.file
    for verdict, versions in by_verdict.items():
        mark, code = _MARKS[verdict.answer]
        closing = f": {_CLOSES_FIRST[verdict.closes_first]}" if verdict.closes_first else ""
        answer = colorize(_format_answer(verdict), code)
        yield f"  {colorize(mark, code)} {', '.join(versions)}  {answer}{closing}"
        yield from _wrapped("why", _shorten_places(verdict.reason, file))
    for finding in findings:
        label, text = _remark(location, finding)
        yield from _wrapped(label, _shorten_places(text, file))


def _format_answer(verdict: Verdict) -> str:
    """Return the answer with how much is reused, or with what it depends on."""
    if verdict.share is not None:
        return f"{verdict.answer}: {verdict.share}"
    return ", on ".join((verdict.answer, *verdict.depends_on[:1]))


def _remark(location: LocationVerdicts, finding: Finding) -> tuple[str, str]:
    """Return the fix of a finding where its location is not reused, else what it found."""
    source = f"({finding.rule}, {finding.place})"
    if finding.fix and any(location.verdicts[version].answer != "reused" for version in finding.versions):
        is_partial = len(finding.versions) != len(location.verdicts)
        return "fix", f"{finding.fix} {source}" + (f" [{', '.join(finding.versions)}]" if is_partial else "")
    return "note", f"{finding.message} {source}"


def _shorten_places(text: str, file: str) -> str:
    """Return a text whose places in the file at hand are only their lines."""
    return re.sub(rf"{re.escape(file)}:(\d+)", r"line \1", text)


def _wrapped(label: str, content: str) -> list[str]:
    head = f"      {label:<5}"
    return textwrap.wrap(
        printable(content),
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _format_findings(findings: list[Finding], colorize: Colorizer) -> Iterator[str]:
    for finding in findings:
        severity = colorize(f"{finding.severity!s:<6}", _COLOURS[finding.severity])
        yield f"{severity} {finding.rule}  {colorize(str(finding.place), '2')}"
        yield from _wrapped("", _shorten_places(finding.message, finding.place.file))
        if finding.fix:
            yield from _wrapped("fix", finding.fix)
    if findings:
        yield ""


def _summary(result: CheckResult, hidden: int) -> Iterator[str]:
    total = len(result.locations)
    if not total:
        yield "no pass location here: nothing is sent to an upstream server"
    for version in result.versions if total else ():
        answers = [location.verdicts[version].answer for location in result.locations]
        counts = [f"{answers.count(answer)} {answer}" for answer in _MARKS if answer in answers]
        yield f"nginx {version}: of {_count(total, 'location')}, {', '.join(counts)}"
    if total and len(result.versions) > 1:
        old, new = result.versions[0], result.versions[-1]
        pairs = [(location.verdicts[old], location.verdicts[new]) for location in result.locations]
        yield _format_upgrade(old, new, pairs)
    if hidden:
        yield f"{_count(hidden, 'remark')} not shown (--severity info shows all)"


def _format_upgrade(old: str, new: str, pairs: list[tuple[Verdict, Verdict]]) -> str:
    """Return what changes from the first version to the last."""
    broken = [(before, after) for before, after in pairs if before.answer != "reused"]
    repaired = sum(after.answer == "reused" for _, after in broken)
    left = len(broken) - repaired
    lost = sum(before.answer == "reused" != after.answer for before, after in pairs)
    other_side = sum(after.closes_first not in {None, before.closes_first} for before, after in broken)
    if not broken and not lost:
        return f"from {old} to {new} nothing changes: all connections are reused"
    parts = {
        f"repairs {repaired or 'none'} of {_count(len(broken), 'location')} without reuse": len(broken),
        f"{left} stay{'s' if left == 1 else ''} as broken": left and repaired,
        f"{lost} lose{'s' if lost == 1 else ''} reuse": lost,
        f"in {other_side} another side closes first": other_side,
    }
    return f"an upgrade from {old} to {new} " + "; ".join(part for part, number in parts.items() if number)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
