"""Find which directives an nginx program knows, by the names in its binary; it is not run."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nginx.tree import DATA_BLOCKS, Directive

_MODULES = "lib/nginx/modules"


@dataclass(frozen=True, slots=True)
class KnownDirectives:
    """The names in one nginx program and its modules; `version` is the one that it reports."""

    version: str
    texts: tuple[bytes, ...]
    _cache: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Path, version: str) -> "KnownDirectives | None":
        """Read a program and the modules installed with it; None where they cannot be read."""
        modules = (program.resolve().parents[1] / _MODULES).glob("*.so")
        try:
            return cls(version, tuple(path.read_bytes() for path in (program, *sorted(modules))))
        except OSError:
            return None

    def knows(self, name: str) -> bool:
        """Return whether a directive may be known: its name ends a text of the program."""
        if name not in self._cache:
            wanted = name.encode() + b"\0"
            self._cache[name] = any(wanted in text for text in self.texts)
        return self._cache[name]

    def unknown(self, directives: Iterable[Directive]) -> Iterator[Directive]:
        """Yield the directives that are not known; the inside of those is not read."""
        for each in directives:
            if not self.knows(each.name):
                yield each
            elif each.block and each.name not in DATA_BLOCKS and not each.lua:
                yield from self.unknown(each.block)
