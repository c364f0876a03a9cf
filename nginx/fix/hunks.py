"""Tell the edits of one location line by line: where, what goes, and what comes."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nginx.fix.edits import Edit, apply_edits
from nginx.tree import Place

_UPSTREAM = re.compile(r"\s*upstream\s+(\S+)\s*\{")


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that change together, without those around them."""

    file: str
    line: int
    """The first line that changes, or the one before which the new ones come; counted from 1."""
    removed: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def where(self) -> str:
        """Where the edit is, within its file."""
        return f"line {self.line}" if self.removed else f"after line {self.line - 1}"


def hunks(file: str, text: str, edits: Iterable[Edit]) -> Iterator[Hunk]:
    """Yield what some edits of a file change in its text, in the order of the lines."""
    group: list[Edit] = []
    for edit in sorted({edit for edit in edits if edit.file == file}):
        if group and text.count("\n", _end_of_line(text, group), edit.start) > 0:
            yield _hunk(text, group)
            group = []
        group.append(edit)
    if group:
        yield _hunk(text, group)


def complete(found: Mapping[Place, Sequence[Hunk]]) -> dict[Place, list[Hunk]]:
    """Return the edits of all locations, each with the upstream {} that only another one declares."""
    declared = {name: hunk for own in found.values() for hunk in own for name in _declares(hunk)}
    return {place: [*_lacking(own, declared), *own] for place, own in found.items()}


def _lacking(own: Sequence[Hunk], declared: Mapping[str, Hunk]) -> Iterator[Hunk]:
    here = {name for hunk in own for name in _declares(hunk)}
    added = "\n".join(line for hunk in own for line in hunk.added)
    for name, hunk in declared.items():
        if name not in here and re.search(rf"\b{re.escape(name)}\b", added):
            yield hunk


def _declares(hunk: Hunk) -> list[str]:
    return [match[1] for line in hunk.added if (match := _UPSTREAM.match(line))]


def _hunk(text: str, group: Sequence[Edit]) -> Hunk:
    start = text.rfind("\n", 0, group[0].start) + 1
    end = _end_of_line(text, group)
    moved = [Edit(each.file, each.start - start, each.end - start, each.text) for each in group]
    removed = text[start:end].splitlines()
    added = apply_edits(text[start:end], moved).splitlines()
    line = text.count("\n", 0, start) + 1
    while removed and added and removed[0] == added[0]:
        del removed[0], added[0]
        line += 1
    while removed and added and removed[-1] == added[-1]:
        del removed[-1], added[-1]
    return Hunk(group[0].file, line, tuple(removed), tuple(added))


def _end_of_line(text: str, group: Sequence[Edit]) -> int:
    """Return the offset behind the last line that some edits touch, its end not included."""
    last = max(edit.end for edit in group)
    found = text.find("\n", last)
    return len(text) if found < 0 else found
