"""What one nginx says to a configuration: what it does not know is left out, where that cannot change reuse.

Decides; the caller asks nginx. Whatever else nginx refuses is its answer, with the place in the user's own
files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from bench.prove import allowlist
from bench.prove.changes import Ledger
from nginx.serializer import SerializedConfig, serialize
from nginx.tree import Directive, Place
from nginx.variables import Definitions

_MOST_TIMES = 200
_UNKNOWN_DIRECTIVE = re.compile(r'unknown directive "(.+?)" in ')
_UNKNOWN_VARIABLE = re.compile(r'unknown "(\w+)" variable')
_PREFIX = re.compile(r"^(?:nginx: |[\d/]+ [\d:]+ )\[\w+\] (?:\d+#\d+: )?")
_WHERE = re.compile(r" in \S+:(\d+)$")

Check = Callable[[str], str | None]
"""Takes the text of a configuration, returns what nginx says against it, or None."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What nginx says against a configuration, and the line of the user's that it is about, if it says."""

    words: str
    place: Place | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.words}" if self.place else self.words

    def to_json(self) -> dict[str, Any]:
        """Returns the refusal as plain values."""
        file, line = (self.place.file, self.place.line) if self.place else (None, None)
        return {"words": self.words, "file": file, "line": line}


def accepted(
    directives: Iterable[Directive], check: Check, variables: Definitions, ledger: Ledger, *, version: str
) -> SerializedConfig | Refusal:
    """Returns the configuration as this nginx takes it, or its refusal."""
    lines = list(directives)
    for _ in range(_MOST_TIMES):
        text = serialize(lines)
        said = check(text.text)
        if said is None:
            return text
        unknown = _UNKNOWN_DIRECTIVE.search(said)
        variable = _UNKNOWN_VARIABLE.search(said)
        if unknown is not None and unknown[1] not in allowlist.ABOUT_REUSE:
            lines = list(_without(lines, unknown[1], f"nginx {version} does not know it", ledger))
        elif variable is not None and (variables.is_defined(variable[1]) or not variables.is_whole):
            ledger.added(f"${variable[1]}", "empty: what defines it is not here")
            lines = list(_with_variable(lines, variable[1]))
        else:
            return _refusal(said, text)
    return Refusal(f"it does not know more than {_MOST_TIMES} things in this configuration")


def _refusal(said: str, text: SerializedConfig) -> Refusal:
    words = _PREFIX.sub("", said.strip())
    where = _WHERE.search(words)
    if where is None:
        return Refusal(words)
    place = text.place(int(where[1]))
    return Refusal(words[: where.start()], place if place is not None and place.line else None)


def _without(lines: Iterable[Directive], name: str, why: str, ledger: Ledger) -> Iterator[Directive]:
    for line in lines:
        if line.name == name:
            ledger.left_out(name, why, line.place)
        elif line.block is not None and line.name not in allowlist.DATA:
            yield replace(line, block=tuple(_without(line.block, name, why, ledger)))
        else:
            yield line


def _with_variable(lines: Iterable[Directive], name: str) -> Iterator[Directive]:
    for line in lines:
        if line.name == "http" and line.block is not None:
            empty = Directive("default", ("",), line.place)
            added = Directive("map", ("", f"${name}"), line.place, block=(empty,))
            yield replace(line, block=(added, *line.block))
        else:
            yield line
