"""Find the targets that nginx would look up for each request, but cannot: no resolver is in force.

A target with a variable anywhere in it is found among the upstreams, explicit or made for the literal target
of another pass, or it is an address; else its name needs a resolver, and the answer is 502 without one.
Source: ngx_http_upstream_init_request() in src/http/ngx_http_upstream.c at release-1.22.1.
"""

import re
from collections.abc import Iterable

from nginx.inheritance import Level
from nginx.targets import HOLE, Target, TargetKind
from nginx.values import has_variables

_ADDRESS = re.compile(r"\[.*\]|\d+(?:\.\d+){3}")
_Endpoint = tuple[str, str]


def unresolved_names(
    text: str, targets: Iterable[Target], level: Level, literal: frozenset[_Endpoint]
) -> tuple[str, ...]:
    """Return the names in a pass's target that nothing resolves.

    Args:
        text: the target as written.
        targets: what it can mean.
        level: the block that holds the pass.
        literal: the endpoints of the literal targets, for which nginx has upstreams of its own.
    """
    if not has_variables(text) or level.inherited("resolver") is not None:
        return ()
    if any(outer.last("include") for outer in level.up()):
        return ()  # a missing file may hold a resolver
    names = [target for target in targets if _is_looked_up(target) and endpoint(target) not in literal]
    return tuple(dict.fromkeys(target.text if HOLE in target.host else target.host for target in names))


def _is_looked_up(target: Target) -> bool:
    is_name = not target.is_unix and bool(target.host) and _ADDRESS.fullmatch(target.host) is None
    return target.kind is TargetKind.ADDRESS and is_name


def endpoint(target: Target) -> _Endpoint:
    """Return the host, in lower case, and the port of a target."""
    port = target.authority.removeprefix(target.host).removeprefix(":") if target.has_port else ""
    return target.host.lower(), port or ("443" if target.is_tls else "80")
