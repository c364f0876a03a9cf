"""Lines that an nginx no longer needs, because its defaults say the same. Pure.

Since 1.29.7 nginx sends HTTP/1.1 without a Connection field and keeps 32 connections for each location that
uses an upstream {}. What reading shows to be the same, the upgrade proof runs without.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from bench.prove.edited_model import without
from bench.prove.inventory import possible_upstreams
from nginx import versions
from nginx.model import Model, PassLocation
from nginx.tree import Directive
from nginx.upstream_request import names_connection
from nginx.upstreams import IMPLICIT_IDLE
from nginx.versions import Version


def find_workarounds(model: Model, version: Version) -> list[Directive]:
    """Return the lines without which this nginx sends and keeps the same."""
    if version < versions.POOL_BY_DEFAULT:
        return []
    written = [*_request_lines(model), *_pool_lines(model, version)]
    return _superfluous(model, version, written)


def affects(line: Directive, passing: PassLocation) -> bool:
    """Return whether a line stands where it may decide about a location: around it, or in its upstream {}."""
    around = any(line is each for level in passing.level.up() for each in level.all(line.name))
    blocks = [upstream.directive for upstream in possible_upstreams(passing)]
    return around or any(line is each for block in blocks for each in block.children(line.name))


def _request_lines(model: Model) -> Iterator[Directive]:
    for level in model.levels:
        yield from (line for line in level.all("proxy_http_version") if line.args == ("1.1",))
        yield from (
            line for line in level.all("proxy_set_header") if names_connection(line) and not line.args[1]
        )


def _pool_lines(model: Model, version: Version) -> Iterator[Directive]:
    for upstream in model.upstreams:
        line, pool = upstream.keepalive, upstream.pool(version)
        if line is None or pool is None or pool.idle != IMPLICIT_IDLE:
            continue  # another number is a decision about the servers, in either direction
        # The default pool is each location's own: a second location would find none of the connections.
        if pool.is_local or len({id(each.level) for each in model.users(upstream)}) == 1:
            yield line


def _superfluous(model: Model, version: Version, lines: Sequence[Directive]) -> list[Directive]:
    """Return those of some lines without which every location sends the same."""
    if not lines or _sent(without(model, lines), version) == _sent(model, version):
        return list(lines)
    if len(lines) == 1:
        return []
    middle = len(lines) // 2
    found: list[Directive] = []
    for half in (lines[:middle], lines[middle:]):
        alone = _superfluous(model, version, half)
        # Two lines may stand for each other: one of them has to stay then.
        together = _sent(without(model, [*found, *alone]), version) == _sent(model, version)
        found += alone if together else []
    return found


def _sent(model: Model, version: Version) -> list[Any]:
    """Return what each location sends: HTTP version, Connection fields, and the other header lines."""
    return [
        (
            each.http.possible(version),
            [list(map(str, fields)) for fields in each.connection.possible(version)],
            [line.args for line in each.connection.header_lines if not names_connection(line)],
        )
        for each in model.passes
    ]
