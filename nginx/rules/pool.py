"""Rules about `keepalive` in an upstream {}: whether it makes a pool, whether that fills, and with what."""

import re
from collections.abc import Iterator

from nginx import versions
from nginx.finding import Severity
from nginx.model import PassLocation
from nginx.pool_share import FEW_REQUESTS
from nginx.refusals.resolving import unresolvable
from nginx.rules.rule import Hit, Rule, RuleContext, server
from nginx.unshareable import unshareable
from nginx.upstreams import Upstream, is_balancer

_FILLED_IN = re.compile(r"\$\{?\w+\}?(?::.*)?")
"""A host that is filled in as a whole: it may be an address as well."""
_ENOUGH_REQUESTS = 1000
"""The default of keepalive_requests since 1.19.10."""
_FEW_BY_DEFAULT = 100
"""The default from 1.15.3 to 1.19.9."""
_ADDRESS = re.compile(r"unix:.*|\[.*|[\d.]+(?::\d+)?|localhost(?::\d+)?")


@Rule(
    "NK001",
    Severity.HIGH,
    about_reuse=True,
    bad=server("server 10.0.0.1:8080;"),
)
def upstream_without_keepalive(ctx: RuleContext) -> Iterator[Hit]:
    """An upstream that is passed to has no `keepalive`, so each request opens a connection of its own.

    Before 1.29.7 a pool exists only where `keepalive N` asks for it. Each request then costs a TCP (and
    TLS) handshake and leaves a TIME_WAIT, and connecting fails with errno 99 at about 470 new connections
    a second per server address.
    """
    if ctx.version >= versions.POOL_BY_DEFAULT:
        return
    for upstream in ctx.model.upstreams:
        users = tuple(each for each in ctx.model.users(upstream) if each.may_be_pooled)
        if users and upstream.keepalive is None and not upstream.missing and not upstream.deciding_lines:
            text = f'upstream "{upstream.name}" has no keepalive: every request opens a new connection'
            behind = f" behind {upstream.balancer}" if upstream.balancer else ""
            fix = f"add `keepalive 32;` (idle connections per worker){behind}"
            related = tuple(each.directive for each in users)
            yield Hit(upstream.directive.place, text, fix, related=related, passes=users)


@Rule(
    "NK008",
    Severity.HIGH,
    about_reuse=True,
    bad=server("server 10.0.0.1:8080; keepalive 64; least_conn;"),
    good=server("least_conn; server 10.0.0.1:8080; keepalive 64;"),
)
def lb_method_after_keepalive(ctx: RuleContext) -> Iterator[Hit]:
    """A load-balancing method behind `keepalive` takes the pool's place: it silently disappears.

    Before 1.29.7 both set the same handler and the later one wins; `nginx -t` only warns "load balancing
    method redefined". Since 1.29.7 the order does not matter.
    """
    for upstream in ctx.model.upstreams:
        yield from _replaced_balancer(upstream)
        balancer = upstream.balancer_after_keepalive()
        if balancer is None or upstream.keepalive is None:
            continue
        old = ctx.version < versions.POOL_BY_DEFAULT
        effect = "the pool is gone" if old else "harmless here, but before 1.29.7 the pool would be gone"
        text = f'{balancer.name} stands behind keepalive in upstream "{upstream.name}": {effect}'
        fix, severity = f"move {balancer.name} above keepalive", None if old else Severity.INFO
        users = tuple(ctx.model.users(upstream))
        yield Hit(balancer.place, text, fix, severity, (upstream.keepalive,), users)


def _replaced_balancer(upstream: Upstream) -> Iterator[Hit]:
    """Yield a second balancing method, which takes the first one's place (`sticky` goes on top of one)."""
    methods = [d for d in upstream.directive.block or () if is_balancer(d) and d.name != "sticky"]
    if len(methods) > 1:
        first, last = methods[0], methods[-1]
        text = f'{last.name} takes the place of {first.name} in upstream "{upstream.name}": the last one wins'
        fix = f"keep `{last}`, which is in force, and remove `{first}` ({first.place})"
        yield Hit(last.place, text, fix, Severity.LOW, (first,))


