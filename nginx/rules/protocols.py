"""Rules about protocols to the server: TCP, HTTP, FastCGI, uwsgi, SCGI, gRPC, memcached, WebSocket."""

from collections.abc import Iterator

from nginx import versions
from nginx.finding import Severity
from nginx.http2_fields import forbidden_fields
from nginx.model import PassLocation
from nginx.rules.rule import KEPT, PASS, Hit, Rule, RuleContext, location
from nginx.targets import TargetKind
from nginx.tree import Directive
from nginx.upstream_request import keeps_open

_POOL = "upstream app { server 10.0.0.1:9000; keepalive 16; }\n"
_HTTP = f"{_POOL}server {{ location / {{ {KEPT} }} }}"


@Rule(
    "NK033",
    Severity.HIGH,
    about_reuse=True,
    bad=_POOL + "server { location / { fastcgi_pass app; } }",
    good=_POOL + "server { location / { fastcgi_pass app; fastcgi_keep_conn on; } }",
)
def fastcgi_keep_conn_missing(ctx: RuleContext) -> Iterator[Hit]:
    """The upstream has a pool, but fastcgi_keep_conn is off: nginx requests a close each time.

    The default is off on every version, so the pool can never fill. An idle connection occupies a process of
    PHP-FPM: `bench fix` wants to know how many there are (`--backend-max-connections`), see NK055.
    """
    for each in ctx.using_protocol("fastcgi"):
        pooled = any(upstream.pool(ctx.version) for upstream in each.upstreams())
        if pooled and (each.keep_conn is None or not each.keep_conn.is_on):
            text = "fastcgi_keep_conn is off, so the pool never fills"
            fix = "add `fastcgi_keep_conn on;` and keep the pool small: idle ones occupy PHP-FPM children"
            yield Hit((each.keep_conn or each.directive).place, text, fix, passes=(each,))


@Rule(
    "NK034",
    Severity.LOW,
    about_reuse=True,
    bad="server { location / { fastcgi_pass 127.0.0.1:9000; fastcgi_keep_conn on; } }",
    good=_POOL + "server { location / { fastcgi_pass app; fastcgi_keep_conn on; } }",
)
def fastcgi_keep_conn_without_pool(ctx: RuleContext) -> Iterator[Hit]:
    """fastcgi_keep_conn is on, but there is no pool: nginx closes the connection anyway."""
    for each in ctx.using_protocol("fastcgi"):
        pooled = any(upstream.pool(ctx.version) for upstream in each.upstreams())
        unknown = any(target.kind is TargetKind.UNKNOWN for target in each.targets)
        if not pooled and not unknown and each.keep_conn is not None and each.keep_conn.is_on:
            text = f"fastcgi_keep_conn is on, but {each.target} has no pool"
            fix = "pass to an upstream {} with `keepalive`"
            yield Hit(each.keep_conn.place, text, fix, related=(each.directive,), passes=(each,))


@Rule(
    "NK035",
    Severity.INFO,
    about_reuse=True,
    bad="server { location / { uwsgi_pass unix:/run/app.sock; } }",
    good=_HTTP,
)
def uwsgi_scgi_no_keepalive(ctx: RuleContext) -> Iterator[Hit]:
    """uwsgi and SCGI have no notion of keep-alive: each request opens a connection, on every version.

    A Unix socket spares the ports and TIME_WAIT; uwsgi's --http-socket with proxy_pass can be pooled.
    """
    for each in ctx.model.passes:
        if each.protocol not in {"uwsgi", "scgi"}:
            continue
        dead = next((upstream.keepalive for upstream in each.upstreams() if upstream.keepalive), None)
        text = f"{each.protocol} connections are never reused"
        fix = "use a Unix socket (no ports, no TIME_WAIT), or HTTP to the application"
        if each.is_over_sockets:
            text += "; its socket file takes no port"
            fix = "send HTTP to the application where connecting costs too much"
        if dead is None:
            yield Hit(each.directive.place, text, fix, passes=(each,))
        else:
            text += f"; the `{dead}` of its upstream does nothing"
            yield Hit(each.directive.place, text, fix, Severity.MEDIUM, (dead,), (each,))


@Rule("NK036", Severity.INFO, bad=_POOL + "server { location / { grpc_pass grpc://app; } }", good=_HTTP)
def grpc(ctx: RuleContext) -> Iterator[Hit]:
    """gRPC needs only the pool: proxy_http_version and Connection are about proxy_pass.

    grpc_socket_keepalive is TCP's and has nothing to do with reuse. nginx closes an idle connection on which
    anything arrives (ngx_http_upstream_keepalive_close_handler()), and so one on which the server sends a
    PING: gRPC servers do by default after two hours, and many are set to seconds or minutes.
    """
    for each in ctx.using_protocol("grpc"):
        text = "grpc_pass needs only the pool of its upstream"
        if ctx.reuses(each):
            text += "; a server that sends a PING on an idle connection ends it, and no setting prevents that"
        yield Hit(
            each.directive.place, text, severity=Severity.LOW if ctx.reuses(each) else None, passes=(each,)
        )


@Rule(
    "NK037",
    Severity.INFO,
    bad=_POOL + "server { location / { set $memcached_key $uri; memcached_pass app; } }",
    good=_HTTP,
)
def memcached(ctx: RuleContext) -> Iterator[Hit]:
    """memcached needs only the pool."""
    for each in ctx.using_protocol("memcached"):
        yield Hit(each.directive.place, "memcached_pass needs only the pool of its upstream", passes=(each,))


