"""What modules that are not part of nginx do to upstream connections, as far as it is known by their names.

Sources: the documents of NGINX Plus, OpenResty's lua-resty-core (ngx.balancer), Tengine, and of the modules
themselves.
"""

import re
from collections.abc import Iterator

from nginx.tree import Directive


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NGINX = _names(
    """include server zone state hash ip_hash least_conn least_time random sticky sticky_cookie_insert queue
    keepalive keepalive_requests keepalive_time keepalive_timeout resolver resolver_timeout"""
)
"""The directives of nginx and NGINX Plus in upstream {}, without `ntlm`."""

BALANCERS = _names("fair vnswrr consistent_hash session_sticky ewma")
"""Balancing methods of other modules: they choose a server and leave connections to the pool."""

_HARMLESS = _names(
    """check check_http_send check_http_expect_alive check_keepalive_requests check_fastcgi_param
    check_shm_size dynamic_resolve session_sticky_hide_cookie ntlm_timeout"""
)
"""Directives of other modules that change nothing about connections: health checks, lookups, times."""

_NO_PASSES = _names("upload_pass")
"""Directives whose names end as those of passes do, but that pass to a location of nginx itself."""

_OWN_POOL = re.compile(r"\benable_keepalive\b")
_CHOOSES_PEER = re.compile(r"\bset_current_peer\b")
_CHANGES_UPSTREAMS = re.compile(r"\bngx\.dyups\b")


def is_pass(directive: Directive) -> bool:
    """Return whether a directive that is not nginx's passes requests to a server, by its name."""
    return directive.name.endswith("_pass") and bool(directive.args) and directive.name not in _NO_PASSES


def changes_upstreams(directive: Directive) -> bool:
    """Return whether upstreams can be changed at run time through a directive: they lose their pools then."""
    if directive.name == "dyups_interface":
        return True
    return "_by_lua" in directive.name and _CHANGES_UPSTREAMS.search(lua_of(directive)) is not None


def lua_of(directive: Directive) -> str:
    """Return the Lua code in a directive, in a block or in quotes."""
    return directive.lua or " ".join(directive.args)


def deciding_lines(block: Directive) -> Iterator[tuple[Directive, str]]:
    """Yield the lines of an upstream {} that decide about its connections in an unknown way, and why."""
    known = _NGINX | BALANCERS | _HARMLESS
    has_pool = any(line.args[:1] != ("0",) for line in block.children("keepalive"))
    is_behind_pool = False
    for line in block.block or ():
        is_behind_pool = is_behind_pool or line.name == "keepalive"
        if line.name == "ntlm":
            if not has_pool:
                yield line, "which keeps a connection only for the client that has authenticated on it"
        elif line.name.startswith("balancer_by_lua"):
            if _OWN_POOL.search(lua_of(line)):
                yield line, "whose Lua keeps connections itself (enable_keepalive)"
            elif not has_pool and not _CHOOSES_PEER.search(lua_of(line)):
                yield line, "whose Lua may keep connections itself"
        elif line.name == "jdomain":
            if is_behind_pool:
                yield line, "which takes the pool's place in some of its forms: it belongs before keepalive"
        elif line.name not in known:
            yield line, "whose module is not part of nginx"
