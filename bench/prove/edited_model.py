"""Delete and add single directives of a configuration that was read. Pure: no file changes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from nginx.model import Model, build_model
from nginx.tree import Directive

Position = tuple[str, int]
"""Where a directive begins: its file, and the characters before it."""


def position(directive: Directive) -> Position:
    """Return where a directive stands; an included file that is used twice has it there twice."""
    return directive.place.file, directive.start


def without(model: Model, lines: Iterable[Directive]) -> Model:
    """Return the model of a configuration that lacks these lines."""
    return edited(model, deleted=lines)


def edited(
    model: Model,
    *,
    deleted: Iterable[Directive] = (),
    added: Mapping[Position | None, Sequence[Directive]] | None = None,
) -> Model:
    """Return the model of a configuration that lacks some lines and has others.

    `added` maps where a block begins to what is added at its end; None stands for http {} itself.
    """
    gone, new = {position(line) for line in deleted}, added or {}
    configuration = model.configuration
    http = (*_edited(configuration.http, gone, new), *new.get(None, ()))
    return build_model(replace(configuration, http=http))


def _edited(
    lines: Iterable[Directive],
    gone: set[Position],
    added: Mapping[Position | None, Sequence[Directive]],
) -> Iterator[Directive]:
    for line in lines:
        where = position(line)
        if line.block is None:
            if where not in gone:
                yield line
            continue
        yield replace(line, block=(*_edited(line.block, gone, added), *added.get(where, ())))
