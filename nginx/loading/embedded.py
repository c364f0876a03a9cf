"""Read the configurations of nginx inside YAML, and find out which of them belong together."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from nginx import tree
from nginx.loading.sources import has_http
from nginx.loading.yaml_scalars import Scalar, find_scalars
from nginx.targets import PROTOCOLS
from nginx.tree import Directive, Place, Problem, Tree

_BLOCKS = frozenset({"http", "server", "upstream", "location", "stream", "map", "events"})
NOWHERE = -1
"""The offset of a directive whose text stands in the file in another form."""


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """One configuration, or a part of one, inside a YAML file."""

    key: str
    parent: int
    tree: Tree


# Each of the configurations in a file asks for all of them.
@lru_cache(maxsize=2)
def embedded_texts(text: str, file: str) -> list[EmbeddedText]:
    """Return the texts in a YAML file that are nginx's, in their order."""
    found = []
    for number, scalar in enumerate(find_scalars(text)):
        parsed = _parse(scalar, text, file)
        if any(_is_of_nginx(each) for each in parsed.directives):
            parsed.part = f"#{number}"
            found.append(EmbeddedText(scalar.key, scalar.parent, parsed))
    return found


def belonging_together(texts: list[EmbeddedText]) -> Iterator[tuple[int, ...]]:
    """Yield what makes one configuration, as numbers of texts: the first begins, the others may be included.

    A text with http {} may include the others beside it, or, where there are none, all others of the file.
    Texts without are read one by one; beside each other in a ConfigMap they lie in one folder.
    """
    mains = [number for number, each in enumerate(texts) if has_http(each.tree.directives)]
    rest = [number for number in range(len(texts)) if number not in mains]
    left = set(rest)
    for main in mains:
        beside = [number for number in rest if texts[number].parent == texts[main].parent]
        yield (main, *(beside or rest))
        left -= set(beside or rest)
    while left:
        first = min(left)
        beside = [number for number in sorted(left) if texts[number].parent == texts[first].parent]
        group = beside if _are_one_folder([texts[number] for number in beside]) else [first]
        yield tuple(group)
        left -= set(group)


def _are_one_folder(texts: list[EmbeddedText]) -> bool:
    """Return whether texts can be read together: they are files, and no two define the same upstream {}."""
    names = [
        each.args[0].lower()
        for text in texts
        for each in text.tree.directives
        if each.name == "upstream" and each.args
    ]
    return all(text.key.endswith(".conf") for text in texts) and len(set(names)) == len(names)


def _parse(scalar: Scalar, text: str, file: str) -> Tree:
    parsed = tree.parse(scalar.text, file)
    before, offset = scalar.lines_before, scalar.offset
    count = scalar.text.count("\n") + 1
    lines = scalar.lines or tuple(range(before + 1, before + count + 1))
    shift = offset if scalar.lines is None else None
    parsed.text, parsed.directives = text, tuple(_moved(each, lines, shift) for each in parsed.directives)
    parsed.problems = [Problem(_place(each.place, lines), each.reason) for each in parsed.problems]
    parsed.odd_words = [Problem(_place(each.place, lines), each.reason) for each in parsed.odd_words]
    parsed.ignored = {_line(line, lines): rules for line, rules in parsed.ignored.items()}
    if parsed.template is not None:
        parsed.template = (parsed.template[0], _line(parsed.template[1], lines))
    return parsed


def _moved(directive: Directive, lines: tuple[int, ...], shift: int | None) -> Directive:
    """Return a directive with its place in the file; `shift` None where its offsets have no meaning there."""
    block = None if directive.block is None else tuple(_moved(each, lines, shift) for each in directive.block)
    start, end, args_end = (
        NOWHERE if shift is None else offset + shift
        for offset in (directive.start, directive.end, directive.args_end)
    )
    place = _place(directive.place, lines)
    return replace(directive, place=place, block=block, start=start, end=end, args_end=args_end)


def _place(place: Place, lines: tuple[int, ...]) -> Place:
    return Place(place.file, _line(place.line, lines))


def _line(line: int, lines: tuple[int, ...]) -> int:
    return lines[min(line, len(lines)) - 1]


def _is_of_nginx(each: Directive) -> bool:
    return (each.block is not None and each.name in _BLOCKS) or each.name in PROTOCOLS
