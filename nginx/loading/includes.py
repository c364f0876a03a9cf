"""Puts included files in the place of their includes, and remembers what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from nginx.loading.sources import Sources
from nginx.tree import Directive, Place, Problem, Tree


@dataclass(slots=True)
class Configuration:
    """One configuration with its includes in place.

    Attributes:
        file: the file that was asked about.
        http: the directives inside http {}; for a fragment, all of its directives.
        main: the directives outside http {}; empty for a fragment.
        is_fragment: there is no http {} here; the text is read as if it stood inside one.
        problems: what nginx would refuse.
        missing: includes whose files are not here; they stay in the tree as `include`.
        ignored: rules that a comment silences, by file and line.
        files: all files that were read.
        templates: where a template's first expression stands, and its language.
    """

    file: str
    http: tuple[Directive, ...] = ()
    main: tuple[Directive, ...] = ()
    is_fragment: bool = True
    problems: list[Problem] = field(default_factory=list)
    missing: list[Directive] = field(default_factory=list)
    ignored: dict[tuple[str, int], frozenset[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    templates: list[tuple[Place, str]] = field(default_factory=list)


def assemble(tree: Tree, sources: Sources) -> Configuration:
    """Returns a file's configuration, with everything that it includes and was handed over."""
    found = Configuration(tree.file)
    expander = _Expander(found, sources)
    own = expander.expand_tree(tree)
    if not any(directive.name == "http" for directive in own):
        own = _surrounded(own, expander, sources)
    found.is_fragment = not any(directive.name == "http" for directive in own)
    if found.is_fragment:
        found.http = own
    else:
        found.main = tuple(directive for directive in own if directive.name != "http")
        blocks = (directive.block or () for directive in own if directive.name == "http")
        found.http = tuple(directive for block in blocks for directive in block)
    return found


def _surrounded(own: tuple[Directive, ...], expander: _Expander, sources: Sources) -> tuple[Directive, ...]:
    """Returns a fragment inside the http {} that was handed over, or beside the fragments that were.

    In a main file that was handed over, the includes of http {} that lead nowhere mean the fragment.
    """
    beside: list[Directive] = []
    around: list[Directive] = []
    unused = [path for path in sources.handed_over if str(path) not in expander.seen]
    trees = [sources.load(path) for path in unused]
    for other in sorted(trees, key=lambda t: not any(d.name == "http" for d in t.directives)):
        if other.file not in expander.seen:
            part = expander.expand_tree(other)
            (around if any(directive.name == "http" for directive in part) else beside).extend(part)
    inner = (*beside, *own)
    if not around:
        return inner
    led_nowhere = {id(d) for block in around if block.name == "http" for d in block.children("include")}
    expander.found.missing[:] = [d for d in expander.found.missing if id(d) not in led_nowhere]
    outer = []
    for directive in around:
        if directive.name == "http":
            kept = tuple(child for child in directive.block or () if child.name != "include")
            outer.append(replace(directive, block=(*kept, *inner)))
            inner = ()
        else:
            outer.append(directive)
    return tuple(outer)


class _Expander:
    def __init__(self, found: Configuration, sources: Sources) -> None:
        self.found = found
        self.seen: set[str] = set()
        self._sources = sources
        self._open: list[str] = []

    def expand_tree(self, tree: Tree) -> tuple[Directive, ...]:
        if tree.file not in self.seen:
            self.seen.add(tree.file)
            self.found.files.append(tree.file)
            self.found.problems += tree.problems
            if tree.template is not None:
                language, line = tree.template
                self.found.templates.append((Place(tree.file, line), language))
            self.found.ignored.update({(tree.file, line): ids for line, ids in tree.ignored.items()})
        self._open.append(tree.file)
        expanded = self._expand(tree.directives)
        self._open.pop()
        return expanded

    def _expand(self, directives: Iterable[Directive]) -> tuple[Directive, ...]:
        result: list[Directive] = []
        for directive in directives:
            if directive.name == "include" and len(directive.args) == 1 and directive.block is None:
                result += self._included(directive)
            elif directive.block:
                block = self._expand(directive.block)
                same = len(block) == len(directive.block) and all(map(_is, block, directive.block))
                result.append(directive if same else replace(directive, block=block))
            else:
                result.append(directive)
        return tuple(result)

    def _included(self, include: Directive) -> tuple[Directive, ...]:
        trees = self._sources.find(include.args[0])
        if trees is None:
            self.found.missing.append(include)
            return (include,)
        result: list[Directive] = []
        for tree in trees:
            if tree.file in self._open:
                reason = f'"{tree.file}" includes itself; nginx reads it until it runs out of files'
                self.found.problems.append(Problem(include.place, reason))
            else:
                result += self.expand_tree(tree)
        return tuple(result)


def _is(one: Directive, other: Directive) -> bool:
    return one is other
