"""Format the result of a check as text for a terminal."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nginx.advice import NO_CHANGE
from nginx.check import FAILING, CheckResult, LocationVerdicts
from nginx.finding import Finding, Severity
from nginx.fix.hunks import Hunk
from nginx.fix.repair import Repair
from nginx.printable import printable, printable_line
from nginx.report.summary import summary
from nginx.rules import CATALOGUE
from nginx.tree import Place
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
WIDTH = 110
_NARROWEST = 60
_UNBROKEN = re.compile(r"`[^`]*`|\bline \d+")
_LONGEST_UNBROKEN = 45
"""What is copied, or read, as one word."""
_JOINED = "\ue000"  # a private character; the text has none, or shows it as a space


@dataclass(frozen=True, slots=True)
class Colorizer:
    """Colours text for a terminal, or leaves it as it is."""

    in_colour: bool = False

    def __call__(self, text: str, code: str) -> str:
        """Return a text, made printable, in the colour of an SGR code."""
        shown = printable_line(text)
        return f"\x1b[{code}m{shown}\x1b[0m" if self.in_colour else shown


def format_check(
    result: CheckResult,
    at_least: Severity = Severity.LOW,
    colorize: Colorizer = Colorizer(),
    *,
    width: int = WIDTH,
    repair: Repair | None = None,
    whole: CheckResult | None = None,
) -> str:
    """Return the report: each location with its verdict, why and what to change, then what else was found.

    Args:
        result: the result to report.
        at_least: findings below this severity are counted, not printed.
        colorize: how to colour.
        width: the longest line, in characters; words and places are not broken.
        repair: the repair of the locations, to show one edit for each instead of single fixes.
        whole: what the result is a part of; the last lines are about that.
    """
    report = _Report(colorize, min(max(width, _NARROWEST), WIDTH), repair or Repair())
    return report.format(result, at_least, whole or result)


@dataclass(frozen=True, slots=True)
class _Report:
    """How a result is written."""

    colorize: Colorizer
    width: int
    repair: Repair

    def format(self, result: CheckResult, at_least: Severity, whole: CheckResult) -> str:
        lines = [*self._wrapped(f"judged for {result.judged_for}", "", "  "), ""]
        by_location = _by_location(result.findings)
        for location in result.locations:
            lines += self._location(location, by_location.get(location.place, []))
            lines.append("")
        rest = [finding for finding in result.findings if not _explains_a_location(finding)]
        lines += self._findings([finding for finding in rest if finding.severity >= at_least])
        hidden = sum(1 for finding in rest if finding.severity < at_least)
        for text in summary(whole, hidden, len(result.locations)):
            lines += self._wrapped(text, "", "  ")
        return "\n".join(lines) + "\n"

    def _location(self, location: LocationVerdicts, findings: Sequence[Finding]) -> Iterator[str]:
        yield from self._heading(location)
        by_verdict: dict[tuple[Verdict, bool], list[str]] = {}
        for version, verdict in location.verdicts.items():
            by_verdict.setdefault((verdict, version in location.accepted), []).append(version)
        for (verdict, _), versions in by_verdict.items():
            yield from self._verdict(location, verdict, versions)
        for acceptance in location.acceptances:
            yield from self._labelled("note", str(acceptance), location.place)
        edit = self.repair.hunks.get(location.place, ())
        yield from self._edit(edit, location.place.file)
        for skipped in self.repair.skipped:
            if skipped.place == location.place:
                text = f"`bench fix` leaves it as it is: {skipped.reason}"
                yield from self._labelled("edit", text, location.place)
        for note in self.repair.notes:
            if note.place == location.place:
                yield from self._labelled("note", note.text, location.place)
        rules = dict.fromkeys(each.rule for each in findings if _remark(location, each)[0] == "fix")
        if edit and rules:
            yield from self._labelled("rule", ", ".join(rules), location.place)
        for label, text in _remarks(location, findings):
            if label == "note" or not edit:
                yield from self._labelled(label, text, location.place)

    def _edit(self, edit: Iterable[Hunk], file: str) -> Iterator[str]:
        """Yield the lines of one edit, each with a sign, as in a diff."""
        label, edit = "edit", tuple(edit)
        is_here = all(hunk.file == file for hunk in edit)
        for hunk in edit:
            where = hunk.where if is_here else f"{hunk.file}, {hunk.where}"
            yield f"      {label:<5}{printable_line(where)}:"
            for sign, lines, code in (("-", hunk.removed, "31"), ("+", hunk.added, "32")):
                for line in lines:
                    yield " " * 11 + self.colorize(f"{sign} {line}".rstrip(), code)
            label = ""

    def _heading(self, location: LocationVerdicts) -> Iterator[str]:
        """Yield what a location is called, what it passes to, and its place; in one line where they fit."""
        place = self.colorize(str(location.place), "2")
        target = f"-> {location.target}"
        text = f"{location.heading} {target}"
        if len(printable_line(f"{text}   {location.place}")) <= self.width:
            yield f"{self.colorize(text, '1')}   {place}"
            return
        if len(printable_line(text)) <= self.width:
            yield self.colorize(text, "1")
        else:
            yield self.colorize(location.heading, "1")
            yield f"  {self.colorize(target, '1')}"
        yield f"  {place}"

    def _verdict(
        self, location: LocationVerdicts, verdict: Verdict, versions: Sequence[str]
    ) -> Iterator[str]:
        mark, code = _MARKS[verdict.answer]
        is_accepted = verdict.answer in FAILING and location.accepted.issuperset(versions)
        answer = f"{_format_answer(verdict)}{', accepted' if is_accepted else ''}"
        names = ", ".join(versions)
        closing = f": {_CLOSES_FIRST[verdict.closes_first]}" if verdict.closes_first else ""
        first, *others = self._wrapped(f"{answer}{closing}", f"  {mark} {names}  ", "    ")
        coloured = f"  {self.colorize(mark, code)} {names}  {self.colorize(answer, code)}"
        yield first.replace(f"  {mark} {names}  {answer}", coloured, 1)
        yield from others
        label, reason = "why", verdict.reason
        if verdict.answer == "depends" and reason.startswith("depends on "):
            label, reason = "on", reason.removeprefix("depends on ")  # the heading has the verb
        yield from self._labelled(label, reason, location.place)

    def _findings(self, findings: Sequence[Finding]) -> Iterator[str]:
        for finding in findings:
            severity = self.colorize(f"{finding.severity!s:<6}", _COLOURS[finding.severity])
            versions = f"   nginx {', '.join(finding.versions)}" if finding.versions else ""
            yield f"{severity} {finding.rule}  {self.colorize(str(finding.place), '2')}{versions}"
            yield from self._labelled("", finding.message, finding.place)
            if finding.fix:
                yield from self._labelled("fix", finding.fix, finding.place)
        if findings:
            yield ""

    def _labelled(self, label: str, content: str, place: Place) -> list[str]:
        head = f"      {label:<5}"
        return self._wrapped(_shorten_places(content, place.file), head, " " * len(head))

    def _wrapped(self, content: str, first: str, rest: str) -> list[str]:
        lines = textwrap.wrap(
            _UNBROKEN.sub(_joined, printable(content)),
            self.width,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
        return [line.replace(_JOINED, " ") for line in lines]


def _joined(match: re.Match[str]) -> str:
    return match[0].replace(" ", _JOINED) if len(match[0]) <= _LONGEST_UNBROKEN else match[0]


def _by_location(findings: Iterable[Finding]) -> dict[Place, list[Finding]]:
    found: dict[Place, list[Finding]] = {}
    for finding in findings:
        if _explains_a_location(finding):
            for place in finding.passes:
                found.setdefault(place, []).append(finding)
    return found


def _explains_a_location(finding: Finding) -> bool:
    return bool(finding.passes) and CATALOGUE[finding.rule].about_reuse


def _format_answer(verdict: Verdict) -> str:
    """Return the answer with how much is reused, or with what it depends on."""
    if verdict.share is not None:
        return f"{verdict.answer}: {verdict.share}"
    return ", on ".join((verdict.answer, *verdict.depends_on[:1]))


def _remarks(location: LocationVerdicts, findings: Iterable[Finding]) -> Iterator[tuple[str, str]]:
    """Yield the label and the text of what is found about a location; what is the same is one remark."""
    sources: dict[tuple[str, str, str], list[str]] = {}
    for finding in findings:
        sources.setdefault(_remark(location, finding), []).append(f"{finding.rule}, {finding.place}")
    for (label, text, versions), named in sources.items():
        yield label, f"{text} ({'; '.join(named)}){versions}"


def _remark(location: LocationVerdicts, finding: Finding) -> tuple[str, str, str]:
    """Return the fix of a finding where its location is not reused, else what it found, and the versions."""
    is_partial = len(finding.versions) != len(location.verdicts)
    versions = f" [{', '.join(finding.versions)}]" if is_partial else ""
    if finding.fix and any(location.verdicts[version].answer != "reused" for version in finding.versions):
        return "note" if finding.fix.startswith(NO_CHANGE) else "fix", finding.fix, versions
    return "note", finding.message, versions


def _shorten_places(text: str, file: str) -> str:
    """Return a text whose places in the file at hand are only their lines."""
    return re.sub(rf"{re.escape(file)}:(\d+)", r"line \1", text)
