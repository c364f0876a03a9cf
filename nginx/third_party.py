"""Directives and passes that are not part of nginx: which are known, and what they do to pools."""

from nginx.tree import Directive


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NGINX = _names(
    """include server zone state hash ip_hash least_conn least_time random sticky sticky_cookie_insert queue
    keepalive keepalive_requests keepalive_time keepalive_timeout resolver resolver_timeout"""
)
"""The directives of nginx and NGINX Plus in upstream {}, without `ntlm`."""

BALANCERS = _names("fair vnswrr consistent_hash session_sticky ewma jdomain")
"""Balancing methods of other modules: they choose a server and leave connections to the pool."""

_HARMLESS = _names(
    """check check_http_send check_http_expect_alive check_keepalive_requests check_fastcgi_param
    check_shm_size dynamic_resolve session_sticky_hide_cookie"""
)
"""Directives of other modules that change nothing about connections: health checks, lookups."""


def unknown_lines(block: Directive) -> list[Directive]:
    """Return the lines of an upstream {} about which it is not known what they do to its connections."""
    known = _NGINX | BALANCERS | _HARMLESS
    return [
        line
        for line in block.block or ()
        if line.name not in known and not line.name.startswith("balancer_by_lua")
    ]


_NO_PASSES = _names("upload_pass")
"""Directives whose names end as those of passes do, but that pass to a location of nginx itself."""


def is_pass(directive: Directive) -> bool:
    """Return whether a directive that is not nginx's passes requests to a server, by its name."""
    return directive.name.endswith("_pass") and bool(directive.args) and directive.name not in _NO_PASSES
