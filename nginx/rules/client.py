"""Rules about keep-alive with clients, which is often confused with that to upstream servers."""

from collections.abc import Iterator

from nginx import versions
from nginx.finding import Severity
from nginx.idle_times import Front
from nginx.rules.rule import Hit, Rule, RuleContext
from nginx.tree import Place

_GOOD = "server { listen 80; keepalive_timeout 75s; location / { root /srv; } }"
_ASSUMED_FRONT = Front(60.0, kind="a load balancer")
"""The commonest in front of nginx: AWS ALB keeps idle connections so long by default."""
_DEFAULT_TIMEOUT_S = 75.0
_MARGIN_S = 15.0
"""How much later the other side closes, so that no request crosses the close."""


def _server(line: str) -> str:
    return f"server {{ listen 80; {line} location / {{ root /srv; }} }}"


@Rule("CK101", Severity.HIGH, bad=_server("keepalive_timeout 0;"), good=_GOOD)
def client_keepalive_off(ctx: RuleContext) -> Iterator[Hit]:
    """Client connections are not kept: each request of a client opens one, and nginx holds TIME_WAIT.

    `keepalive_timeout 0` does that, and keepalive_requests 0 or 1. It limits a benchmark to the rate of
    accepting.
    """
    timeouts = (line for line in ctx.lines("keepalive_timeout") if line.seconds == 0)
    counts = (line for line in ctx.lines("keepalive_requests") if line.number in {0, 1})
    for line in (*timeouts, *counts):
        yield Hit(line.place, f"`{line}` closes every client connection after one request", "remove it")


@Rule(
    "CK102",
    Severity.LOW,
    bad=_server("keepalive_requests 100;"),
    good=_server("keepalive_requests 10000;"),
)
def client_keepalive_requests_low(ctx: RuleContext) -> Iterator[Hit]:
    """A client connection is closed after few requests (`keepalive_requests` outside upstream {}).

    HTTP/2 clients see GOAWAY. The default is 1000 since 1.19.10, 100 before.
    """
    lines = list(ctx.lines("keepalive_requests"))
    default_is_low = ctx.version < versions.POOL_TIME
    for line in lines:
        if line.number is not None and 1 < line.number < 1000:
            text = f"client connections are closed after {line.number} requests"
            yield Hit(line.place, text, "raise it to 1000" if default_is_low else "remove it")
    servers = ctx.model.http.all("server")
    if default_is_low and servers and not lines and not ctx.model.configuration.is_fragment:
        text = "client connections are closed after 100 requests, the default before 1.19.10"
        yield Hit(servers[0].place, text, "add `keepalive_requests 1000;` in http {}")


@Rule(
    "CK103",
    Severity.LOW,
    bad=_server("keepalive_disable safari;"),
    good=_server("keepalive_disable none;"),
)
def keepalive_disable(ctx: RuleContext) -> Iterator[Hit]:
    """keepalive_disable names browsers of today: their connections are not kept."""
    for line in ctx.lines("keepalive_disable"):
        if set(line.args) - {"msie6", "none"}:
            yield Hit(line.place, f"`{line}` switches keep-alive off for these clients", "remove it")


@Rule("CK104", Severity.MEDIUM, bad=_server("keepalive_timeout 30s;"), good=_GOOD)
def client_timeout_vs_lb(ctx: RuleContext) -> Iterator[Hit]:
    """nginx closes idle connections before the balancer in front of it does: its 502s.

    The balancer sends a request into a closed connection. Say with --front-idle what is in front: AWS ALB
    and Classic Load Balancer keep idle connections 60 s, Cloud Foundry's gorouter and Heroku 90 s, Oracle's
    300 s, Google's application load balancer 600 s, Cloudflare 900 s; nginx closes them after 75 s by
    default. A balancer that passes TCP through (AWS NLB 350 s, Azure 4 min) forgets idle connections: nginx
    has to close before it does, and after the clients that pool connections.
    """
    front = ctx.settings.front or _ASSUMED_FRONT
    for line in ctx.lines("keepalive_timeout"):
        yield from _judged_timeout(ctx, front, line.place, line.seconds, "")
    if ctx.settings.front is not None and not ctx.model.configuration.is_fragment:
        for level in ctx.model.levels:
            if level.kind == "server" and level.inherited("keepalive_timeout") is None:
                place = (
                    level.opener.place if level.opener is not None else ctx.model.passes[0].directive.place
                )
                yield from _judged_timeout(ctx, front, place, _DEFAULT_TIMEOUT_S, ", the default")


