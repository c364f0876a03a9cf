"""Rules about the pool: whether the target has one, and whether it can fill."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from nginx import versions
from nginx.finding import Severity
from nginx.model import PassLocation
from nginx.rules.rule import Case, Hit, rule, said_at
from nginx.targets import Group, Target
from nginx.upstreams import Upstream, is_balancer
from nginx.values import has_variables, pieces

_GOOD = """
    upstream app { server 10.0.0.1:8080; keepalive 64; }
    server {
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
"""


@rule(
    "NK001",
    "upstream-without-keepalive",
    Severity.HIGH,
    about_reuse=True,
    bad="""
        upstream app { server 10.0.0.1:8080; }
        server {
            location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
        }
    """,
    good=_GOOD,
)
def upstream_without_keepalive(case: Case) -> Iterator[Hit]:
    """An upstream that is passed to has no `keepalive`, so each request opens a connection of its own.

    Before 1.29.7 a pool exists only where `keepalive N` asks for it. Each request then costs a TCP (and
    TLS) handshake and leaves a TIME_WAIT, and connecting fails with errno 99 at about 470 new connections
    a second per server address.
    """
    if case.version >= versions.POOL_BY_DEFAULT:
        return
    for upstream in case.model.upstreams:
        users = tuple(each for each in case.model.users(upstream) if each.protocol not in {"uwsgi", "scgi"})
        if users and upstream.keepalive is None and upstream.missing is None:
            yield Hit(
                upstream.directive.place,
                f'upstream "{upstream.name}" has no keepalive: every request opens a new connection',
                "add `keepalive 32;` (idle connections per worker) behind the balancing method",
                related=tuple(said_at(each.directive) for each in users),
                passes=users,
            )


@rule(
    "NK006",
    "literal-proxy-pass",
    Severity.HIGH,
    about_reuse=True,
    bad="server { location / { proxy_pass http://127.0.0.1:8080; } }",
    good=_GOOD,
)
def literal_target(case: Case) -> Iterator[Hit]:
    """The target is an address or a host, not an upstream {}: never pooled, on any version of nginx.

    nginx makes an implicit upstream for it, and the keep-alive module skips implicit upstreams, also
    since 1.29.7. Only an upstream {} by name has a pool.
    """
    for each in case.model.passes:
        if each.protocol in {"uwsgi", "scgi", "tunnel"} or has_variables_in_host(each):
            continue
        if any(target.group is Group.ADDRESS for target in each.targets):
            yield Hit(
                each.directive.place,
                f"{each.target} is no upstream {{}}: nginx never pools its connections",
                _name_it(each.targets[0]),
                passes=(each,),
            )


def _name_it(target: Target) -> str:
    return (
        f"declare `upstream NAME {{ server {target.authority}; keepalive 32; }}`, pass to NAME, "
        "keep the URI part and set Host as it was"
    )


@rule(
    "NK007",
    "variable-proxy-pass",
    Severity.MEDIUM,
    about_reuse=True,
    bad="""
        server {
            resolver 127.0.0.53;
            location / { set $backend "http://app.internal:8080"; proxy_pass $backend; }
        }
    """,
    good="""
        upstream app { server 10.0.0.1:8080; keepalive 64; }
        server {
            location / {
                proxy_pass http://app$request_uri;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
            }
        }
    """,
)
def variable_target(case: Case) -> Iterator[Hit]:
    """The host of the target is a variable: pooled only if every value names an upstream {}.

    The host is looked up among the upstreams for each request; what is none is resolved for that request
    alone, and never pooled. A port in the value never matches an upstream {}. Variables that are meant
    to follow DNS switch reuse off; `server NAME resolve;` in an upstream {} with a `zone` (since 1.27.3)
    follows DNS and keeps the pool.
    """
    for each in case.model.passes:
        if each.protocol in {"uwsgi", "scgi", "tunnel"} or not has_variables_in_host(each):
            continue
        outside = [target for target in each.targets if target.group is not Group.UPSTREAM]
        if not outside:
            continue
        certain = all(target.group is Group.ADDRESS for target in each.targets)
        what = ", ".join(target.text for target in outside)
        yield Hit(
            each.directive.place,
            f"the target {each.target} {'is' if certain else 'may be'} {what}: no upstream {{}}, so no pool",
            "name an upstream {}; to follow DNS use `server NAME resolve;` in it, with `zone` (since 1.27.3)",
            severity=Severity.HIGH if certain else Severity.MEDIUM,
            passes=(each,),
        )


_HOST_AND_PORT = re.compile(r"(?:[^:]+|\[.*\]):\d+|unix:.*")


def has_variables_in_host(each: PassLocation) -> bool:
    """Tells whether the host part of a target hangs on a variable."""
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


@rule(
    "NK008",
    "lb-method-after-keepalive",
    Severity.HIGH,
    about_reuse=True,
    bad="""
        upstream app { server 10.0.0.1:8080; keepalive 64; least_conn; }
        server {
            location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
        }
    """,
    good="""
        upstream app { least_conn; server 10.0.0.1:8080; keepalive 64; }
        server {
            location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
        }
    """,
)
def balancer_after_keepalive(case: Case) -> Iterator[Hit]:
    """A load-balancing method behind `keepalive` takes the pool's place: it silently disappears.

    Before 1.29.7 both set the same handler and the later one wins; `nginx -t` only warns "load balancing
    method redefined". Since 1.29.7 the order does not matter.
    """
    for upstream in case.model.upstreams:
        yield from _replaced_balancer(upstream)
        balancer = upstream.balancer_after_keepalive()
        if balancer is None or upstream.keepalive is None:
            continue
        old = case.version < versions.POOL_BY_DEFAULT
        yield Hit(
            balancer.place,
            f'{balancer.name} stands behind keepalive in upstream "{upstream.name}": '
            + ("the pool is gone" if old else "harmless here, but before 1.29.7 the pool would be gone"),
            f"move {balancer.name} above keepalive",
            severity=None if old else Severity.INFO,
            related=(said_at(upstream.keepalive),),
            passes=tuple(case.model.users(upstream)),
        )


def _replaced_balancer(upstream: Upstream) -> Iterator[Hit]:
    """Yields a second balancing method, which takes the first one's place (`sticky` goes on top of one)."""
    methods = [d for d in upstream.directive.block or () if is_balancer(d) and d.name != "sticky"]
    if len(methods) > 1:
        first, last = methods[0], methods[-1]
        text = f'{last.name} takes the place of {first.name} in upstream "{upstream.name}": the last one wins'
        yield Hit(last.place, text, "keep one of them", Severity.LOW, (said_at(first),))


@rule(
    "NK015",
    "keepalive-zero",
    Severity.ERROR,
    about_reuse=True,
    bad="""
        upstream app { server 10.0.0.1:8080; keepalive 0; }
        server {
            location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
        }
    """,
    good=_GOOD,
)
def keepalive_value(case: Case) -> Iterator[Hit]:
    """`keepalive` has a value that this version refuses, or one that switches the pool off.

    `keepalive 0` and `keepalive N local` are refused before 1.29.7; since then 0 switches the pool off.
    Sizes such as `1k` or `auto` are refused everywhere.
    """
    for upstream in case.model.upstreams:
        line = upstream.keepalive
        if line is None:
            continue
        users = tuple(case.model.users(upstream))
        size, old = (line.args[0] if line.args else ""), case.version < versions.POOL_BY_DEFAULT
        if not size.isdigit() or (old and int(size) == 0):
            reason = (
                f'nginx refuses `{line}`: invalid value "{size}"' if line.args else f"`{line}` has no value"
            )
            yield Hit(line.place, reason, "write the number of idle connections per worker", passes=users)
        elif len(line.args) > 1 and (old or line.args[1:] != ("local",)):
            text = f"nginx refuses `{line}`" + (": `local` came with 1.29.7" if "local" in line.args else "")
            yield Hit(line.place, text, f"write `keepalive {size};`", passes=users)
        elif int(size) == 0 and users:
            text = f'`keepalive 0` switches the pool of upstream "{upstream.name}" off'
            yield Hit(line.place, text, "give it a size, or leave the line out", Severity.HIGH, passes=users)


@rule(
    "NK016",
    "implicit-32-local",
    Severity.INFO,
    shown_on="1.31.4",
    bad="""
        upstream app { server 10.0.0.1:8080; }
        server {
            location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
        }
    """,
    good=_GOOD,
)
def implicit_pool(case: Case) -> Iterator[Hit]:
    """The pool is `32 local`: 32 idle connections for all locations, which do not share them.

    Since 1.29.7 that is the default of each upstream {}. With more than 32 locations used in turn nothing
    is reused at all: each one evicts another's connection.
    """
    for upstream, pool in case.pooled():
        users = tuple(case.model.users(upstream))
        if not pool.is_local or (pool.directive is not None and len(users) * 2 < pool.idle):
            continue
        grave = Severity.HIGH if len(users) > pool.idle else None
        yield Hit(
            pool.directive.place if pool.directive else upstream.directive.place,
            f'upstream "{upstream.name}" keeps {pool.idle} idle connections per worker for '
            f"{len(users)} location{'s' if len(users) != 1 else ''} that do not share them",
            "write `keepalive N;` to share one pool, if TLS and bind settings are the same everywhere",
            severity=grave or (Severity.MEDIUM if len(users) * 2 >= pool.idle else None),
            passes=users,
        )


@rule(
    "NK018",
    "keepalive-params-without-pool",
    Severity.MEDIUM,
    bad="""
        upstream app { server 10.0.0.1:8080; keepalive_requests 1000; keepalive_timeout 60s; }
        server {
            location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
        }
    """,
    good="""
        upstream app { server 10.0.0.1:8080; keepalive 64; keepalive_requests 1000; }
        server {
            location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
        }
    """,
)
def limits_without_pool(case: Case) -> Iterator[Hit]:
    """keepalive_requests, keepalive_timeout or keepalive_time in an upstream {} that has no pool.

    Before 1.29.7 they limit a pool and make none: without `keepalive N` they do nothing. Since 1.29.7
    they tune the pool that is there by default.
    """
    for upstream in case.model.upstreams:
        if upstream.keepalive is not None:
            continue
        old = case.version < versions.POOL_BY_DEFAULT
        for name in ("keepalive_requests", "keepalive_timeout", "keepalive_time"):
            if (line := upstream.directive.child(name)) is not None:
                what = (
                    "does nothing without `keepalive`" if old else "tunes the pool that is there by default"
                )
                fix = "add `keepalive 32;`" if old else ""
                yield Hit(line.place, f"{name} {what}", fix, severity=None if old else Severity.INFO)


@rule(
    "NK020",
    "upstream-keepalive-requests-low",
    Severity.LOW,
    about_reuse=True,
    bad="""
        upstream app { server 10.0.0.1:8080; keepalive 64; keepalive_requests 10; }
        server {
            location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
        }
    """,
    good=_GOOD,
)
def few_requests(case: Case) -> Iterator[Hit]:
    """An upstream connection is closed after few requests (`keepalive_requests` in the upstream {}).

    The churn is the request rate divided by it. The default is 100 from 1.15.3 to 1.19.9 and 1000 since;
    1 and 0 mean no reuse at all.
    """
    for upstream in case.model.upstreams:
        users = tuple(case.model.users(upstream))
        line = upstream.directive.child("keepalive_requests")
        if not users or case.version < versions.POOL_LIMITS:
            continue
        if line is None:
            if upstream.keepalive is not None and case.version < versions.POOL_TIME:
                text = f'upstream "{upstream.name}" closes a connection after 100 requests, the default here'
                yield Hit(upstream.keepalive.place, text, "add `keepalive_requests 1000;`")
        elif line.args and line.args[0].isdigit() and int(line.args[0]) < 1000:
            count = int(line.args[0])
            text = f"a connection is closed after {count} requests" if count > 1 else "nothing is reused"
            grave = Severity.HIGH if count <= 1 else (Severity.MEDIUM if count <= 10 else None)
            fix = "raise it to 1000 or more"
            yield Hit(line.place, f"`{line}`: {text}", fix, grave, passes=users if count <= 1 else ())


@rule(
    "NK051",
    "pool-in-wrong-group",
    Severity.LOW,
    bad="""
        upstream back-end { server 10.0.0.1:8080; keepalive 64; }
        server { location / { proxy_pass http://backend; } }
    """,
    good=_GOOD,
)
def misplaced_pool(case: Case) -> Iterator[Hit]:
    """A pool that nobody uses: an upstream {} without users, two with the same servers, or a misspelt name.

    A name that matches no upstream {} is silently taken for a host.
    """
    if not case.model.passes:
        return
    unused = [u for u in case.model.upstreams if u.keepalive is not None and not _named_anywhere(case, u)]
    hosts = {t.host.lower(): e for e in case.model.passes for t in e.targets if t.group is Group.ADDRESS}
    for upstream in unused:
        close = difflib.get_close_matches(upstream.name.lower(), hosts, n=1, cutoff=0.8)
        text = f'nothing passes to upstream "{upstream.name}", so its pool is never used'
        if close:
            each = hosts[close[0]]
            text += f"; {each.target} at {each.directive.place} looks like it but is taken for a host"
        yield Hit(upstream.keepalive_place(), text, "pass to it by its exact name, or remove it")
    yield from _split_pools(case)


def _named_anywhere(case: Case, upstream: Upstream) -> bool:
    return any(
        target.upstream is upstream or target.group is Group.UNKNOWN
        for each in case.model.passes
        for target in each.targets
    )


def _split_pools(case: Case) -> Iterator[Hit]:
    by_servers: dict[tuple[str, ...], Upstream] = {}
    for upstream, _ in case.pooled():
        servers = tuple(sorted(line.args[0].lower() for line in upstream.servers if line.args))
        other = by_servers.setdefault(servers, upstream)
        if other is not upstream and servers:
            text = f'upstream "{upstream.name}" has the same servers as "{other.name}": their pools are apart'
            yield Hit(upstream.directive.place, text, "use one of them", related=(said_at(other.directive),))
