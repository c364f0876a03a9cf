"""Rules about what shares a pooled connection: TLS identities, protocols, source addresses, users."""

from collections.abc import Iterator

from nginx import versions
from nginx.finding import Severity
from nginx.model import PassLocation
from nginx.rules.rule import KEEPALIVE_LINES, Hit, Rule, RuleContext
from nginx.unshareable import authenticates_connection, client_address, unshareable, variable_identities
from nginx.upstreams import Pool, Upstream
from nginx.versions import Version

_POOL = "upstream app { server 10.0.0.1:8443; keepalive 64; }\n"
_SNI = "proxy_pass https://app; proxy_ssl_server_name on; proxy_ssl_name"
_IDENTITY = ("ssl_name", "ssl_server_name", "ssl_certificate", "ssl_verify")


def _server(first: str, second: str = "") -> str:
    inner = f"        location / {{ {first} {KEEPALIVE_LINES} }}\n"
    if second:
        inner += f"        location /b/ {{ {second} {KEEPALIVE_LINES} }}\n"
    return f"{_POOL}server {{\n{inner}}}"


@Rule(
    "NK028",
    Severity.LOW,
    bad=_server("proxy_pass https://app; proxy_ssl_session_reuse off;"),
    good=_server("proxy_pass https://app;"),
)
def tls_session_reuse_off(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_ssl_session_reuse is off: each new upstream connection pays a full TLS handshake.

    Without a pool that is every request. Reusing sessions makes new connections cheaper; it is no
    substitute for a pool.
    """
    for each in ctx.model.passes:
        line = each.module_setting("ssl_session_reuse")
        if line is not None and line.is_off and _uses_tls(each):
            text = "TLS sessions are not resumed: each new connection pays a full handshake"
            yield Hit(line.place, text, "remove the line", passes=(each,))


@Rule(
    "NK029",
    Severity.HIGH,
    bad=_server(f"{_SNI} a.example;", f"{_SNI} b.example;"),
    good=_server(f"{_SNI} a.example;", f"{_SNI} a.example;"),
)
def tls_identity_sharing(ctx: RuleContext) -> Iterator[Hit]:
    """Locations with different TLS identities share a pool, so one gets the other's connection.

    A pooled connection is picked by address alone: not by server name, client certificate or
    verification. `local` (since 1.29.7) keeps locations apart, but not the values of a variable.
    """
    for upstream, pool, sharing in _shared(ctx):
        users = list(filter(_uses_tls, sharing))
        yield from _variable_identity(upstream, users)
        yield from _named_after_upstream(upstream, users)
        for one, other in _pairs_with_first(pool, users):
            differing = [name for name in _IDENTITY if _args(one, name) != _args(other, name)]
            if differing:
                text = f'this location and {one.context} share connections of upstream "{upstream.name}", '
                text += f"but differ in {', '.join(f'{one.prefix}_{name}' for name in differing)}"
                yield _sharing_wrongly(one, other, text, "give each identity an upstream {} of its own")


def _pairs_with_first(pool: Pool, users: list[PassLocation]) -> Iterator[tuple[PassLocation, PassLocation]]:
    """Yield each user of a pool together with its first one, if they share its connections."""
    return ((users[0], other) for other in users[1:] if not pool.is_local)


def _sharing_wrongly(one: PassLocation, other: PassLocation, text: str, fix: str) -> Hit:
    return Hit(other.directive.place, text, fix, related=(one.directive,), passes=(one, other))


def _shared(ctx: RuleContext) -> Iterator[tuple[Upstream, Pool, list[PassLocation]]]:
    """Yield the pools with the locations that reuse their connections."""
    for upstream, pool in ctx.pooled():
        users = ctx.model.users(upstream)
        yield upstream, pool, list(filter(ctx.reuses, users))


def _uses_tls(each: PassLocation) -> bool:
    return any(target.is_tls for target in each.targets)


def _variable_identity(upstream: Upstream, users: list[PassLocation]) -> Iterator[Hit]:
    for each in users:
        for line in variable_identities(each):
            text = f"{line.name} is {line.args[0]}, but a pooled connection of upstream "
            text += f'"{upstream.name}" keeps the value it was opened with'
            fix = "use one upstream {} per identity, or `keepalive 0`"
            yield Hit(line.place, text, fix, passes=(each,))


def _named_after_upstream(upstream: Upstream, users: list[PassLocation]) -> Iterator[Hit]:
    """Yield locations that send the upstream's own name as the TLS server name."""
    for each in users:
        line = each.module_setting("ssl_server_name")
        if line is not None and line.is_on and each.module_setting("ssl_name") is None:
            text = f'the server name sent in TLS is "{upstream.name}", the name of the upstream {{}}'
            fix = f"set the right one with `{line.name.removesuffix('server_name')}name`"
            yield Hit(line.place, text, fix, Severity.LOW, (each.directive,), (each,))


def _args(each: PassLocation, name: str) -> tuple[str, ...]:
    line = each.module_setting(name)
    return line.args if line else ()


@Rule(
    "NK030",
    Severity.ERROR,
    bad=_server("proxy_pass http://app;", "proxy_pass https://app;"),
    good=_server("proxy_pass https://app;", "proxy_pass https://app;"),
)
def mixed_protocol_upstream(ctx: RuleContext) -> Iterator[Hit]:
    """One pool is used with different protocols: a connection of one may be picked for another.

    So with http:// and https://, with HTTP/1.1 and HTTP/2, and with proxy_pass beside fastcgi_pass, grpc_pass
    or memcached_pass. One location that keeps its connections suffices: the others take them from the pool.
    Behind a Lua balancer each protocol may have servers of its own, which the text does not show.
    """
    for upstream, pool, keeping in _shared(ctx):
        if pool.is_local or not keeping:
            continue
        one, fix = keeping[0], "give each protocol an upstream {} of its own"
        by_lua = any(line.name.startswith("balancer_by_lua") for line in upstream.directive.block or ())
        for other in ctx.model.users(upstream):
            if not _may_mix(one, other, ctx.version):
                continue
            text = f'upstream "{upstream.name}" is used with {_protocol(other, ctx.version)} here '
            text += f"and with {_protocol(one, ctx.version)} at {one.directive.place}, from one pool"
            severity = Severity.LOW if by_lua else None
            yield Hit(other.directive.place, text, fix, severity, (one.directive,), (one, other))


def _may_mix(one: PassLocation, other: PassLocation, version: Version) -> bool:
    is_known = other.is_of_nginx and all(
        target.is_tls is not None for target in (*one.targets, *other.targets)
    )
    return is_known and _protocol(one, version) != _protocol(other, version)


def _protocol(each: PassLocation, version: Version) -> str:
    if each.protocol != "http":
        return f"{each.protocol}{'s' if _uses_tls(each) else ''}"
    number = "2" if each.http.effective(version) == "2" else "1"
    return f"HTTP/{number}{' over TLS' if _uses_tls(each) else ''}"


@Rule(
    "NK031",
    Severity.HIGH,
    bad=_server("proxy_pass http://app; proxy_bind $remote_addr transparent;"),
    good=_server("proxy_pass http://app; proxy_bind 10.0.0.9;"),
)
def proxy_bind_with_pool(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_bind depends on the client, but a pooled connection keeps the source address of the first one.

    Since 1.29.7 the pool is there by default, so this breaks silently with the upgrade; `local` does not
    help.
    """
    for each in ctx.reusing():
        line = client_address(each)
        if line is not None:
            text = f"`{line}`: pooled connections keep the source address of the client that opened them"
            fix = _without_pool(ctx, each)
            yield Hit(line.place, text, fix, related=(each.directive,), passes=(each,))


def _without_pool(ctx: RuleContext, each: PassLocation) -> str:
    """Return how a location does without a pool, so that the others of its upstream {} keep theirs."""
    is_default = ctx.version >= versions.POOL_BY_DEFAULT
    others = [user for used in each.upstreams() for user in ctx.model.users(used) if not unshareable(user)]
    if others:
        lines = "with `keepalive 0;`" if is_default else "without `keepalive`"
        return f"give it an upstream {{}} of its own, {lines}"
    return f"{'write `keepalive 0;`' if is_default else 'remove `keepalive`'} in the upstream {{}}"


@Rule(
    "NK032",
    Severity.HIGH,
    bad=_POOL + f"server {{ location /owa/ {{ proxy_pass https://app; {KEEPALIVE_LINES} }} }}",
    good="upstream app { server 10.0.0.1:8443; keepalive 64; ntlm; }\n"
    + f"server {{ location /owa/ {{ proxy_pass https://app; {KEEPALIVE_LINES} }} }}",
)
def ntlm_negotiate(ctx: RuleContext) -> Iterator[Hit]:
    """NTLM and Negotiate authenticate the connection: a shared one passes one user's rights to the next.

    Found by the paths of Exchange and SharePoint, and by header lines that mention NTLM. `ntlm` (NGINX
    Plus) binds a connection to its client; else switch the pool off. A `keepalive` behind `ntlm` takes the
    connections before it, and since 1.29.7 the order does not matter.
    """
    for each in ctx.reusing():
        bound = next((upstream for upstream in each.upstreams() if upstream.directive.child("ntlm")), None)
        if bound is not None:
            yield from _pool_before_ntlm(ctx, each, bound)
            continue
        line = authenticates_connection(each)
        if line is None:
            continue
        what = "NTLM or Negotiate, which authenticate a connection, and it is pooled"
        fix = f"bind connections to clients with `ntlm` (NGINX Plus), or {_without_pool(ctx, each)}"
        text = f"{each.context} looks like {what}"
        yield Hit(line.place, text, fix, related=(each.directive,), passes=(each,))


def _pool_before_ntlm(ctx: RuleContext, each: PassLocation, upstream: Upstream) -> Iterator[Hit]:
    """Yield a shared pool that takes the connections which `ntlm` would bind to their clients."""
    names = [line.name for line in upstream.directive.block or () if line.name in {"ntlm", "keepalive"}]
    line = upstream.keepalive
    if line is not None and (names[-1] == "keepalive" or ctx.version >= versions.POOL_BY_DEFAULT):
        text = f"`{line}` shares the connections that `ntlm` binds to their clients, with their rights"
        yield Hit(line.place, text, _without_pool(ctx, each), related=(each.directive,), passes=(each,))