@Rule(
    "NK015",
    Severity.ERROR,
    about_reuse=True,
    bad=server("server 10.0.0.1:8080; keepalive 0;"),
)
def keepalive_zero(ctx: RuleContext) -> Iterator[Hit]:
    """`keepalive` has a value that this version refuses, or one that switches the pool off.

    `keepalive 0` and `keepalive N local` are refused before 1.29.7; since then 0 switches the pool off.
    Sizes such as `1k` or `auto` are refused everywhere.
    """
    for upstream in ctx.model.upstreams:
        line = upstream.keepalive
        if line is None or upstream.size_to_fill_in is not None:
            continue
        users = tuple(ctx.model.users(upstream))
        size, old = line.number, ctx.version < versions.POOL_BY_DEFAULT
        if size is None or (old and size == 0):
            invalid = f'nginx refuses `{line}`: invalid value "{line.args[0]}"' if line.args else ""
            text = invalid or f"`{line}` has no value"
            fix = "write the number of idle connections per worker"
            if size == 0 and users and all(map(unshareable, users)):
                fix = "remove it: before 1.29.7 nothing is pooled without it"
            yield Hit(line.place, text, fix, passes=users)
        elif len(line.args) > 1 and (old or line.args[1:] != ("local",)):
            text = f"nginx refuses `{line}`" + (": `local` came with 1.29.7" if "local" in line.args else "")
            yield Hit(line.place, text, f"write `keepalive {line.args[0]};`", passes=users)
        elif size == 0 and users:
            text = f'`keepalive 0` switches the pool of upstream "{upstream.name}" off'
            yield Hit(line.place, text, "give it a size, or leave the line out", Severity.HIGH, passes=users)


@Rule("NK016", Severity.INFO, shown_on="1.31.4", bad=server("server 10.0.0.1:8080;"))
def implicit_32_local(ctx: RuleContext) -> Iterator[Hit]:
    """The pool is `32 local`: 32 idle connections for all locations, which do not share them.

    Since 1.29.7 that is the default of each upstream {}. With more than 32 locations used in turn nothing
    is reused at all: each one evicts another's connection.
    """
    for upstream, pool in ctx.pooled():
        users = tuple(ctx.model.users(upstream))
        if not pool.is_local or (pool.directive is not None and len(users) * 2 < pool.idle):
            continue
        severity = Severity.MEDIUM if len(users) * 2 >= pool.idle else None
        yield Hit(
            pool.directive.place if pool.directive else upstream.directive.place,
            f'upstream "{upstream.name}" keeps {pool.idle} idle connections per worker for '
            f"{len(users)} location{'s' if len(users) != 1 else ''} that do not share them",
            "write `keepalive N;` to share one pool, if TLS and bind settings are the same everywhere",
            severity=Severity.HIGH if len(users) > pool.idle else severity,
            passes=users,
        )


@Rule(
    "NK018",
    Severity.MEDIUM,
    bad=server("server 10.0.0.1:8080; keepalive_requests 1000; keepalive_timeout 60s;"),
    good=server("server 10.0.0.1:8080; keepalive 64; keepalive_requests 1000;"),
)
def keepalive_params_without_pool(ctx: RuleContext) -> Iterator[Hit]:
    """keepalive_requests, keepalive_timeout or keepalive_time in an upstream {} that has no pool.

    Before 1.29.7 they limit a pool and make none: without `keepalive N` they do nothing. Since 1.29.7
    they tune the pool that is there by default.
    """
    for upstream in ctx.model.upstreams:
        if upstream.keepalive is not None:
            continue
        if ctx.version < versions.POOL_BY_DEFAULT:
            effect, fix, severity = "does nothing without `keepalive`", "add `keepalive 32;`", None
        else:
            effect, fix, severity = "tunes the pool that is there by default", "", Severity.INFO
        for name in ("keepalive_requests", "keepalive_timeout", "keepalive_time"):
            if (line := upstream.directive.child(name)) is not None:
                yield Hit(line.place, f"{name} {effect}", fix, severity)


