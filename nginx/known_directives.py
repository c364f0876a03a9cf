"""Which directives an nginx program knows, told by the names that stand in its file. Runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nginx.tree import Directive

# What stands in these blocks are data, not directives.
_DATA = frozenset({"map", "geo", "geoip2", "split_clients", "types", "charset_map", "match"})
_MODULES = "lib/nginx/modules"


@dataclass(frozen=True, slots=True)
class Known:
    """The names in one nginx program and its modules; `version` is what it says of itself."""

    version: str
    texts: tuple[bytes, ...]
    _asked: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Path, version: str) -> Known | None:
        """Reads a program and the modules installed beside it; None where they cannot be read."""
        modules = (program.resolve().parents[1] / _MODULES).glob("*.so")
        try:
            return cls(version, tuple(path.read_bytes() for path in (program, *sorted(modules))))
        except OSError:
            return None

    def knows(self, name: str) -> bool:
        """Tells whether a directive may be known: its name ends a text of the program."""
        if name not in self._asked:
            wanted = name.encode() + b"\0"
            self._asked[name] = any(wanted in text for text in self.texts)
        return self._asked[name]

    def unknown(self, directives: Iterable[Directive]) -> Iterator[Directive]:
        """Yields the directives that are not known; what stands inside of those is not looked at."""
        for each in directives:
            if not self.knows(each.name):
                yield each
            elif each.block and each.name not in _DATA and not each.lua:
                yield from self.unknown(each.block)
