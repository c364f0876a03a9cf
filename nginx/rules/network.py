"""Rules about TCP keep-alive probes and about DNS names of servers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nginx.finding import Severity
from nginx.rules.rule import KEPT, Hit, Rule, RuleContext, location, server
from nginx.upstreams import Upstream

_ADDRESS = re.compile(r"unix:.*|\[.*|[\d.]+(?::\d+)?|localhost(?::\d+)?")


@Rule(
    "NK038",
    "tcp-keepalive-confusion",
    Severity.MEDIUM,
    bad="server { location / { proxy_pass http://10.0.0.1:8080; proxy_socket_keepalive on; } }",
    good=location(KEPT, "proxy_socket_keepalive on;"),
)
def tcp_keepalive(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_socket_keepalive sends TCP probes; it makes no connection reusable.

    It helps long-idle pools behind a NAT or load balancer, and does nothing where connections are not
    reused.
    """
    for each in ctx.model.passes:
        line = each.module_setting("socket_keepalive")
        if line is not None and line.args == ("on",) and ctx.verdict(each).answer == "not reused":
            text = f"{line.name} is about TCP probes: the connections of {each.context} are still not reused"
            yield Hit(line.place, text, "repair what the other findings name", passes=(each,))


@Rule(
    "NK040",
    "dns-resolve-and-pool",
    Severity.LOW,
    bad=server("server app.internal:8080; keepalive 64;"),
    good=server("server 10.0.0.1:8080; keepalive 64;"),
)
def pinned_names(ctx: RuleContext) -> Iterator[Hit]:
    """The servers are names: resolved once at the start, and pooled connections stay with the old address.

    `server NAME resolve;` follows DNS since 1.27.3 and needs `zone` and a resolver; keepalive_time (1 h)
    bounds how long a connection stays.
    """
    for upstream, _ in ctx.pooled():
        line = next((line for line in upstream.servers if "resolve" in line.args), None)
        if line is not None and (refusal := _refusal(ctx, upstream)) is not None:
            text, fix = refusal
            yield Hit(line.place, f"`{line}`: {text}", fix, severity=Severity.ERROR)
            continue
        named = [s for s in upstream.servers if s.args and not _ADDRESS.fullmatch(s.args[0])]
        for line in named[:1]:
            if "resolve" not in line.args:
                text = f"{line.args[0]} is resolved once, at the start or reload"
                yield Hit(line.place, text, "add `resolve` with `zone` and a resolver (since 1.27.3)")


def _refusal(ctx: RuleContext, upstream: Upstream) -> tuple[str, str] | None:
    """Return why nginx refuses `resolve` in an upstream {} and the fix; None if it accepts it."""
    name = upstream.name
    if upstream.directive.child("zone") is None:
        text = f'resolving at run time requires upstream "{name}" to be in shared memory'
        return text, f"add `zone {name} 64k;`"
    if _lacks_resolver(ctx, upstream):
        return "no resolver is defined to resolve it at run time", "add `resolver ADDRESS;` in http {}"
    return None


def _lacks_resolver(ctx: RuleContext, upstream: Upstream) -> bool:
    """Return whether no resolver is in force for an upstream; a fragment leaves that open."""
    given = upstream.directive.child("resolver") or ctx.model.http.last("resolver")
    return given is None and not ctx.model.configuration.is_fragment