@Rule(
    "NK020",
    Severity.LOW,
    about_reuse=True,
    bad=server("server 10.0.0.1:8080; keepalive 64; keepalive_requests 10;"),
)
def upstream_keepalive_requests_low(ctx: RuleContext) -> Iterator[Hit]:
    """An upstream connection is closed after few requests (`keepalive_requests` in the upstream {}).

    The churn is the request rate divided by it. The default is 100 from 1.15.3 to 1.19.9 and 1000 since;
    1 and 0 mean no reuse at all. So does a keepalive_time or keepalive_timeout that hardly any request meets.
    """
    for upstream in ctx.model.upstreams:
        users = tuple(ctx.model.users(upstream))
        if not users or ctx.version < versions.POOL_LIMITS:
            continue
        yield from _few_requests(ctx, upstream, users)
        brief = upstream.brief_limit(ctx.version)
        if brief is not None:
            is_never = brief.name == "keepalive_timeout" and brief.seconds == 0
            text = "nothing is reused" if is_never else "hardly any request comes soon enough to reuse one"
            fix = f"remove the line: by default it is {'1h' if brief.name == 'keepalive_time' else '60s'}"
            severity = Severity.HIGH if is_never else Severity.MEDIUM
            yield Hit(brief.place, f"`{brief}`: {text}", fix, severity, passes=users)


def _few_requests(ctx: RuleContext, upstream: Upstream, users: tuple[PassLocation, ...]) -> Iterator[Hit]:
    """Yield a limit of requests that is below the default, and below what its servers serve."""
    line = upstream.directive.child("keepalive_requests")
    measured = ctx.settings.request_limit_of(upstream.name, upstream.addresses)
    served = measured.requests if measured is not None else None
    wanted = _ENOUGH_REQUESTS if served is None else min(served, _ENOUGH_REQUESTS)
    if line is None:
        if upstream.keepalive is not None and ctx.version < versions.POOL_TIME and wanted > _FEW_BY_DEFAULT:
            text = f'upstream "{upstream.name}" closes a connection after {_FEW_BY_DEFAULT} requests, '
            text += "the default here"
            yield Hit(upstream.keepalive.place, text, f"add `keepalive_requests {wanted};`")
        return
    if line.number is None or line.number >= max(2, wanted):
        return
    fix = f"raise keepalive_requests to {wanted}{' or more' if served is None or served > wanted else ''}"
    if wanted <= 1:
        fix = "raise the servers' own limit"
    if line.number <= 1:
        yield Hit(line.place, f"`{line}`: nothing is reused", fix, Severity.HIGH, passes=users)
        return
    are_few = line.number <= FEW_REQUESTS
    text = f"`{line}`: a connection is closed after {line.number} requests"
    severity = Severity.MEDIUM if line.number <= 10 else None
    yield Hit(line.place, text, fix, severity, passes=users if are_few else ())


@Rule(
    "NK040",
    Severity.LOW,
    bad=server("server app.internal:8080; keepalive 64;"),
    good=server("server 10.0.0.1:8080; keepalive 64;"),
)
def dns_resolve_and_pool(ctx: RuleContext) -> Iterator[Hit]:
    """The servers are names: resolved once at the start, and pooled connections stay with the old address.

    `server NAME resolve;` follows DNS since 1.27.3 and needs `zone` and a resolver; keepalive_time (1 h)
    bounds how long a connection stays.
    """
    refused = {upstream.name: (line, text, fix) for upstream, line, text, fix in unresolvable(ctx.model)}
    for upstream, _ in ctx.pooled():
        if upstream.name in refused:
            line, text, fix = refused[upstream.name]
            yield Hit(line.place, f"`{line}`: {text}", fix, severity=Severity.ERROR)
            continue
        named = [s for s in upstream.servers if s.args and _is_name(s.args[0])]
        for line in named[:1]:
            if "resolve" not in line.args:
                text = f"{line.args[0]} is resolved once, at the start or reload"
                yield Hit(line.place, text, "add `resolve` with `zone` and a resolver (since 1.27.3)")


def _is_name(address: str) -> bool:
    return not _ADDRESS.fullmatch(address) and not _FILLED_IN.fullmatch(address)
