"""Rules about sizes and times: the pool against concurrency, servers, workers and idle timeouts."""

from collections.abc import Iterator

from nginx.finding import Severity
from nginx.idle_times import format_time
from nginx.pool_share import pool_share
from nginx.process_servers import PooledServers
from nginx.rules.rule import CheckSettings, Hit, Rule, RuleContext, server
from nginx.tree import Directive
from nginx.upstreams import Upstream

_DEFAULT_WORKER_CONNECTIONS = 512
_LARGE_POOL = 1024


def _with_pool(size: int, servers: int = 1, more: str = "") -> str:
    listed = " ".join(f"server 10.0.0.{number}:8080;" for number in range(1, servers + 1))
    return server(f"{listed} keepalive {size}; {more}")


def _whole(size: int, events: str, main: str = "") -> str:
    return f"{main}\nevents {{ {events} }}\nhttp {{\n{_with_pool(size)}\n}}"


@Rule(
    "NK021",
    Severity.MEDIUM,
    bad=_with_pool(32),
    good=_with_pool(32, more="keepalive_timeout 4s; "),
    shown_with=CheckSettings(backend_idle_s=5),
)
def idle_timeout_race(ctx: RuleContext) -> Iterator[Hit]:
    """nginx keeps an idle connection at least as long as the server does: now and then it sends into a close.

    GET, HEAD, PUT and DELETE are sent again on another connection; POST, PATCH and LOCK become a 502
    (since 1.9.13). nginx ignores the server's `Keep-Alive: timeout=`. Measure the server's timeout with
    --probe, or give it with --backend-idle, in seconds or by its kind: Node, uvicorn, hypercorn and Apache
    5 s, gunicorn 2 s, Puma and Tomcat 20 s, Jetty 30 s, an AWS ALB 60 s, nginx 75 s, Kestrel 130 s, Envoy
    an hour.
    """
    for upstream, pool in ctx.pooled():
        limit = ctx.settings.idle_limit_of(upstream.name, upstream.addresses)
        if limit is None or limit.allows(pool.idle_timeout_s):
            continue
        line = upstream.directive.child("keepalive_timeout")
        kept = f"{pool.idle_timeout_s:g} s" if pool.idle_timeout_s is not None else "without limit"
        text = f'upstream "{upstream.name}" idles for {kept}, its servers {limit}: sporadic 502'
        fix = "raise the servers' timeout: it leaves no time for reuse"
        if limit.safe_s:
            wanted = f"keepalive_timeout {format_time(limit.safe_s)};"
            fix = f"write `{wanted}` in the upstream {{}}, or raise the servers' timeout"
        yield Hit(line.place if line else upstream.keepalive_place(), text, fix)


@Rule(
    "NK022", Severity.MEDIUM, about_reuse=True, bad=_with_pool(2, servers=3), good=_with_pool(32, servers=3)
)
def pool_too_small(ctx: RuleContext) -> Iterator[Hit]:
    """The pool is smaller than what it has to hold: connections are closed and opened all the time.

    `keepalive N` counts idle connections per worker over all servers of the upstream {}; it limits
    nothing. Churn comes when the requests in flight per worker swing by more than N. With more
    servers than N in turn nothing is kept at all: each connection is dropped before its server is next.
    For M requests in flight and S servers in turn, M + S - 1 always suffices: the next M may go to others.
    """
    for upstream, pool in ctx.pooled():
        share = pool_share(upstream, pool, ctx.per_worker)
        text, place = f'the pool of upstream "{upstream.name}" holds {pool.idle}', upstream.keepalive_place()
        servers = len(upstream.servers_in_use)
        if share is not None:
            fix = _size_fix(ctx, upstream, max(2 * servers, share.needed))
            users = tuple(filter(ctx.reuses, ctx.model.users(upstream)))
            yield Hit(place, f"{text} for {share.cause}", fix, passes=users)
        elif pool.idle < 2 * servers:
            fix = _size_fix(ctx, upstream, 2 * servers)
            yield Hit(place, f"{text} for {servers} servers: twice that is safer", fix, Severity.LOW)
        elif pool.idle > _LARGE_POOL:
            fix = "write the requests in flight per worker at the peak"
            yield Hit(place, f"{text} per worker: descriptors and server threads", fix, Severity.LOW)


