"""Rules about the target of proxy_pass and its like: an address, a variable, or the wrong upstream {}."""

import difflib
import re
from collections.abc import Iterator

from nginx.finding import Severity
from nginx.model import PassLocation
from nginx.rules.rule import KEEPALIVE_LINES, Hit, Rule, RuleContext, location
from nginx.targets import Target, TargetKind
from nginx.tree import Directive
from nginx.unshareable import unshareable
from nginx.upstreams import Upstream, is_balancer
from nginx.values import has_variables, pieces


@Rule(
    "NK006",
    Severity.HIGH,
    about_reuse=True,
    bad="server { location / { proxy_pass http://127.0.0.1:8080; } }",
)
def literal_proxy_pass(ctx: RuleContext) -> Iterator[Hit]:
    """The target is an address or a host, not an upstream {}: never pooled, on any version of nginx.

    nginx makes an implicit upstream for it, and the keep-alive module skips implicit upstreams, also
    since 1.29.7. Only an upstream {} by name has a pool.
    """
    for each in ctx.model.passes:
        if each.unresolved or not each.may_be_pooled or has_variables_in_host(each):
            continue
        if any(target.kind is TargetKind.ADDRESS for target in each.targets):
            text = f"{each.target} is no upstream {{}}: nginx never pools its connections"
            yield Hit(each.directive.place, text, _declaration(each, each.targets[0]), passes=(each,))


def _declaration(each: PassLocation, target: Target) -> str:
    has_host = each.protocol != "http" or each.connection.lines_of("host")
    host = "" if has_host else f" and add `proxy_set_header Host {target.host_field};`"
    return (
        f"declare `upstream NAME {{ server {target.server}; keepalive 32; }}`, write NAME for the address"
        f"{host}; see `bench fix`"
    )


@Rule(
    "NK007",
    Severity.MEDIUM,
    about_reuse=True,
    bad="""
        server {
            resolver 127.0.0.53;
            location / { set $backend "http://app.internal:8080"; proxy_pass $backend; }
        }
    """,
    good=location("proxy_pass http://app$request_uri;", KEEPALIVE_LINES),
)
def variable_proxy_pass(ctx: RuleContext) -> Iterator[Hit]:
    """The host of the target is a variable: pooled only if every value names an upstream {}.

    The host is looked up among the upstreams for each request; what is none is resolved for that request
    alone, and never pooled. A port in the value never matches an upstream {}. Variables that are meant
    to follow DNS switch reuse off; `server NAME resolve;` in an upstream {} with a `zone` (since 1.27.3)
    follows DNS and keeps the pool. Without a resolver each such request ends in 502, also where only the
    path is a variable.
    """
    for each in ctx.model.passes:
        if each.unresolved:
            yield _without_resolver(each)
        if each.unresolved or not each.may_be_pooled or not has_variables_in_host(each):
            continue
        outside = [target for target in each.targets if target.kind is not TargetKind.UPSTREAM]
        if not outside:
            continue
        certain = all(target.kind is TargetKind.ADDRESS for target in each.targets)
        what = ", ".join(target.text for target in outside)
        yield Hit(
            each.directive.place,
            f"the target {each.target} {'is' if certain else 'may be'} {what}: no upstream {{}}, so no pool",
            "name an upstream {}; to follow DNS use `server NAME resolve;` in it, with `zone` (since 1.27.3)",
            severity=Severity.HIGH if certain else Severity.MEDIUM,
            passes=(each,),
        )


def _without_resolver(each: PassLocation) -> Hit:
    names = ", ".join(each.unresolved)
    text = "nginx answers 502: a target with a variable is looked up for each request, and no resolver is in "
    text += f"force for {names}"
    fix = "add a resolver, or name an upstream {} whose `server` is that name"
    return Hit(each.directive.place, text, fix, Severity.HIGH, passes=(each,))


_HOST_AND_PORT = re.compile(r"(?:[^:]+|\[.*\]):\d+|unix:.*")


