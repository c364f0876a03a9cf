"""Rules about what lies below HTTP: TCP's own keep-alive, and names that are resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nginx.finding import Severity
from nginx.rules.rule import Case, Hit, rule
from nginx.tree import Directive
from nginx.upstreams import Upstream

_KEPT = 'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";'
_ADDRESS = re.compile(r"unix:.*|\[.*|[\d.]+(?::\d+)?|localhost(?::\d+)?")


@rule(
    "NK038",
    "tcp-keepalive-confusion",
    Severity.MEDIUM,
    bad="server { location / { proxy_pass http://10.0.0.1:8080; proxy_socket_keepalive on; } }",
    good=f"""
        upstream app {{ server 10.0.0.1:8080; keepalive 64; }}
        server {{ location / {{ {_KEPT} proxy_socket_keepalive on; }} }}
    """,
)
def tcp_keepalive(case: Case) -> Iterator[Hit]:
    """proxy_socket_keepalive sends TCP probes; it makes no connection reusable.

    It helps long-idle pools behind a NAT or load balancer, and does nothing where connections are not
    reused.
    """
    for each in case.model.passes:
        line = each.own("socket_keepalive")
        if line is not None and line.args == ("on",) and case.verdict(each).answer == "not reused":
            text = f"{line.name} is about TCP probes: the connections of {each.context} are still not reused"
            yield Hit(line.place, text, "repair what the other findings name", passes=(each,))


@rule(
    "NK040",
    "dns-resolve-and-pool",
    Severity.LOW,
    bad=f"""
        upstream app {{ server app.internal:8080; keepalive 64; }}
        server {{ location / {{ {_KEPT} }} }}
    """,
    good=f"""
        upstream app {{ server 10.0.0.1:8080; keepalive 64; }}
        server {{ location / {{ {_KEPT} }} }}
    """,
)
def pinned_names(case: Case) -> Iterator[Hit]:
    """The servers are names: resolved once at the start, and pooled connections stay with the old address.

    `server NAME resolve;` follows DNS since 1.27.3 and needs `zone` and a resolver; keepalive_time (1 h)
    bounds how long a connection stays.
    """
    for upstream, _ in case.pooled():
        if upstream.directive.child("zone") is None and (line := _resolving(upstream)) is not None:
            text = (
                f'`{line}`: resolving at run time requires upstream "{upstream.name}" to be in shared memory'
            )
            yield Hit(line.place, text, f"add `zone {upstream.name} 64k;`", severity=Severity.ERROR)
            continue
        if (line := _resolving(upstream)) is not None and _lacks_resolver(case, upstream):
            text = f"`{line}`: no resolver is defined to resolve it at run time"
            yield Hit(line.place, text, "add `resolver ADDRESS;` in http {}", severity=Severity.ERROR)
            continue
        named = [s for s in upstream.servers if s.args and not _ADDRESS.fullmatch(s.args[0])]
        for line in named[:1]:
            if "resolve" not in line.args:
                text = f"{line.args[0]} is resolved once, at the start or reload"
                yield Hit(line.place, text, "add `resolve` with `zone` and a resolver (since 1.27.3)")


def _resolving(upstream: Upstream) -> Directive | None:
    return next((line for line in upstream.servers if "resolve" in line.args), None)


def _lacks_resolver(case: Case, upstream: Upstream) -> bool:
    """Tells whether no resolver is in force for an upstream; a fragment leaves that open."""
    given = upstream.directive.child("resolver") or case.model.http.last("resolver")
    return given is None and not case.model.configuration.is_fragment
