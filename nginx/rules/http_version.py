"""Rules about the HTTP version that nginx uses to the server (proxy_http_version)."""

from __future__ import annotations

from collections.abc import Iterator

from nginx import versions
from nginx.finding import Severity
from nginx.model import PassLocation
from nginx.rules.examples import PASS, location
from nginx.rules.rule import Hit, RuleContext, related_line, rule
from nginx.tree import Directive
from nginx.upstream_request import keeps_open


@rule(
    "NK002",
    "http10-to-upstream",
    Severity.HIGH,
    about_reuse=True,
    bad=location(PASS, 'proxy_set_header Connection "";'),
)
def http10(ctx: RuleContext) -> Iterator[Hit]:
    """nginx uses HTTP/1.0 to the server, which then closes after each response.

    That is the default before 1.29.7. With `Connection: keep-alive` a server may keep an HTTP/1.0
    connection, and nginx reuses it if the status line says HTTP/1.1; it works, but is not recommended.
    """
    for each in ctx.using_protocol("http"):
        if each.http.effective(ctx.version) != "1.0":
            continue
        line = each.http.directive
        kept = all(keeps_open("1.0", fields) for fields in each.connection.effective(ctx.version))
        default = "" if line else ", the default before 1.29.7"
        effect = (
            "only `Connection: keep-alive` keeps its connections" if kept else "it closes after each response"
        )
        yield Hit(
            (line or each.directive).place,
            f"HTTP/1.0 is used to the server{default}: {effect}",
            f"{'write' if line else 'add'} `proxy_http_version 1.1;`",
            severity=Severity.LOW if kept else None,
            passes=(each,),
        )


@rule(
    "NK014",
    "version-2-upstream",
    Severity.INFO,
    shown_on="1.31.4",
    bad=location(PASS, "proxy_http_version 2;"),
)
def http2_upstream(ctx: RuleContext) -> Iterator[Hit]:
    """HTTP/2 is used to the server: one request at a time per connection, from the same pool.

    Connection fields are never sent then. The pool has to be as large as with HTTP/1.1, since nginx does
    not multiplex.
    """
    for each in ctx.using_protocol("http"):
        line = each.http.directive
        if line is not None and line.args == ("2",) and ctx.version >= versions.HTTP2_UPSTREAM:
            text = "HTTP/2 to the server: no multiplexing, so the pool is as large as the concurrency"
            yield Hit(line.place, text, passes=(each,))
            yield from _wrong_body(ctx, each, line)


def _wrong_body(ctx: RuleContext, each: PassLocation, line: Directive) -> Iterator[Hit]:
    """Yield a request with a cache and its own body, which 1.29.4 to 1.30.0 send wrongly."""
    body = each.setting("proxy_set_body") or each.setting("proxy_pass_request_body")
    cache = each.setting("proxy_cache")
    is_cached = cache is not None and cache.args != ("off",)
    if is_cached and body is not None and body.args != ("on",) and ctx.version < versions.HTTP2_BODIES:
        text = f"`{body}` with a cache and HTTP/2 is sent wrongly until 1.30.1 and 1.31.0"
        yield Hit(body.place, text, "use a later nginx", Severity.MEDIUM, (related_line(line),), (each,))