@Rule(
    "NK052",
    Severity.INFO,
    bad=_POOL
    + """
        map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
        server {
            location /ws/ {
                proxy_pass http://app;
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $connection_upgrade;
            }
        }
    """,
    good=_HTTP,
)
def upgraded_connections(ctx: RuleContext) -> Iterator[Hit]:
    """A connection that was upgraded (WebSocket) is never returned to the pool.

    Count such connections as active ones. proxy_read_timeout, 60 s by default, closes a quiet WebSocket.
    """
    for each in ctx.using_protocol("http"):
        for line in each.connection.lines_of("upgrade"):
            text = "upgraded connections do not return to the pool: count them as active ones"
            yield Hit(line.place, text, passes=(each,))


@Rule(
    "NK002",
    Severity.HIGH,
    about_reuse=True,
    bad=location(PASS, 'proxy_set_header Connection "";'),
)
def http10_to_upstream(ctx: RuleContext) -> Iterator[Hit]:
    """nginx sends HTTP/1.0 to the server, which then closes after each response.

    That is the default before 1.29.7. With `Connection: keep-alive` a server may keep an HTTP/1.0
    connection, and nginx reuses it if the status line says HTTP/1.1; it works, but is not recommended.
    """
    for each in ctx.using_protocol("http"):
        if each.http.effective(ctx.version) != "1.0":
            continue
        if any(line is each.http.missing for line in each.level.block):
            continue  # what is not here, in the location itself, may set it
        line = each.http.directive
        kept = all(keeps_open("1.0", fields) for fields in each.connection.effective(ctx.version))
        default = "" if line else ", the default before 1.29.7"
        effect = (
            "only `Connection: keep-alive` keeps its connections" if kept else "it closes after each response"
        )
        text = f"HTTP/1.0 is sent to the server{default}: {effect}"
        fix = f"{'write' if line else 'add'} `proxy_http_version 1.1;`"
        severity = Severity.LOW if kept else None
        yield Hit((line or each.directive).place, text, fix, severity, passes=(each,))


@Rule(
    "NK014",
    Severity.INFO,
    shown_on="1.31.4",
    bad=location(PASS, "proxy_http_version 2;"),
)
def version_2_upstream(ctx: RuleContext) -> Iterator[Hit]:
    """HTTP/2 is sent to the server: one request at a time per connection, from the same pool.

    nginx sends no Connection field by itself then. The pool has to be as large as with HTTP/1.1, since nginx
    does not multiplex.
    """
    for each in ctx.using_protocol("http"):
        line = each.http.directive
        if line is not None and line.args == ("2",) and ctx.version >= versions.HTTP2_UPSTREAM:
            text = "HTTP/2 to the server: no multiplexing, so the pool is as large as the concurrency"
            yield Hit(line.place, text, passes=(each,))
            yield from _wrong_body(ctx, each, line)
            if ctx.reuses(each):
                text = (
                    "an answer without a body (HEAD, 204, 304, empty) may cost its HTTP/2 connection: it is "
                )
                text += "closed where the server's settings or the end of the stream come in frames beside it"
                fix = "use HTTP/1.1 where such answers are common (nginx up to 1.31.5 at least)"
                yield Hit(line.place, text, fix, Severity.LOW, passes=(each,))


def _wrong_body(ctx: RuleContext, each: PassLocation, line: Directive) -> Iterator[Hit]:
    """Yield a request with a cache and its own body, which 1.29.4 to 1.30.0 send wrongly."""
    body = each.body_line
    cache = each.setting("proxy_cache")
    is_cached = cache is not None and not cache.is_off
    if is_cached and body is not None and ctx.version < versions.HTTP2_BODIES:
        text = f"`{body}` with a cache and HTTP/2 is sent wrongly until 1.30.1 and 1.31.0"
        yield Hit(body.place, text, "use a later nginx", Severity.MEDIUM, (line,), (each,))


@Rule(
    "NK054",
    Severity.HIGH,
    about_reuse=True,
    bad=_POOL + "server { location / { grpc_pass grpc://app; grpc_set_header Connection upgrade; } }",
    good=_POOL + 'server { location / { grpc_pass grpc://app; grpc_set_header Connection ""; } }',
)
def connection_field_over_http2(ctx: RuleContext) -> Iterator[Hit]:
    """A header line names a field that HTTP/2 forbids: Connection, Upgrade, Keep-Alive and their like.

    nginx sends it all the same, and a server treats the request as malformed (RFC 9113, section 8.2.2): it
    answers 400 or resets the stream, which is a 502. This is about grpc_pass and `proxy_http_version 2`
    with the lines that HTTP/1.1 needed. A line with an empty value sends nothing.
    """
    for each in ctx.model.passes:
        for field in forbidden_fields(each, ctx.version):
            who = "" if field.is_certain else " wherever it is not empty"
            text = f"`{field.directive}` goes over HTTP/2, which forbids it{who}: servers refuse the request"
            fix = f'write `{field.directive.name} {field.directive.args[0]} "";`'
            severity = None if field.is_certain else Severity.MEDIUM
            yield Hit(field.directive.place, text, fix, severity, (each.directive,), (each,))


@Rule(
    "NK038",
    Severity.MEDIUM,
    bad="server { location / { proxy_pass http://10.0.0.1:8080; proxy_socket_keepalive on; } }",
    good=location(KEPT, "proxy_socket_keepalive on;"),
)
def tcp_keepalive_confusion(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_socket_keepalive sends TCP probes; it makes no connection reusable.

    It helps long-idle pools behind a NAT or load balancer, and does nothing where connections are not
    reused.
    """
    for each in ctx.model.passes:
        line = each.module_setting("socket_keepalive")
        if line is not None and line.is_on and ctx.verdict(each).answer == "not reused":
            text = f"{line.name} is about TCP probes: the connections of {each.context} are still not reused"
            yield Hit(line.place, text, "repair what the other findings name", passes=(each,))
