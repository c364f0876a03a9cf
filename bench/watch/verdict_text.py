"""A verdict as plain text: the headline, what it rests on, and each finding with its change."""

import textwrap
from collections.abc import Iterator

from bench.watch.finding import Certainty, ConfiguredHop, WatchFinding
from bench.watch.verdict import WatchVerdict


def format_verdict(verdict: WatchVerdict, width: int = 80) -> str:
    """Return the verdict as lines of at most `width` columns, where no word is longer."""
    return "\n".join(lines(verdict, width)) + "\n"


def lines(verdict: WatchVerdict, width: int = 80) -> Iterator[str]:
    """Yield the verdict line by line: what hurts first comes first, what is no fault last."""
    yield from _wrapped(f"{verdict.headline}.", width, "")
    yield from _wrapped(verdict.seen.sentence(), width, "")
    for number, finding in enumerate(verdict.faults, 1):
        yield ""
        yield from _finding(finding, f"{number}. ", width)
    for finding in verdict.findings:
        if not finding.is_fault:
            yield ""
            yield from _finding(finding, "   ", width)
    if verdict.notes:
        yield ""
    for note in verdict.notes:
        yield from _wrapped(note, width, "")


def _finding(finding: WatchFinding, mark: str, width: int) -> Iterator[str]:
    title = finding.pattern.value.replace("-", " ")
    sure = "" if finding.certainty is Certainty.SURE else f", {finding.certainty.value}"
    yield from _wrapped(f"{mark}{finding.hop}: {title} ({finding.urgency}{sure})", width, "   ")
    for sentence in finding.sentences():
        yield from _wrapped(f"   {sentence}", width, "   ")
    for configured in finding.configured:
        yield from _configured(configured, width)
    if finding.change:
        yield from _wrapped(f"   Change: {finding.change}", width, "   ")
    if finding.surer:
        yield from _wrapped(f"   Surer with: {finding.surer}", width, "   ")


def _configured(configured: ConfiguredHop, width: int) -> Iterator[str]:
    yield from _wrapped(f"   {configured.place} ({configured.heading}): {configured.reason}", width, "   ")


def _wrapped(text: str, width: int, indent: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