def _judged_timeout(
    ctx: RuleContext, front: Front, place: Place, idle_s: float | None, source: str
) -> Iterator[Hit]:
    """Yield what is wrong with a timeout for what is in front of nginx."""
    if idle_s is None or idle_s == 0:
        return
    name = front.kind or "what is in front"
    closes = f"idle clients are closed after {idle_s:g} s{source}"
    if front.passes_through:
        yield from _behind_forwarder(front, place, idle_s, closes)
    elif idle_s <= front.idle_s:
        text = f"{closes}; {name} keeps {front.idle_s:g} s and sees 502"
        fix = f"write `keepalive_timeout {front.idle_s + _MARGIN_S:g}s;`, above what is in front"
        is_guess = ctx.settings.front is None and _is_stock(ctx)
        yield Hit(place, text, fix, severity=Severity.LOW if is_guess else None)


def _behind_forwarder(front: Front, place: Place, idle_s: float, closes: str) -> Iterator[Hit]:
    """Yield what is wrong, or may be, behind a balancer that forwards TCP."""
    latest = front.idle_s - _MARGIN_S
    if idle_s >= front.idle_s:
        text = f"{closes}, but {front.kind} forgets them after {front.idle_s:g} s: the next request fails"
        yield Hit(place, text, f"write `keepalive_timeout {latest:g}s;`")
    elif idle_s < latest:
        text = f"{closes}, before {front.kind} forgets them: a client that pools them for longer sees 502"
        fix = f"where other proxies are the clients, write `keepalive_timeout {latest:g}s;`"
        yield Hit(place, text, fix, severity=Severity.LOW)


def _is_stock(ctx: RuleContext) -> bool:
    """Return whether nothing shows a load balancer in front: no client address is read from a header."""
    return not any(level.all("real_ip_header") or level.all("set_real_ip_from") for level in ctx.model.levels)


@Rule(
    "CK105",
    Severity.INFO,
    shown_on="1.31.4",
    bad="worker_shutdown_timeout 10s;\nevents {}\nhttp { " + _GOOD + " }",
    good="worker_shutdown_timeout 10s;\nevents {}\nhttp { keepalive_min_timeout 5s; " + _GOOD + " }",
)
def keepalive_min_timeout(ctx: RuleContext) -> Iterator[Hit]:
    """Replaced workers close idle client connections at once; keepalive_min_timeout spares them.

    Since 1.27.4, and worth it where workers are short-lived: reported where worker_shutdown_timeout is set.
    """
    if ctx.version < versions.parse("1.27.4") or any(True for _ in ctx.lines("keepalive_min_timeout")):
        return
    if (line := ctx.main("worker_shutdown_timeout")) is not None:
        text = "idle client connections are cut at each reload"
        yield Hit(line.place, text, "add `keepalive_min_timeout 5s;`")


@Rule(
    "CK106",
    Severity.LOW,
    bad=_server("lingering_close off;"),
    good=_GOOD,
    unproven="whether a reset destroys an answer is a race between the client and its kernel",
)
def lingering_close_off(ctx: RuleContext) -> Iterator[Hit]:
    """lingering_close is off, or reset_timedout_connection on: a RST can cut what the client still reads.

    reset_timedout_connection concerns only connections that timed out, not TIME_WAIT.
    """
    for line in ctx.lines("lingering_close", "off"):
        yield Hit(line.place, "a RST can destroy a response that the client still reads", "remove it")
    for line in ctx.lines("reset_timedout_connection", "on"):
        text = "resets connections that timed out; it does nothing about TIME_WAIT"
        yield Hit(line.place, text, severity=Severity.INFO)


@Rule("CK107", Severity.LOW, bad=_server("send_timeout 2s;"), good=_GOOD)
def client_timeouts_short(ctx: RuleContext) -> Iterator[Hit]:
    """send_timeout is so short that slow clients are cut; it has nothing to do with servers.

    proxy_send_timeout and proxy_read_timeout are about those.
    """
    for line in ctx.lines("send_timeout"):
        if line.seconds is not None and line.seconds < 10:
            text = f"clients that stop reading for {line.seconds:g} s are cut"
            yield Hit(line.place, text, "set 10s or more")


