"""Rules about FastCGI, uwsgi, SCGI, gRPC, memcached, and connections that were upgraded."""

from __future__ import annotations

from collections.abc import Iterator

from nginx.finding import Severity
from nginx.rules.rule import Hit, RuleContext, related_line, rule
from nginx.targets import TargetKind

_POOL = "upstream app { server 10.0.0.1:9000; keepalive 16; }\n"
_HTTP = _POOL + 'server { location / { proxy_pass http://app; proxy_set_header Connection ""; } }'


@rule(
    "NK033",
    "fastcgi-keep-conn-missing",
    Severity.HIGH,
    about_reuse=True,
    bad=_POOL + "server { location / { fastcgi_pass app; } }",
    good=_POOL + "server { location / { fastcgi_pass app; fastcgi_keep_conn on; } }",
)
def keep_conn_missing(ctx: RuleContext) -> Iterator[Hit]:
    """The upstream has a pool, but fastcgi_keep_conn is off: nginx requests a close each time.

    The default is off on every version, so the pool can never fill.
    """
    for each in ctx.using_protocol("fastcgi"):
        pooled = any(upstream.pool(ctx.version) for upstream in each.upstreams())
        if pooled and (each.keep_conn is None or each.keep_conn.args != ("on",)):
            yield Hit(
                (each.keep_conn or each.directive).place,
                "fastcgi_keep_conn is off, so the pool never fills",
                "add `fastcgi_keep_conn on;` and keep the pool small: idle ones occupy PHP-FPM children",
                passes=(each,),
            )


@rule(
    "NK034",
    "fastcgi-keep-conn-without-pool",
    Severity.LOW,
    about_reuse=True,
    bad="server { location / { fastcgi_pass 127.0.0.1:9000; fastcgi_keep_conn on; } }",
    good=_POOL + "server { location / { fastcgi_pass app; fastcgi_keep_conn on; } }",
)
def keep_conn_alone(ctx: RuleContext) -> Iterator[Hit]:
    """fastcgi_keep_conn is on, but there is no pool: nginx closes the connection anyway."""
    for each in ctx.using_protocol("fastcgi"):
        pooled = any(upstream.pool(ctx.version) for upstream in each.upstreams())
        unknown = any(target.kind is TargetKind.UNKNOWN for target in each.targets)
        if not pooled and not unknown and each.keep_conn is not None and each.keep_conn.args == ("on",):
            yield Hit(
                each.keep_conn.place,
                f"fastcgi_keep_conn is on, but {each.target} has no pool",
                "pass to an upstream {} with `keepalive`",
                related=(related_line(each.directive),),
                passes=(each,),
            )


@rule(
    "NK035",
    "uwsgi-scgi-no-keepalive",
    Severity.INFO,
    about_reuse=True,
    bad="server { location / { uwsgi_pass unix:/run/app.sock; } }",
    good=_HTTP,
)
def never_kept(ctx: RuleContext) -> Iterator[Hit]:
    """uwsgi and SCGI have no notion of keep-alive: each request opens a connection, on every version.

    A Unix socket spares the ports and TIME_WAIT; uwsgi's --http-socket with proxy_pass can be pooled.
    """
    for each in ctx.model.passes:
        if each.protocol not in {"uwsgi", "scgi"}:
            continue
        dead = next((upstream.keepalive for upstream in each.upstreams() if upstream.keepalive), None)
        text = f"{each.protocol} connections are never reused"
        yield Hit(
            each.directive.place,
            f"{text}; the `{dead}` of its upstream does nothing" if dead else text,
            "use a Unix socket (no ports, no TIME_WAIT), or HTTP to the application",
            severity=Severity.MEDIUM if dead else None,
            related=(related_line(dead),) if dead else (),
            passes=(each,),
        )


@rule(
    "NK036", "grpc", Severity.INFO, bad=_POOL + "server { location / { grpc_pass grpc://app; } }", good=_HTTP
)
def grpc(ctx: RuleContext) -> Iterator[Hit]:
    """gRPC needs only the pool: proxy_http_version and Connection are about proxy_pass.

    grpc_socket_keepalive is TCP's and has nothing to do with reuse.
    """
    for each in ctx.using_protocol("grpc"):
        yield Hit(each.directive.place, "grpc_pass needs only the pool of its upstream", passes=(each,))


@rule(
    "NK037",
    "memcached",
    Severity.INFO,
    bad=_POOL + "server { location / { set $memcached_key $uri; memcached_pass app; } }",
    good=_HTTP,
)
def memcached(ctx: RuleContext) -> Iterator[Hit]:
    """memcached needs only the pool."""
    for each in ctx.using_protocol("memcached"):
        yield Hit(each.directive.place, "memcached_pass needs only the pool of its upstream", passes=(each,))


@rule(
    "NK052",
    "upgraded-connections",
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
def upgraded(ctx: RuleContext) -> Iterator[Hit]:
    """A connection that was upgraded (WebSocket) is never returned to the pool.

    Count such connections as active ones. proxy_read_timeout, 60 s by default, closes a quiet WebSocket.
    """
    for each in ctx.using_protocol("http"):
        owner = each.connection.owner
        for line in owner.all("proxy_set_header") if owner else ():
            if line.args[:1] and line.args[0].lower() == "upgrade":
                text = "upgraded connections do not return to the pool: count them as active ones"
                yield Hit(line.place, text, passes=(each,))