def _size_fix(ctx: RuleContext, upstream: Upstream, wanted: int) -> str:
    """Return how to size a pool, within what its servers accept."""
    capacity = _capacity(ctx, upstream)
    if capacity is not None and ctx.workers is not None and ctx.workers * wanted > capacity:
        needed = f"{ctx.workers} workers with `keepalive {wanted};` hold {ctx.workers * wanted} connections"
        return f"raise the servers' limit of {capacity}, or use fewer workers: {needed}"
    return f"write `keepalive {wanted};` or more"


def _capacity(ctx: RuleContext, upstream: Upstream) -> int | None:
    """Return how many connections the servers of an upstream {} accept together, as far as it is given."""
    limit = ctx.settings.max_connections_of(upstream.name)
    return None if limit is None else limit * max(1, len(upstream.servers))


@Rule(
    "NK023",
    Severity.MEDIUM,
    bad=_with_pool(64),
    good=_with_pool(8),
    shown_with=CheckSettings(workers=4, backend_max_connections=100),
)
def pool_vs_backend_capacity(ctx: RuleContext) -> Iterator[Hit]:
    """All workers' idle connections together are more than a server accepts.

    Servers with a process or a thread per connection (Apache prefork, gunicorn, PHP-FPM with
    fastcgi_keep_conn) are starved by idle ones. Give the capacity with --backend-max-connections.
    """
    workers = ctx.workers
    for upstream, pool in ctx.pooled():
        capacity = _capacity(ctx, upstream)
        if capacity is None or workers is None or workers * pool.idle <= capacity:
            continue
        text = f"{workers} workers keep {workers * pool.idle} connections to "
        text += f'upstream "{upstream.name}", whose servers accept {capacity}'
        share = capacity // workers // 2
        fix = f"write `keepalive {share};`, or raise the servers' limit"
        if share < max(1, len(upstream.servers_in_use), ctx.per_worker):
            fix = "raise the servers' limit, or use fewer workers: a smaller pool would reuse too little"
        severity = Severity.HIGH if workers * pool.idle > 2 * capacity else None
        yield Hit(upstream.keepalive_place(), text, fix, severity)


@Rule(
    "NK055",
    Severity.MEDIUM,
    bad="""
        upstream php { server 127.0.0.1:9000; keepalive 8; }
        server { location / { fastcgi_pass php; fastcgi_keep_conn on; } }
    """,
    good=_with_pool(8),
    unproven="how many processes a server has is not in the configuration",
)
def capacity_unknown(ctx: RuleContext) -> Iterator[Hit]:
    """A pool to servers with one process or thread per connection, and it is not said how many they have.

    Each idle connection of each worker occupies one. With as many of them as there are processes, all other
    requests wait until one times out. So with FastCGI (PHP-FPM: pm.max_children), and with what is
    named after such a server (gunicorn, Puma, Apache prefork) or is behind a Unix socket. Give the number
    with --backend-max-connections; `bench fix` then sizes the pool.
    """
    for upstream, pool in ctx.pooled():
        if ctx.settings.max_connections_of(upstream.name) is not None:
            continue
        users = [each for each in ctx.model.users(upstream) if ctx.reuses(each)]
        reasons = {PooledServers.of(upstream, each.protocol).one_process_each: each for each in users}
        reason = next(filter(None, reasons), None)
        if reason is not None:
            kept = f"{pool.idle} per worker" if ctx.workers is None else f"{pool.idle * ctx.workers}"
            text = f'upstream "{upstream.name}" keeps up to {kept} idle, and {reason}'
            fix = f"give how many it has with `--backend-max-connections {upstream.name}=N`"
            severity = None if reasons[reason].protocol == "fastcgi" else Severity.LOW
            yield Hit(upstream.keepalive_place(), text, fix, severity, passes=tuple(users))


