"""Replace includes by the directives of their files, and record what is missing."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from nginx.loading.sources import Sources, has_http
from nginx.tree import Directive, Place, Problem, Tree

_MAX_DEPTH = 64
"""Of files that include each other."""


@dataclass(slots=True)
class Configuration:
    """One configuration with its includes in place."""

    file: str
    """The file to begin with."""
    http: tuple[Directive, ...] = ()
    """The directives inside http {}; for a fragment, all of its directives."""
    main: tuple[Directive, ...] = ()
    """The directives outside http {}; empty for a fragment."""
    is_fragment: bool = True
    """There is no http {} here; the text is read as if it stood inside one."""
    problems: list[Problem] = field(default_factory=list)
    """What nginx would refuse."""
    odd_words: list[Problem] = field(default_factory=list)
    """Words with a character that cannot be seen."""
    missing: list[Directive] = field(default_factory=list)
    """Includes whose files are not here; they stay in the tree as `include`."""
    ignored: dict[tuple[str, int], dict[str, str]] = field(default_factory=dict)
    """Rules that a comment silences, by file and line."""
    files: list[str] = field(default_factory=list)
    """All files that were read."""
    parts: set[str] = field(default_factory=set)
    """The same with their parts, where a file holds several texts."""
    templates: list[tuple[Place, str]] = field(default_factory=list)
    """Where a template's first expression stands, and its language."""
    conditional: "list[Configuration]" = field(default_factory=list)
    """The same where each condition of its templates holds, where none does, ...; [] without any."""


def expand_includes(tree: Tree, sources: Sources) -> Configuration:
    """Return a file's configuration, with everything that it includes and the extra files."""
    expander = _IncludeExpander(Configuration(tree.file), sources)
    found = _expand_all(tree, expander, sources)
    if expander.cases:
        cases = [_IncludeExpander(Configuration(tree.file), sources, case) for case in range(expander.cases)]
        found.conditional = [_expand_all(tree, each, sources) for each in cases]
    return found


def _expand_all(tree: Tree, expander: "_IncludeExpander", sources: Sources) -> Configuration:
    found = expander.found
    own = expander.expand_tree(tree)
    if not has_http(own):
        own = _with_extra_files(own, expander, sources)
    found.is_fragment = not has_http(own)
    if found.is_fragment:
        found.http = own
    else:
        found.main = tuple(directive for directive in own if directive.name != "http")
        blocks = (directive.block or () for directive in own if directive.name == "http")
        found.http = tuple(directive for block in blocks for directive in block)
    return found


def _with_extra_files(
    own: tuple[Directive, ...], expander: "_IncludeExpander", sources: Sources
) -> tuple[Directive, ...]:
    """Return a fragment inside the http {} of an extra file, or beside the fragments among them."""
    unused = [path for path in sources.extra_files if str(path) not in expander.found.parts]
    trees = [*map(sources.load, unused), *(part for _, part in sources.embedded)]
    # A main file comes first and may include the others.
    trees.sort(key=lambda tree: not has_http(tree.directives))
    parts = [expander.expand_tree(tree) for tree in trees if tree.identity not in expander.found.parts]
    main = [directive for part in parts if has_http(part) for directive in part]
    fragment = (*(directive for part in parts if not has_http(part) for directive in part), *own)
    return _inside_http(fragment, main, expander.found.missing) if main else fragment


def _inside_http(
    fragment: tuple[Directive, ...], main: list[Directive], missing: list[Directive]
) -> tuple[Directive, ...]:
    """Return a main file with a fragment in its first http {}, instead of what is missing there."""
    blocks = [directive for directive in main if directive.name == "http"]
    replaced = {id(include) for block in blocks for include in block.children("include")}
    missing[:] = [include for include in missing if id(include) not in replaced]
    bare = {id(b): tuple(each for each in b.block or () if each.name != "include") for b in blocks}
    bare[id(blocks[0])] += fragment
    return tuple(replace(each, block=bare[id(each)]) if id(each) in bare else each for each in main)


class _IncludeExpander:
    def __init__(self, found: Configuration, sources: Sources, case: int | None = None) -> None:
        self.found = found
        self.cases = 0
        """In how many ways the conditions of the templates may hold; 0 without any."""
        self._case = case
        self._sources = sources
        self._open: list[str] = []

    def expand_tree(self, tree: Tree) -> tuple[Directive, ...]:
        if tree.identity not in self.found.parts:
            self.found.parts.add(tree.identity)
            self.found.files += [tree.file] if tree.file not in self.found.files else []
            self.found.problems += tree.problems
            self.found.odd_words += tree.odd_words
            if tree.template is not None:
                language, line = tree.template
                self.found.templates.append((Place(tree.file, line), language))
            self.found.ignored.update({(tree.file, line): ids for line, ids in tree.ignored.items()})
        directives = tree.directives
        if tree.conditional:
            self.cases = max(self.cases, len(tree.conditional))
            if self._case is not None:
                directives = tree.conditional[self._case if self._case < len(tree.conditional) else 0]
        self._open.append(tree.identity)
        expanded = self._expand(directives)
        self._open.pop()
        return expanded

    def _expand(self, directives: Iterable[Directive]) -> tuple[Directive, ...]:
        result: list[Directive] = []
        for directive in directives:
            if directive.name == "include" and len(directive.args) == 1 and directive.block is None:
                result += self._included(directive)
            elif directive.block:
                block = self._expand(directive.block)
                result.append(directive if block == directive.block else replace(directive, block=block))
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
            if tree.identity in self._open:
                reason = f'"{tree.file}" includes itself; nginx reads it until it runs out of files'
                self.found.problems.append(Problem(include.place, reason))
            elif len(self._open) == _MAX_DEPTH:
                reason = f"files include each other more than {_MAX_DEPTH} deep; the rest is left out"
                self.found.problems.append(Problem(include.place, reason))
            else:
                result += self.expand_tree(tree)
        return tuple(result)
