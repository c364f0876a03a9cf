"""What stands in the place of a pass directive's target: a backend of this run, or an upstream {} of them.

Whether the target names an upstream {} or an address, and whether it is written out or comes from a
variable, stays as it was: that decides about reuse. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bench.prove import allowlist
from bench.prove.changes import Ledger
from bench.prove.inventory import Peer, Spot, possible_upstreams
from nginx.tree import Directive
from nginx.upstreams import Upstream

_PLAIN_SCHEMES = {"http": "http", "grpc": "grpc"}
_TLS_SCHEMES = {"http": "https", "grpc": "grpcs", "uwsgi": "suwsgi"}
Addresses = Mapping[Peer, Sequence[str]]
"""Of one location: for each peer one address for all servers of its upstream {}, or one for each of them."""
NOWHERE = "127.0.0.1:9"
"""An address where nothing listens (the discard service): for what is never to be passed on."""


@dataclass(slots=True)
class StandIn:
    """The directive to write instead of a pass directive, and what has to stand in http {} for it."""

    directive: Directive
    blocks: list[Directive] = field(default_factory=list)


def stand_in(spot: Spot, addresses: Addresses, ledger: Ledger) -> StandIn:
    """Returns what passes to the backends of this location, at `addresses`."""
    line = spot.location.directive
    if spot.obstacle is not None:
        return StandIn(replace(line, args=(nowhere(spot.location.protocol),)))
    written = _written_out(line.args[0])
    if written is None:
        return _by_variable(spot, addresses, ledger)
    return _as_written(spot, written, addresses, ledger)


def nowhere(protocol: str) -> str:
    """Returns the argument of a pass directive that leads nowhere."""
    scheme = _PLAIN_SCHEMES.get(protocol)
    return f"{scheme}://{NOWHERE}" if scheme else NOWHERE


class _Written(NamedTuple):
    """A target whose address stands in the text; `rest` is what follows it."""

    scheme: str
    authority: str
    rest: str


def _written_out(target: str) -> _Written | None:
    """Returns a target taken apart, or None where variables decide about its address."""
    scheme, separator, rest = target.partition("://")
    if not (separator and scheme.isalpha()):
        scheme, separator, rest = "", "", target
    if rest.startswith("unix:"):
        path, _, uri = rest.removeprefix("unix:").partition(":")
        authority, rest = f"unix:{path}", uri
    else:
        authority = re.split(r"[/?]", rest, maxsplit=1)[0]
        rest = rest.removeprefix(authority)
    return None if "$" in authority else _Written(scheme + separator, authority, rest)


def _as_written(spot: Spot, written: _Written, addresses: Addresses, ledger: Ledger) -> StandIn:
    line, target = spot.location.directive, spot.location.targets[0]
    peer = next(peer for peer in spot.peers if peer.is_tls == bool(target.is_tls))
    blocks = []
    authority = addresses[peer][0]
    if target.upstream is not None:
        authority = f"bench_{spot.number}"
        blocks.append(_upstream(target.upstream, authority, addresses[peer], ledger))
    else:
        ledger.replaced("address", "a backend of this run", line.place)
    return StandIn(replace(line, args=(f"{written.scheme}{authority}{written.rest}", *line.args[1:])), blocks)


# A target that a request evaluates


def _by_variable(spot: Spot, addresses: Addresses, ledger: Ledger) -> StandIn:
    """Returns a target that is evaluated as before, and then led to the upstream {} or address it names."""
    line = spot.location.directive
    ledger.replaced("address", "a backend of this run", line.place)
    blocks: list[Directive] = []
    entries = [Directive("default", ("",), line.place)]
    upstreams = list(possible_upstreams(spot.location))
    for peer in spot.peers:
        for number, upstream in enumerate(upstreams, 1):
            name = f"bench_{spot.number}_{number}{'_tls' if peer.is_tls else ''}"
            blocks.append(_upstream(upstream, name, addresses[peer], ledger))
            entries.append(_entry(spot, peer, re.escape(upstream.name), name))
        entries.append(_entry(spot, peer, "[^/?]+", addresses[peer][0]))
    variable = f"$bench_pass_{spot.number}"
    blocks.append(Directive("map", (line.args[0], variable), line.place, block=tuple(entries)))
    return StandIn(replace(line, args=(variable, *line.args[1:])), blocks)


def _entry(spot: Spot, peer: Peer, authority: str, to: str) -> Directive:
    protocol, rest = spot.location.protocol, f"bench_rest_{spot.number}"
    scheme = (_TLS_SCHEMES if peer.is_tls else _PLAIN_SCHEMES).get(protocol)
    is_optional = protocol != "http" and not peer.is_tls
    prefix = "" if scheme is None else (f"(?:{scheme}://)?" if is_optional else f"{scheme}://")
    pattern = f"~*^{prefix}{authority}(?<{rest}>[/?].*)?$"
    shown = "" if scheme is None else f"{scheme}://"
    # Only HTTP has a URI behind the address.
    value = f"{shown}{to}${rest}" if protocol == "http" else f"{shown}{to}"
    return Directive(pattern, (value,), spot.location.directive.place)


# The upstream {}


def _upstream(upstream: Upstream, name: str, addresses: Sequence[str], ledger: Ledger) -> Directive:
    """Returns a copy of an upstream {} that is this location's own, with the same pool."""
    block = upstream.directive
    lines = list(_upstream_lines(block, name, addresses, ledger))
    if not any(line.name == "server" for line in lines):
        ledger.replaced("server", "a backend of this run", block.place)
        lines.insert(0, Directive("server", (addresses[0],), block.place))
    return replace(block, args=(name,), block=tuple(lines))


def _upstream_lines(
    block: Directive, name: str, addresses: Sequence[str], ledger: Ledger
) -> Iterator[Directive]:
    servers, number = len(list(block.children("server"))), 0
    for line in block.block or ():
        if line.name == "server":
            ledger.replaced("server", _server_reason(servers), line.place)
            yield replace(line, args=(addresses[number % len(addresses)], *_parameters(line, ledger)))
            number += 1
        elif line.name == "zone":
            yield replace(line, args=(name, *line.args[1:]))
        elif line.name in allowlist.UPSTREAM:
            yield line
        else:
            ledger.left_out(line.name, allowlist.why_left_out(line.name), line.place)


def _server_reason(servers: int) -> str:
    if servers == 1:
        return "a backend of this run"
    return (
        "all servers of an upstream {} are one backend, so that taking turns does not hide the pool; "
        "in turn, each is one of its own"
    )


def _parameters(line: Directive, ledger: Ledger) -> Iterator[str]:
    for parameter in line.args[1:]:
        if parameter.startswith("service="):
            ledger.left_out(
                f"server ... {parameter}", "no name is looked up: it is an address now", line.place
            )
        else:
            yield parameter
