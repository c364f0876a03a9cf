"""Format upgrade proofs as plain text, and as Markdown for a pull request."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from bench import units
from bench.prove.remedies import AddedLine
from bench.prove.upgrade import LocationUpgrade, Upgrade, per_thousand
from bench.report.text_table import prose_width
from nginx.finding import Finding
from nginx.markdown_text import escape, format_code, format_prose, format_row
from nginx.tree import Directive, Place


def format_upgrade(found: Upgrade) -> str:
    """Return an upgrade location by location, the lines to edit, and one sentence."""
    lines = [f"upgrade, nginx {found.before.version} -> {found.after.version}"]
    if found.rejection is None:
        lines += [f"  {line}" for line in _location_lines(found.locations)]
        lines += [f"  {line}" for line in _edit_lines(found)]
    lines += textwrap.wrap(summarize(found), prose_width(), subsequent_indent="  ")
    return "\n".join(lines) + "\n"


def format_markdown(found: Upgrade) -> str:
    """Return an upgrade as Markdown: the sentence, a table of locations, the lines to edit."""
    lines = [f"### nginx {found.before.version} → {found.after.version}", "", summarize(found), ""]
    if found.rejection is None:
        lines += [
            f"| location | target | connections per 1,000 requests, {found.before.version} "
            f"| {found.after.version} | what changes |",
            "|---|---|--:|--:|---|",
            *map(_row, found.locations),
            "",
        ]
    deletable = (f"`{text}` ({places})" for text, places in _by_text(found.deletable))
    lines += _section("May be deleted (it was run without them)", deletable)
    lines += _section("Must be added", map(_format_added, found.needed))
    lines += _section("`bench check` finds under the newer nginx only", _format_findings(found.findings))
    lines += [f"- {note}" for note in found.notes]
    return "\n".join(lines).rstrip() + "\n"


def summarize(found: Upgrade) -> str:
    """Return one sentence about an upgrade."""
    head = f"From nginx {found.before.version} to {found.after.version}"
    if found.rejection is not None:
        return f"{head}: not proven, {found.rejection}."
    proven = [each for each in found.locations if each.is_proven]
    if not proven:
        return f"{head}: nothing was proven."
    parts = [*_changes(proven), *_edits(found)]
    unproven = len(found.locations) - len(proven)
    if unproven:
        parts.append(f"{unproven} not proven")
    return f"{head}, of {units.plural(len(found.locations), 'location')}: {'; '.join(parts)}."


def _changes(proven: Sequence[LocationUpgrade]) -> Iterator[str]:
    fewer = [each for each in proven if _difference(each) < 0]
    more = [each for each in proven if _difference(each) > 0]
    failing = [each for each in proven if each.failures]
    if fewer:
        yield f"{_opens(len(fewer))} fewer connections{_range(fewer)}"
    if more:
        yield f"{_opens(len(more))} more connections{_range(more)}"
    if same := len(proven) - len(fewer) - len(more):
        yield f"{_opens(same)} as many connections"
    if failing:
        named = ", ".join(f"{_name(each)} ({_failures(each)})" for each in failing)
        yield f"{len(failing)} {'begins' if len(failing) == 1 else 'begin'} to fail: {named}"


def _opens(number: int) -> str:
    return f"{number} {'opens' if number == 1 else 'open'}"


def _edits(found: Upgrade) -> Iterator[str]:
    if found.deletable:
        yield f"{units.plural(len(found.deletable), 'line')} may be deleted"
    if found.needed:
        named = ", ".join(f"`{line}` in {line.context}" for line in found.needed)
        yield f"{units.plural(len(found.needed), 'line')} must be added: {named}"
    elif found.failing:
        yield "no line was found that would prevent it"
    if found.findings:
        yield f"check then finds {', '.join(dict.fromkeys(finding.rule for finding in found.findings))}"


def _difference(each: LocationUpgrade) -> int:
    return (per_thousand(each.after) or 0) - (per_thousand(each.before) or 0)


def _range(some: Sequence[LocationUpgrade]) -> str:
    """Return by how much, with the largest difference for all."""
    most = max(some, key=lambda each: abs(_difference(each)))
    upto = "" if len(some) == 1 else "up to "
    return f" ({upto}{per_thousand(most.before):,} -> {per_thousand(most.after):,} per 1,000 requests)"


def _name(each: LocationUpgrade) -> str:
    return each.after.location.pass_location.context


# Location by location


def _location_lines(found: Iterable[LocationUpgrade]) -> Iterator[str]:
    for each in found:
        passing = each.after.location.pass_location
        yield f"{passing.context} -> {passing.target} ({passing.directive.place})"
        yield f"    {_opened(each)}"
        yield from (f"    {line}" for line in _remarks(each))


def _opened(each: LocationUpgrade) -> str:
    if not each.is_proven:
        return f"not proven: {each.after.not_proven or each.before.not_proven}"
    before, after = per_thousand(each.before), per_thousand(each.after)
    return f"{before:,} -> {after:,} new connections per 1,000 requests"


def _remarks(each: LocationUpgrade) -> Iterator[str]:
    if each.failures:
        yield f"begins to fail: {_failures(each)}"
    if (shares := _shares(each)) is not None:
        yield shares
    if each.moves_time_wait:
        yield "nginx begins to close first: its own ports stay in TIME_WAIT"


def _shares(each: LocationUpgrade) -> str | None:
    """Return how many requests in flight at once found a connection, where that changes."""
    before, after = each.before.in_flight, each.after.in_flight
    if before is None or after is None or before.share is None or after.share is None:
        return None
    old, new = (f"{100 * share:.0f} %" for share in (before.share, after.share))
    return (
        None
        if old == new
        else f"{old} -> {new} reused with {units.plural(after.in_flight, 'request')} in flight"
    )


def _failures(each: LocationUpgrade) -> str:
    return ", ".join(f"{what}: {units.plural(count, 'request')}" for what, count in each.failures.items())


def _row(each: LocationUpgrade) -> str:
    passing = each.after.location.pass_location
    name = f"{format_code(passing.context)} ({escape(str(passing.directive.place))})"
    numbers = [f"{number:,}" if number is not None else "-" for number in _numbers(each)]
    remarks = "; ".join(_remarks(each)) if each.is_proven else _opened(each)
    return format_row((name, format_code(passing.target), *numbers, format_prose(remarks)))


def _numbers(each: LocationUpgrade) -> list[int | None]:
    return [per_thousand(each.before), per_thousand(each.after)]


# Lines to edit


def _edit_lines(found: Upgrade) -> Iterator[str]:
    if found.deletable:
        yield "may be deleted, it was run without them:"
        yield from (f"    {text} ({places})" for text, places in _by_text(found.deletable))
    if found.needed:
        yield "must be added:"
        yield from (f"    {_format_added(line)}" for line in found.needed)
    if found.findings:
        yield "check finds under the newer nginx only:"
        for text in _format_findings(found.findings):
            yield from textwrap.wrap(
                text, prose_width() - 2, initial_indent="    ", subsequent_indent="      "
            )
    yield from (f"note: {note}" for note in found.notes)


def _section(title: str, rows: Iterable[str]) -> Iterator[str]:
    """Yield a list under a title, or nothing where it is empty."""
    listed = list(rows)
    if listed:
        yield from (f"{title}:", "")
        yield from (f"- {row}" for row in listed)
        yield ""


def _format_added(line: AddedLine) -> str:
    return f"`{line}` in {line.context} ({line.place}): {line.reason}"


def _format_findings(found: Iterable[Finding]) -> Iterator[str]:
    """Yield each finding once, with all of its places."""
    places: dict[tuple[str, str, str], list[Place]] = {}
    for finding in found:
        places.setdefault((finding.rule, finding.message, finding.fix), []).append(finding.place)
    for (rule, message, fix), each in places.items():
        advice = f"; {fix}" if fix else ""
        yield f"{rule} {message} ({', '.join(map(str, each))}){advice}"


def _by_text(lines: Iterable[Directive]) -> Iterator[tuple[str, str]]:
    """Yield each text of some lines once, with all of its places."""
    found: dict[str, list[Place]] = {}
    for line in lines:
        found.setdefault(f"{line};", []).append(line.place)
    for text, places in found.items():
        yield text, ", ".join(map(str, places))
