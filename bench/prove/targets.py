"""Replace the target of a pass directive by a backend of this run, or an upstream {} of them. Pure.

Whether the target names an upstream {} or an address, and whether it is written out or comes from a
variable, stays as it was: that decides about reuse.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bench.prove import allowlist
from bench.prove.changes import ChangeLog
from bench.prove.inventory import Inventory, Location, Peer, possible_upstreams
from nginx.model import Model
from nginx.tree import Directive
from nginx.upstreams import Upstream

_PLAIN_SCHEMES = {"http": "http", "grpc": "grpc"}
_TLS_SCHEMES = {"http": "https", "grpc": "grpcs", "uwsgi": "suwsgi"}
Addresses = Mapping[Peer, Sequence[str]]
"""Of one location: for each peer, one address for all servers of its upstream {}, or one for each."""
NOWHERE = "127.0.0.1:9"
"""An address where nothing listens (the discard service)."""


Replacement = tuple[Directive, list[Directive]]
"""What replaces a pass directive, and the blocks that it needs in http {}."""


def replace_target(location: Location, addresses: Addresses, log: ChangeLog, model: Model) -> Replacement:
    """Return what passes requests to the backends of this location, at `addresses`."""
    line = location.pass_location.directive
    if location.obstacle is not None:
        return replace(line, args=(nowhere(location.pass_location.protocol),)), []
    parts = _split_target(line.args[0])
    if parts is None:
        return _by_variable(location, addresses, log, model)
    return _as_written(location, parts, addresses, log)


def nowhere(protocol: str) -> str:
    """Return the argument of a pass directive that leads nowhere."""
    scheme = _PLAIN_SCHEMES.get(protocol)
    return f"{scheme}://{NOWHERE}" if scheme else NOWHERE


def _split_target(target: str) -> tuple[str, str, str] | None:
    """Return scheme, authority and rest of a target; None where variables decide about its address."""
    scheme, separator, rest = target.partition("://")
    if not (separator and scheme.isalpha()):
        scheme, separator, rest = "", "", target
    if rest.startswith("unix:"):
        path, _, uri = rest.removeprefix("unix:").partition(":")
        authority, rest = f"unix:{path}", uri
    else:
        authority = re.split(r"[/?]", rest, maxsplit=1)[0]
        rest = rest.removeprefix(authority)
    return None if "$" in authority else (scheme + separator, authority, rest)


def _as_written(
    location: Location, parts: tuple[str, str, str], addresses: Addresses, log: ChangeLog
) -> Replacement:
    line, target = location.pass_location.directive, location.pass_location.targets[0]
    peer = next(peer for peer in location.peers if peer.is_tls == bool(target.is_tls))
    blocks = []
    (scheme, _, rest), authority = parts, addresses[peer][0]
    if target.upstream is not None:
        authority = f"bench_{location.number}"
        blocks.append(_upstream(target.upstream, authority, addresses[peer], log))
    else:
        log.record("replaced", "address", "a backend of this run", line.place)
    return replace(line, args=(f"{scheme}{authority}{rest}", *line.args[1:])), blocks


# A target that a request evaluates


def lacks_resolver(location: Location, model: Model) -> bool:
    """Return whether nginx cannot resolve a name in the target of a location, which is then a 502."""
    configuration = model.configuration
    is_whole = not configuration.is_fragment and not configuration.missing
    return is_whole and location.pass_location.level.inherited("resolver") is None


_NO_NAME = r"(?:[0-9.]+|\[[0-9a-f:.]+\])(?::[0-9]+)?|unix:[^:]*"
"""The address of a peer for which nothing is to be resolved."""


def _by_variable(location: Location, addresses: Addresses, log: ChangeLog, model: Model) -> Replacement:
    """Return a target that is evaluated as before and then mapped to what it names."""
    line = location.pass_location.directive
    log.record("replaced", "address", "a backend of this run", line.place)
    blocks: list[Directive] = []
    # What is no address nor an upstream {} stays as it is where nginx cannot resolve it.
    default = line.args[0] if lacks_resolver(location, model) else ""
    entries = [Directive("default", (default,), line.place)]
    upstreams = list(possible_upstreams(location.pass_location))
    for peer in location.peers:
        for number, upstream in enumerate(upstreams, 1):
            name = f"bench_{location.number}_{number}{'_tls' if peer.is_tls else ''}"
            blocks.append(_upstream(upstream, name, addresses[peer], log))
            entries.append(_entry(location, peer, re.escape(upstream.name), name))
        authority = _NO_NAME if lacks_resolver(location, model) else "[^/?]+"
        entries.append(_entry(location, peer, authority, addresses[peer][0]))
    variable = f"$bench_pass_{location.number}"
    blocks.append(Directive("map", (line.args[0], variable), line.place, block=tuple(entries)))
    return replace(line, args=(variable, *line.args[1:])), blocks


def _entry(location: Location, peer: Peer, authority: str, to: str) -> Directive:
    protocol, rest = location.pass_location.protocol, f"bench_rest_{location.number}"
    scheme = (_TLS_SCHEMES if peer.is_tls else _PLAIN_SCHEMES).get(protocol)
    is_optional = protocol != "http" and not peer.is_tls
    prefix = "" if scheme is None else (f"(?:{scheme}://)?" if is_optional else f"{scheme}://")
    pattern = f"~*^{prefix}{authority}(?<{rest}>[/?].*)?$"
    shown = "" if scheme is None else f"{scheme}://"
    # Only HTTP has a URI after the address.
    value = f"{shown}{to}${rest}" if protocol == "http" else f"{shown}{to}"
    return Directive(pattern, (value,), location.pass_location.directive.place)


# The upstream {}


def share_upstream(directive: Directive, blocks: Sequence[Directive], number: int, group: int) -> Replacement:
    """Return what passes to the upstream {} of a group instead of to that of location `number`."""
    own, name = f"bench_{number}", f"bench_shared_{group}"
    target = re.sub(rf"\b{own}\b", name, directive.args[0])
    renamed = [replace(block, args=(name,)) if block.args == (own,) else block for block in blocks]
    return replace(directive, args=(target, *directive.args[1:])), renamed


def unused_upstream(line: Directive, inventory: Inventory) -> Iterator[Directive]:
    """Yield an upstream {} that no location uses, so that nginx judges it, too."""
    used = {
        id(upstream.directive)
        for location in inventory.locations
        for upstream in possible_upstreams(location.pass_location)
    }
    if id(line) not in used and line.args:
        yield _upstream(Upstream(line), line.args[0], [NOWHERE], ChangeLog())


def deciding_lines(location: Location, model: Model) -> tuple[Directive, ...]:
    """Return what is left out and may decide about a location's pool.

    That is what a module of others has in its upstream {}, and what replaces its servers at run time.
    """
    upstreams = possible_upstreams(location.pass_location)
    lines = [line for upstream in upstreams for line in upstream.directive.block or ()]
    found = [line for line in lines if not _stays_or_is_harmless(line.name)]
    if upstreams:
        found += [line for level in model.levels for name in allowlist.RUN_TIME for line in level.all(name)]
    return tuple(found)


def _stays_or_is_harmless(name: str) -> bool:
    known = allowlist.UPSTREAM | allowlist.HARMLESS_UPSTREAM | {"server", "include"}
    return name in known or allowlist.is_odd(name)


def _upstream(upstream: Upstream, name: str, addresses: Sequence[str], log: ChangeLog) -> Directive:
    """Return a copy of an upstream {} for this location alone, with the same pool."""
    block = upstream.directive
    lines = list(_upstream_lines(block, name, addresses, log))
    may_have_servers = any(line.name not in allowlist.UPSTREAM for line in block.block or ())
    if may_have_servers and not any(line.name == "server" for line in lines):
        log.record("replaced", "server", "a backend of this run", block.place)
        lines.insert(0, Directive("server", (addresses[0],), block.place))
    return replace(block, args=(name,), block=tuple(lines))


def _upstream_lines(
    block: Directive, name: str, addresses: Sequence[str], log: ChangeLog
) -> Iterator[Directive]:
    servers, number = len(list(block.children("server"))), 0
    for line in block.block or ():
        if line.name == "server":
            log.record("replaced", "server", _server_reason(servers), line.place)
            yield replace(line, args=(addresses[number % len(addresses)], *_parameters(line, log)))
            number += 1
        elif line.name == "zone":
            yield replace(line, args=(name, *line.args[1:]))
        elif line.name in allowlist.UPSTREAM or allowlist.is_odd(line.name):
            yield line
        else:
            log.record("left out", line.name, allowlist.why_left_out(line.name), line.place)


def _server_reason(servers: int) -> str:
    if servers == 1:
        return "a backend of this run"
    return (
        "all servers of an upstream {} are one backend, so that load balancing does not hide the pool; "
        "for load balancing, each has a backend of its own"
    )


def _parameters(line: Directive, log: ChangeLog) -> Iterator[str]:
    for parameter in line.args[1:]:
        if parameter.startswith("service="):
            log.record(
                "left out", f"server ... {parameter}", "no name is resolved: it is an address now", line.place
            )
        else:
            yield parameter
