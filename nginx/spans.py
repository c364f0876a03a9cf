"""Find which part of its line a finding is about: the columns of the directive."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from nginx.finding import Finding
from nginx.loading.includes import Configuration
from nginx.tree import Directive, Place


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text; columns count characters from 1, the end is behind the last one."""

    column: int
    end_line: int
    end_column: int


class SpanFinder:
    """Finds the spans of findings in one configuration."""

    def __init__(self, configuration: Configuration, text_of: Callable[[str], str | None]) -> None:
        self._text_of = text_of
        self._by_place: dict[Place, list[Directive]] = {}
        for each in _walk((*configuration.main, *configuration.http)):
            self._by_place.setdefault(each.place, []).append(each)

    def span(self, finding: Finding) -> Span | None:
        """Return the span of a finding: of the directive that it quotes, else of the first in its line."""
        text = self._text_of(finding.place.file)
        found = self._by_place.get(finding.place, [])
        if text is None or not found:
            return None
        each = _meant(finding, found)
        end = each.end if each.block is None else each.args_end
        begin_of_line, begin_of_last = (text.rfind("\n", 0, offset) + 1 for offset in (each.start, end))
        end_line = finding.place.line + text.count("\n", each.start, end)
        return Span(each.start - begin_of_line + 1, end_line, end - begin_of_last + 1)


def _meant(finding: Finding, found: Sequence[Directive]) -> Directive:
    """Return the directive of a line that a finding is about."""
    words = finding.message.split()
    quoted = [each for each in found if f"`{each}" in finding.message]
    passes = [each for each in found if each.name.endswith("_pass") and finding.place in finding.passes]
    named = [each for each in found if each.name in words]
    return next(iter((*quoted, *passes, *named)), found[0])


def _walk(directives: Iterable[Directive]) -> Iterator[Directive]:
    for each in directives:
        yield each
        if each.block:
            yield from _walk(each.block)