@Rule(
    "NK024",
    Severity.HIGH,
    bad=_whole(1000, "worker_connections 512;"),
    good=_whole(32, "worker_connections 4096;"),
)
def worker_connections_budget(ctx: RuleContext) -> Iterator[Hit]:
    """worker_connections does not suffice for the clients, their upstream connections and the idle pools.

    Idle client connections are closed under pressure, idle upstream ones are not: a large pool starves
    the clients.
    """
    events = ctx.main("events")
    if events is None:
        return
    line = events.child("worker_connections")
    number = line.number if line else None
    limit = _DEFAULT_WORKER_CONNECTIONS if number is None else number
    idle, clients = sum(pool.idle for _, pool in ctx.pooled()), ctx.per_worker
    needed = 2 * clients + idle  # a client has a connection of its own and one upstream
    if idle and needed > limit:
        text = f"{limit} worker_connections for {idle} idle upstream connections"
        text += f" and {clients} clients with a connection each upstream" if clients else ""
        yield Hit((line or events).place, text, f"write `worker_connections {2 * needed};`")
    if line is not None:
        yield from _few_files(ctx, line, limit)


def _few_files(ctx: RuleContext, line: Directive, limit: int) -> Iterator[Hit]:
    """Yield a limit of open files that is below two for each of the worker connections."""
    files = ctx.main("worker_rlimit_nofile")
    if files is not None and files.number is not None and files.number < 2 * limit:
        text = f"worker_rlimit_nofile {files.number} is less than twice worker_connections ({limit})"
        fix = f"write `worker_rlimit_nofile {2 * limit};`"
        yield Hit(files.place, text, fix, Severity.MEDIUM, (line,))


@Rule(
    "NK039",
    Severity.MEDIUM,
    bad=server("server 10.0.0.1:8080 max_conns=50; keepalive 32;"),
    good=server("zone app 64k; server 10.0.0.1:8080 max_conns=50; keepalive 32;"),
)
def max_conns_with_keepalive(ctx: RuleContext) -> Iterator[Hit]:
    """max_conns without `zone` counts per worker, and idle connections of the pool are not counted.

    With several workers and a pool a server can see more connections than max_conns says.
    """
    for upstream, _ in ctx.pooled():
        limited = [s for s in upstream.servers if any(arg.startswith("max_conns=") for arg in s.args)]
        if not limited or ctx.workers == 1:
            continue
        place, has_zone = limited[0].place, upstream.directive.child("zone") is not None
        if not has_zone:
            text = f'max_conns counts per worker: upstream "{upstream.name}" has no zone'
            yield Hit(place, text, f"add `zone {upstream.name} 64k;`")
        elif ctx.workers is not None:
            text = f"{ctx.workers} workers keep idle connections that max_conns does not count"
            yield Hit(place, text, "leave room for workers times `keepalive`", Severity.LOW)


@Rule(
    "NK047",
    Severity.LOW,
    bad=_whole(32, "", "worker_processes 16;"),
    good=_whole(32, "", "worker_processes 4;"),
    shown_with=CheckSettings(concurrency=8),
)
def per_worker_fragmentation(ctx: RuleContext) -> Iterator[Hit]:
    """Each worker has a pool of its own: many workers and few requests find cold pools.

    Idle connections time out before they are needed again.
    """
    workers, in_flight = ctx.workers, ctx.settings.concurrency
    if workers is None or in_flight is None or in_flight >= workers:
        return
    for upstream, _ in ctx.pooled():
        text = f"{workers} workers share {in_flight} requests in flight: most of their pools are cold"
        yield Hit(upstream.keepalive_place(), text, "use fewer workers, or a longer keepalive_timeout")