@Rule(
    "CK108",
    Severity.LOW,
    bad=_server("add_header Connection keep-alive;"),
    good=_server("add_header X-Frame-Options DENY;"),
)
def add_header_connection(ctx: RuleContext) -> Iterator[Hit]:
    """add_header Connection or Keep-Alive repeats what nginx itself sends to the client.

    It never reaches the server, and HTTP/2 forbids it (RFC 9113, section 8.2.2).
    """
    for line in ctx.lines("add_header"):
        if line.args[0].lower() in {"connection", "keep-alive"}:
            text = f"`{line}` is sent to clients; upstream connections do not see it"
            yield Hit(line.place, text, "remove it")


@Rule(
    "CK109",
    Severity.INFO,
    bad="server { listen 80 so_keepalive=on; }",
    good=_GOOD,
    unproven="the kernel sends its first probe after two hours",
)
def so_keepalive(ctx: RuleContext) -> Iterator[Hit]:
    """listen ... so_keepalive sends TCP probes to clients; it keeps no HTTP connection open."""
    for line in ctx.lines("listen"):
        if any(arg.startswith("so_keepalive=") and arg != "so_keepalive=off" for arg in line.args):
            yield Hit(line.place, "so_keepalive is about TCP probes, not about keep-alive of HTTP")


@Rule(
    "CK110",
    Severity.HIGH,
    bad="events { worker_connections 64; }\nhttp { " + _GOOD + " }",
    good="events { worker_connections 4096; }\nhttp { " + _GOOD + " }",
)
def worker_connections_pressure(ctx: RuleContext) -> Iterator[Hit]:
    """So few worker_connections that nginx closes idle clients early, with a warning since 1.19.2.

    The keep-alive of clients is then shorter than keepalive_timeout.
    """
    events = ctx.main("events")
    line = events.child("worker_connections") if events else None
    if line is not None and line.number is not None and line.number < 256:
        text = f"{line.number} connections per worker: idle clients are closed early under load"
        yield Hit(line.place, text, "write `worker_connections 1024;` or more")


@Rule(
    "CK111",
    Severity.LOW,
    bad=_server("tcp_nodelay off;"),
    good=_server("tcp_nodelay on;"),
    unproven="a stall shows in times only, and a busy machine's prove nothing",
)
def tcp_nodelay_off(ctx: RuleContext) -> Iterator[Hit]:
    """tcp_nodelay is off: on kept connections Nagle's algorithm and delayed ACKs stall 40 ms."""
    for line in ctx.lines("tcp_nodelay", "off"):
        yield Hit(line.place, "responses on kept connections can stall for 40 ms", "remove it")


@Rule(
    "CK112",
    Severity.INFO,
    shown_on="1.31.4",
    bad="server { listen 443 ssl; http2 on; keepalive_requests 2000; }",
    good=_GOOD,
)
def http2_http3_limits(ctx: RuleContext) -> Iterator[Hit]:
    """keepalive_requests counts streams on HTTP/2; HTTP/3 closes at twice of it."""
    counted = [(level, line) for level in ctx.model.levels for line in level.all("keepalive_requests")]
    for level, line in counted:
        inner = [other for other in ctx.model.levels if level in other.up()]
        lines = [d for other in inner for name in ("http2", "http3", "listen") for d in other.all(name)]
        if any(d.is_on or {"http2", "quic"} & set(d.args) for d in lines):
            yield Hit(line.place, f"`{line}` counts the streams of a whole HTTP/2 connection")


@Rule(
    "CK113",
    Severity.INFO,
    bad=_server("keepalive_time 30s;"),
    good=_server("keepalive_time 1h;"),
)
def keepalive_time_short(ctx: RuleContext) -> Iterator[Hit]:
    """keepalive_time closes even busy client connections after that time; an hour since 1.19.10."""
    for line in ctx.lines("keepalive_time"):
        if line.seconds is not None and line.seconds < 60:
            yield Hit(line.place, f"client connections live {line.seconds:g} s at most, busy ones too")
