"""Find the levels of a configuration, and the directives that each level inherits.

http {} holds server {}, that holds location {}, that may hold locations, `if` and limit_except. A
directive that nginx merges takes its value from the nearest level that has it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nginx.tree import Directive

_BLOCKS = frozenset({"server", "location", "if", "limit_except"})


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One block with its directives by name; `opener` is None for http {} itself.

    `rewrites` are those that set variables when a request comes by, in their order.
    """

    opener: Directive | None
    parent: "Level | None"
    block: tuple[Directive, ...]
    by_name: dict[str, list[Directive]]
    rewrites: tuple[Directive, ...]

    @property
    def kind(self) -> str:
        """The block's directive name, `http` for the outermost."""
        return self.opener.name if self.opener else "http"

    def up(self) -> "Iterator[Level]":
        """Yield this level and those around it, the nearest first."""
        level: Level | None = self
        while level is not None:
            yield level
            level = level.parent

    def all(self, name: str) -> list[Directive]:
        """Return the directives of that name directly in this block."""
        return self.by_name.get(name, [])

    def last(self, name: str) -> Directive | None:
        """Return the last directive of that name directly in this block."""
        found = self.by_name.get(name)
        return found[-1] if found else None

    def enclosing(self, kind: str) -> "Level | None":
        """Return the nearest level of that kind, this one included."""
        return next((level for level in self.up() if level.kind == kind), None)

    def inherited(self, name: str) -> Directive | None:
        """Return the directive that a merged setting takes its value from."""
        return next((found for level in self.up() if (found := level.last(name)) is not None), None)

    def __str__(self) -> str:
        if self.opener is None:
            return "http"
        words = " ".join(self.opener.args)
        if self.kind == "if":
            words = words.removeprefix("(").removesuffix(")").strip()
        return f"{self.kind} {words}".rstrip()


def find_levels(directives: tuple[Directive, ...]) -> list[Level]:
    """Return all levels of http {}, outer before inner, in the order of the text."""
    found: list[Level] = []

    def descend(opener: Directive | None, block: tuple[Directive, ...], parent: Level | None) -> None:
        by_name: dict[str, list[Directive]] = {}
        for directive in block:
            by_name.setdefault(directive.name, []).append(directive)
        rewrites = tuple(each for each in block if each.name in {"set", "if"})
        level = Level(opener, parent, block, by_name, rewrites)
        found.append(level)
        for directive in block:
            if directive.block is not None and directive.name in _BLOCKS:
                descend(directive, directive.block, level)

    descend(None, directives, None)
    return found
