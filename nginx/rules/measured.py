"""Rules about what a probe measured of the servers: after how many requests they close, or after each."""

from collections.abc import Iterator

from nginx.finding import Severity
from nginx.measured import MeasuredServer
from nginx.rules.rule import CheckSettings, Hit, Rule, RuleContext, server

_POOLED = server("server 10.0.0.1:8080; keepalive 32;")


@Rule(
    "NK059",
    Severity.MEDIUM,
    bad=_POOLED,
    good=server("server 10.0.0.1:8080; keepalive 32; keepalive_requests 100;"),
    shown_with=CheckSettings(measured=(MeasuredServer("10.0.0.1:8080", requests=100),)),
)
def request_limit_race(ctx: RuleContext) -> Iterator[Hit]:
    """nginx sends more requests over a connection than its server serves: the server closes first.

    The last response does not say `Connection: close`, so that nginx may send the next request into the
    close: GET is sent again, POST becomes a 502. Known only of servers that were measured (--probe).
    """
    for upstream, pool in ctx.pooled():
        measured = ctx.settings.request_limit_of(upstream.name, upstream.addresses)
        if measured is None or measured.requests is None or measured.says_last:
            continue
        if pool.requests is not None and pool.requests <= measured.requests:
            continue
        line = upstream.directive.child("keepalive_requests")
        served = f"{pool.requests} requests" if pool.requests is not None else "requests without limit"
        text = f'upstream "{upstream.name}" sends {served} over a connection, its server closes it after '
        text += f"{measured.requests} ({measured.by})"
        wanted = f"keepalive_requests {measured.requests};"
        fix = f"write `{wanted}` in the upstream {{}}, or raise the server's limit"
        yield Hit(line.place if line else upstream.keepalive_place(), text, fix)


@Rule(
    "NK060",
    Severity.HIGH,
    about_reuse=True,
    bad=_POOLED,
    shown_with=CheckSettings(measured=(MeasuredServer("10.0.0.1:8080", closes=True),)),
    good=server("server 10.0.0.2:8080; keepalive 32;"),
)
def server_closes(ctx: RuleContext) -> Iterator[Hit]:
    """The server closes each connection after one response: the pool holds nothing.

    What nginx sends is right, and nothing is reused. Turn keep-alive on in the server: gunicorn needs another
    worker class than sync, Python's http.server protocol_version, Apache `KeepAlive On`. Known only of
    servers that were measured (--probe).
    """
    for upstream, _ in ctx.pooled():
        closing = ctx.settings.closing_of(upstream.name, upstream.addresses)
        if closing is None or not ctx.settings.measured_of(upstream.name, upstream.addresses):
            continue
        text = f'the pool of upstream "{upstream.name}" holds nothing: {closing}'
        users = tuple(ctx.model.users(upstream))
        yield Hit(upstream.keepalive_place(), text, "turn keep-alive on in the server", passes=users)
