"""Say what pooled connections bring with them, for the locations that a repair changes.

A server may close an idle connection in the moment in which nginx sends a request into it. Which requests
nginx then sends again is said in ngx_http_upstream_test_next() and ngx_http_upstream_next().
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nginx.fix.new_upstreams import names_variable
from nginx.model import Model, PassLocation
from nginx.process_servers import PooledServers
from nginx.rules import CheckSettings
from nginx.tree import DATA_BLOCKS, Directive, Place
from nginx.values import pieces

_REPEATED_BY_DEFAULT = ("error", "timeout")


@dataclass(frozen=True, slots=True)
class Note:
    """What to know about a repaired location."""

    place: Place
    text: str


def notes(
    before: Sequence[PassLocation], after: Model, repaired: Iterable[int], settings: CheckSettings
) -> Iterator[Note]:
    """Yield what changes for the locations that are repaired, by their number in the text."""
    for number in repaired:
        place = before[number].directive.place
        if is_resolved_in_background(before[number], after.passes[number]):
            text = "the name is resolved in the background now: 502 from the start until the first answer"
            yield Note(place, text)
        for text in (*lost_connections(before[number]), *_occupied(after.passes[number], settings)):
            yield Note(place, text)
        for line in _unused(before[number], after.passes[number], after):
            yield Note(place, f"`{line}` ({line.place}) stays, and nothing uses it any more")


def is_resolved_in_background(before: PassLocation, after: PassLocation) -> bool:
    """Return whether a name was resolved for each request, and now is by an upstream {}."""
    return not before.upstreams() and any(used.is_resolving for used in after.upstreams())


def lost_connections(each: PassLocation) -> Iterator[str]:
    """Yield what a connection that its server closes in that moment does, where that is not the default."""
    line = each.module_setting("next_upstream")
    conditions = _REPEATED_BY_DEFAULT if line is None else line.args
    if line is not None and "error" not in conditions:
        yield (
            f"`{line}` ({line.place}): a request into a pooled connection that its server is closing is not "
            "sent again: a visible error (502) that new connections do not have"
        )
    elif line is not None and "non_idempotent" in conditions:
        yield (
            f"`{line}` ({line.place}): a POST into a pooled connection that its server is closing is sent "
            "again, and may be served twice"
        )
    buffering = each.module_setting("request_buffering")
    if buffering is not None and buffering.is_off and "error" in conditions:
        yield (
            f"`{buffering}` ({buffering.place}): a request with a body cannot be sent again; into a pooled "
            "connection that its server is closing it is a visible error (502)"
        )


def _unused(before: PassLocation, after: PassLocation, model: Model) -> Iterator[Directive]:
    """Yield the `set` lines, as they were, of variables that only the target of a location named."""
    if model.configuration.missing:
        return
    for name in _variables(before.target) - _variables(after.target):
        if not any(names_variable(words, name) for words in _words(model)):
            lines = (line for level in before.level.up() for line in level.all("set"))
            yield from (line for line in lines if line.args[:1] == (f"${name}",))


def _variables(template: str) -> set[str]:
    return {piece for piece, is_name in pieces(template) if is_name}


def _words(model: Model) -> Iterator[Sequence[str]]:
    """Yield the arguments of each directive, without the names of variables that they define."""
    for level in model.levels:
        for line in level.block:
            defined = line.name in {"set", *DATA_BLOCKS}
            yield line.args[1:] if line.name == "set" else line.args[:1] if defined else line.args
            yield from ((each.name, *each.args) for each in line.block or () if line.name in DATA_BLOCKS)


def _occupied(each: PassLocation, settings: CheckSettings) -> Iterator[str]:
    """Yield pools that were there already, for servers that may have a process per connection."""
    for upstream in each.upstreams():
        reason = PooledServers.of(upstream, each.protocol).one_process_each
        if reason is not None and settings.max_connections_of(upstream.name) is None:
            yield f'{reason}: the pool of upstream "{upstream.name}" has to stay below what its servers have'
