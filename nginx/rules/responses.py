"""Rules about what closes a kept connection early or occupies it: retries, aborts, buffering, rates."""

from collections.abc import Iterator

from nginx import versions
from nginx.finding import Severity
from nginx.model import PassLocation
from nginx.rules.rule import KEPT, POOL, Hit, Rule, RuleContext, location
from nginx.tree import Directive

_WITH_AUTH = f"""{POOL}server {{
    location / {{ auth_request /auth; {KEPT} }}
    location = /auth {{ internal; {KEPT} }}
}}
"""


def _reusing_with(ctx: RuleContext, name: str, *args: str) -> Iterator[tuple[PassLocation, Directive]]:
    for each in ctx.reusing():
        line = each.module_setting(name)
        if line is not None and (not args or line.args == args):
            yield each, line


@Rule(
    "NK025",
    Severity.LOW,
    bad=location(KEPT, "proxy_next_upstream timeout http_502;"),
    good=location(KEPT, "proxy_next_upstream error timeout;"),
)
def retry_semantics(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_next_upstream without `error` does not retry a stale connection; `non_idempotent` retries POST.

    A pooled connection may have been closed by the server while the request was on its way. Retrying
    POST cures the 502s of that race, but the server may do the work twice.
    """
    for each, line in _reusing_with(ctx, "next_upstream"):
        if line.is_off:
            continue
        if "error" not in line.args:
            text = "without `error` a stale pooled connection is not retried: 502"
            yield Hit(line.place, text, "add `error` to the list", passes=(each,))
        if "non_idempotent" in line.args:
            text = "`non_idempotent` sends POST again after a failure: the server may do the work twice"
            yield Hit(line.place, text, "keep it only where that is harmless", passes=(each,))


@Rule("NK026", Severity.MEDIUM, bad=location(KEPT, "proxy_next_upstream off;"))
def next_upstream_off_with_pool(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_next_upstream is off: a stale pooled connection is a 502 even for GET (since 1.9.13)."""
    if ctx.version < versions.NO_RETRY_OF_POST:
        return
    for each, line in _reusing_with(ctx, "next_upstream", "off"):
        text = "a stale pooled connection is not retried: 502, even for GET"
        fix = "remove the line, or list at least `error`"
        yield Hit(line.place, text, fix, passes=(each,))


@Rule(
    "NK027",
    Severity.LOW,
    bad=location(KEPT, "proxy_request_buffering off;"),
)
def request_buffering_off_with_pool(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_request_buffering is off: a request with a body cannot be sent again on another connection.

    A stale pooled connection is then a 502 for PUT too.
    """
    for each, line in _reusing_with(ctx, "request_buffering", "off"):
        text = "a request with a body cannot be retried after a stale pooled connection"
        yield Hit(line.place, text, "keep it off only for large uploads", passes=(each,))


@Rule(
    "NK041",
    Severity.MEDIUM,
    bad=_WITH_AUTH,
    good=_WITH_AUTH.replace("internal;", "internal; proxy_method HEAD;"),
)
def auth_request_mirror_body(ctx: RuleContext) -> Iterator[Hit]:
    """The answer to auth_request or mirror is not read: if it has a body, its connection is dropped.

    An empty answer (204), or `proxy_method HEAD`, keeps it.
    """
    for each in ctx.model.passes:
        if each.subrequest is None or ctx.verdict(each).answer == "not reused" or each.has_no_body:
            continue
        line = each.subrequest
        text = (
            f"`{line}` ({line.place}) does not read the answer: with a body in it the connection is dropped"
        )
        fix = "answer with 204 or an empty body, or set `proxy_method HEAD;`"
        yield Hit(each.directive.place, text, fix, related=(line,), passes=(each,))


@Rule(
    "NK042",
    Severity.MEDIUM,
    bad=location(KEPT, "proxy_intercept_errors on; error_page 502 503 /sorry.html;"),
    good=location(KEPT, "error_page 502 503 /sorry.html;"),
)
def discarded_responses(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_intercept_errors throws the server's error answers away unread, and their connections too.

    A storm of errors becomes a storm of connections.
    """
    for each, line in _reusing_with(ctx, "intercept_errors", "on"):
        page = each.setting("error_page")
        if page is not None:
            text = "answers that error_page replaces are not read: their connections are dropped"
            fix = "intercept only where the answer is large or secret"
            yield Hit(line.place, text, fix, related=(page,), passes=(each,))


@Rule(
    "NK043",
    Severity.LOW,
    bad=location(KEPT, "proxy_ignore_client_abort off;"),
    good=location(KEPT, "proxy_ignore_client_abort on;"),
)
def client_abort(ctx: RuleContext) -> Iterator[Hit]:
    """A client that leaves early (499) closes its upstream connection too.

    That is the default too; short client timeouts before a slow server then mean churn. Only the explicit
    line is reported.
    """
    for each, line in _reusing_with(ctx, "ignore_client_abort", "off"):
        text = "a client that leaves closes the upstream connection in mid-response"
        yield Hit(line.place, text, "weigh `proxy_ignore_client_abort on;`", passes=(each,))


@Rule(
    "NK044",
    Severity.LOW,
    bad=location(KEPT, "proxy_request_buffering off; client_max_body_size 0;"),
)
def early_response(ctx: RuleContext) -> Iterator[Hit]:
    """A server that answers before it has the whole body (413, 401) loses the connection, since 1.9.10.

    That needs a body that is passed on unbuffered.
    """
    for each, line in _reusing_with(ctx, "request_buffering", "off"):
        size = each.setting("client_max_body_size")
        if size is not None:
            text = "an upload that the server refuses early costs its connection"
            yield Hit(size.place, text, related=(line,), passes=(each,))


@Rule("NK045", Severity.LOW, bad=location(KEPT, "proxy_buffering off;"))
def unbuffered(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_buffering is off: still reused, but a connection is busy as long as the slowest client reads.

    The pool and the server need room for that. So with server-sent events and long polling.
    """
    for each, line in _reusing_with(ctx, "buffering", "off"):
        text = "still reused, but a connection is busy for as long as its client reads"
        yield Hit(line.place, text, "turn it off only where the answer is a stream", passes=(each,))


@Rule(
    "NK061",
    Severity.LOW,
    bad=location(KEPT, "proxy_limit_rate 64k;"),
    good=location(KEPT, "limit_rate 64k;"),
)
def upstream_rate_limited(ctx: RuleContext) -> Iterator[Hit]:
    """proxy_limit_rate slows the reading from the server: a connection is busy for as long as that takes.

    limit_rate slows the client instead: nginx reads the response at once into its buffers, or into a file,
    and returns the connection to the pool. So with fastcgi_limit_rate. Both limit each request by itself.
    Without buffering nginx ignores proxy_limit_rate.
    """
    for each, line in _reusing_with(ctx, "limit_rate"):
        buffering = each.module_setting("buffering")
        if line.size and (buffering is None or not buffering.is_off):
            text = f"a connection is busy until its response was read at {line.args[0]} bytes a second"
            fix = f"write `limit_rate {line.args[0]};` if the clients are meant"
            yield Hit(line.place, text, fix, passes=(each,))


@Rule("NK046", Severity.HIGH, bad="", good="")
def backend_refuses(ctx: RuleContext) -> Iterator[Hit]:
    """The server closes by itself: `Connection: close`, an HTTP/1.0 status line, or no length.

    No configuration shows that; the responses do.
    """
    return iter(())
