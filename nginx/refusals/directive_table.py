"""The directives of nginx: where each of them may stand, with how many arguments, and of which kind.

The table is measured: `make directives` runs `nginx -t` of the oldest and the newest nginx here, and what one
of them accepts is accepted here. Directives of other modules are not in it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nginx.tree import Directive

_MANY = 1 << 16
_OF_OTHERS_TOO = frozenset({"sticky"})
"""Names that other modules use as well, with other arguments."""
_TIME = re.compile(
    r"(?:\d+y ?)?(?:\d+M ?)?(?:\d+w ?)?(?:\d+d ?)?(?:\d+h ?)?(?:\d+m ?)?(?:\d+s? ?)?(?:\d+ms)?", re.ASCII
)
_PATTERNS = {
    "number": re.compile(r"\d{1,19}", re.ASCII),
    "size": re.compile(r"\d{1,19}[kKmMgG]?", re.ASCII),
    "time": _TIME,
    "flag": re.compile("on|off", re.IGNORECASE),
}
_COMPLAINTS = {
    "number": '"{name}" directive invalid number',
    "size": '"{name}" directive invalid value',
    "time": '"{name}" directive invalid value',
    "flag": 'invalid value "{value}" in "{name}" directive, it must be "on" or "off"',
}


@dataclass(frozen=True, slots=True)
class KnownDirective:
    """A directive of nginx."""

    name: str
    kind: str
    """number, size, time or flag, where a single argument has to be one; else "-"."""
    once: bool
    """A block may hold one of it."""
    is_block: bool
    counts: Mapping[str, range]
    """The numbers of arguments, by the block that it may stand in."""

    def complaint(self, line: Directive, block: str) -> str | None:
        """Return what nginx has against a line in a block, in nginx's words; None if nothing is known."""
        counts = self.counts.get(block)
        if counts is None:
            return f'"{self.name}" directive is not allowed here'
        if self.name != "server" and self.is_block != (line.block is not None):
            how = 'has no opening "{"' if self.is_block else 'is not terminated by ";"'
            return f'directive "{self.name}" {how}'
        if len(line.args) not in counts and self.name not in _OF_OTHERS_TOO:
            return f'invalid number of arguments in "{self.name}" directive'
        return self._wrong_value(line)

    def _wrong_value(self, line: Directive) -> str | None:
        value = line.args[0] if line.args else ""
        pattern = _PATTERNS.get(self.kind)
        if pattern is None or "$" in value or (value and pattern.fullmatch(value)):
            return None
        return _COMPLAINTS[self.kind].format(name=self.name, value=value)


# Not by the package's name: in a folder with one named nginx, `python -m` would look there.
_TABLE = Path(__file__).parents[1] / "conf" / "directives.txt"


@cache
def known_directives() -> Mapping[str, KnownDirective]:
    """Return the directives of nginx by name."""
    text = _TABLE.read_text("ascii")
    return {each.name: each for each in map(_read, text.splitlines()) if each is not None}


def _read(row: str) -> KnownDirective | None:
    if not row or row.startswith("#"):
        return None
    name, kind, once, block, *blocks = row.split()
    counts = {}
    for each in blocks:
        names, _, numbers = each.partition("=")
        counts.update(dict.fromkeys(names.split(","), _range(numbers)))
    return KnownDirective(name, kind, once == "once", block == "block", counts)


def _range(text: str) -> range:
    """Return the numbers of `0`, `1-2` or `1+`."""
    if text.endswith("+"):
        return range(int(text[:-1]), _MANY)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)
