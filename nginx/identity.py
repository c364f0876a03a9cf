"""Recognise a finding again when lines have moved: by its file, its rule, its message and its locations."""

import re
from collections.abc import Iterator

from nginx.check import CheckResult
from nginx.finding import Finding
from nginx.tree import Place

Identity = tuple[str, ...]
"""The file, the rule, the message without lines, and what the locations are called."""


def identities(result: CheckResult) -> Iterator[Identity]:
    """Yield the identity of each finding of a result, in their order; two findings may have the same."""
    headings = {each.place: each.heading for each in result.locations}
    files = "|".join(map(re.escape, sorted(set(result.files), key=len, reverse=True)))
    place = re.compile(rf"({files}):\d+") if files else None
    for finding in result.findings:
        yield _identity(finding, headings, place)


def _identity(finding: Finding, headings: dict[Place, str], place: re.Pattern[str] | None) -> Identity:
    message = place.sub(r"\1", finding.message) if place is not None else finding.message
    about = {headings[each] for each in finding.passes if each in headings}
    return (finding.place.file, finding.rule, message, *sorted(about))