def has_variables_in_host(each: PassLocation) -> bool:
    """Return whether the host part of a target depends on a variable."""
    if not has_variables(each.target):
        return False
    text = ""
    for piece, is_name in pieces(each.target):
        if is_name:
            rest = text.partition("://")[2]
            if "/" in rest or _HOST_AND_PORT.fullmatch(rest):
                return False
            return not rest or all(t.host.lower() != rest.lower() for t in each.targets)
        text += piece
    return False


@Rule(
    "NK051",
    Severity.LOW,
    bad="""
        upstream back-end { server 10.0.0.1:8080; keepalive 64; }
        server { location / { proxy_pass http://backend; } }
    """,
)
def pool_in_wrong_group(ctx: RuleContext) -> Iterator[Hit]:
    """An unused pool: an upstream {} without users, two with the same servers, or a misspelt name.

    A name that matches no upstream {} is silently taken for a host.
    """
    if not ctx.model.passes:
        return
    unused = [u for u in ctx.model.upstreams if u.keepalive is not None and not _named_anywhere(ctx, u)]
    hosts = {t.host.lower(): e for e in ctx.model.passes for t in e.targets if t.kind is TargetKind.ADDRESS}
    for upstream in unused:
        close = difflib.get_close_matches(upstream.name.lower(), hosts, n=1, cutoff=0.8)
        text = f'nothing passes to upstream "{upstream.name}", so its pool is never used'
        if close:
            each = hosts[close[0]]
            text += f"; {each.target} at {each.directive.place} looks like it but is taken for a host"
        yield Hit(upstream.keepalive_place(), text, "pass to it by its exact name, or remove it")
    yield from _split_pools(ctx)


def _named_anywhere(ctx: RuleContext, upstream: Upstream) -> bool:
    return any(
        target.upstream is upstream or target.kind is TargetKind.UNKNOWN
        for each in ctx.model.passes
        for target in each.targets
    )


def _split_pools(ctx: RuleContext) -> Iterator[Hit]:
    """Yield pools to the same servers that one upstream {} could hold: nothing in their use differs."""
    by_use: dict[tuple[object, ...], Upstream] = {}
    for upstream, _ in ctx.pooled():
        servers = sorted(tuple(map(str.lower, line.args)) for line in upstream.servers)
        if not servers or not all(map(_is_real, upstream.servers)) or _chooses_itself(upstream):
            continue
        methods = tuple(str(d) for d in upstream.directive.block or () if is_balancer(d))
        uses = frozenset(_use(ctx, each) for each in ctx.model.users(upstream))
        other = by_use.setdefault((tuple(servers), methods, uses), upstream)
        if other is not upstream:
            text = f'upstream "{upstream.name}" has the same servers as "{other.name}": their pools are apart'
            fix = f'pass to "{other.name}" here too, and remove "{upstream.name}"'
            yield Hit(upstream.directive.place, text, fix, related=(other.directive,))


_PLACEHOLDER = re.compile(r"0\.0\.0\.\d+(?::\d+)?")


def _is_real(server: Directive) -> bool:
    """Return whether a `server` line names a server, and not what a template or Lua puts in its place."""
    address = server.args[0] if server.args else ""
    return bool(address) and not has_variables(address) and _PLACEHOLDER.fullmatch(address) is None


def _chooses_itself(upstream: Upstream) -> bool:
    """Return whether something else than its `server` lines decides where an upstream connects to."""
    return any(d.name.startswith("balancer_by_lua") for d in upstream.directive.block or ())


_IDENTITY = ("bind", "ssl_name", "ssl_server_name", "ssl_certificate", "ssl_verify")


def _use(ctx: RuleContext, each: PassLocation) -> tuple[object, ...]:
    """Return what has to be the same in two locations, so that they can share connections."""
    settings = tuple(str(each.module_setting(name)) for name in _IDENTITY)
    is_tls = tuple(sorted({str(target.is_tls) for target in each.targets}))
    http = each.http.effective(ctx.version) if each.protocol == "http" else ""
    return each.protocol, http, is_tls, settings, ctx.verdict(each).answer, unshareable(each) is None
