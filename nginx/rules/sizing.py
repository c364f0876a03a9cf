"""Rules about sizes and times: the pool against concurrency, servers, workers and idle timeouts."""

from __future__ import annotations

from collections.abc import Iterator

from nginx.finding import Severity
from nginx.rules.rule import Case, Hit, Settings, last, rule, said_at

_DEFAULT_WORKER_CONNECTIONS = 512
_LARGE_POOL = 1024

BACKEND_IDLE_S = {
    "gunicorn": 2.0,
    "apache": 5.0,
    "hypercorn": 5.0,
    "node": 5.0,
    "uvicorn": 5.0,
    "puma": 20.0,
    "tomcat": 20.0,
    "jetty": 30.0,
    "alb": 60.0,
    "nginx": 75.0,
    "kestrel": 130.0,
    "envoy": 3600.0,
}
"""After how many idle seconds servers close a connection by default, or as they are shipped."""


def _with_pool(size: int, servers: int = 1, more: str = "") -> str:
    listed = " ".join(f"server 10.0.0.{number}:8080;" for number in range(1, servers + 1))
    return f"""upstream app {{ {listed} keepalive {size}; {more}}}
server {{
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }}
}}"""


def _whole(size: int, events: str, main: str = "") -> str:
    return f"{main}\nevents {{ {events} }}\nhttp {{\n{_with_pool(size)}\n}}"


@rule(
    "NK021",
    "idle-timeout-race",
    Severity.MEDIUM,
    bad=_with_pool(32),
    good=_with_pool(32, more="keepalive_timeout 4s; "),
    shown_with=Settings(backend_idle_s=5),
)
def idle_race(case: Case) -> Iterator[Hit]:
    """nginx keeps an idle connection at least as long as the server does: now and then it sends into a close.

    GET, HEAD, PUT and DELETE are sent again on another connection; POST, PATCH and LOCK become a 502
    (since 1.9.13). nginx ignores the server's `Keep-Alive: timeout=`. Say the server's timeout with
    --backend-idle, in seconds or by its kind: Node, uvicorn, hypercorn and Apache 5 s, gunicorn 2 s, Puma
    and Tomcat 20 s, Jetty 30 s, an AWS ALB 60 s, nginx 75 s, Kestrel 130 s, Envoy an hour.
    """
    limit_s = case.settings.backend_idle_s
    if limit_s is None:
        return
    for upstream, pool in case.pooled():
        if pool.idle_timeout_s is not None and pool.idle_timeout_s < limit_s:
            continue
        line = upstream.directive.child("keepalive_timeout")
        kept = f"{pool.idle_timeout_s:g} s" if pool.idle_timeout_s is not None else "without limit"
        wanted_s = max(1, int(limit_s) - 1)
        yield Hit(
            line.place if line else upstream.keepalive_place(),
            f'upstream "{upstream.name}" idles for {kept}, its servers {limit_s:g} s: sporadic 502',
            f"write `keepalive_timeout {wanted_s}s;` in the upstream {{}}, or raise the servers' timeout",
        )


@rule(
    "NK022",
    "pool-too-small",
    Severity.MEDIUM,
    bad=_with_pool(2, servers=3),
    good=_with_pool(32, servers=3),
)
def small_pool(case: Case) -> Iterator[Hit]:
    """The pool is smaller than what it has to hold: connections are closed and opened all the time.

    `keepalive N` counts idle connections per worker over all servers of the upstream {}; it limits
    nothing. Churn comes when the requests in flight per worker swing by more than N; and servers that take
    turns, more of them than N, keep nothing at all: each connection is dropped before its server is next.
    """
    for upstream, pool in case.pooled():
        servers = sum(1 for line in upstream.servers if not {"down", "backup"} & set(line.args))
        place, name = upstream.keepalive_place(), upstream.name
        in_flight = case.settings.concurrency
        per_worker = -(-in_flight // (case.workers or 1)) if in_flight else 0
        if pool.idle < servers:
            text = f'the pool of upstream "{name}" holds {pool.idle}, but it has {servers} servers'
            yield Hit(place, text, f"write `keepalive {max(2 * servers, per_worker)};` or more")
        elif pool.idle < per_worker:
            text = f'the pool of upstream "{name}" holds {pool.idle} per worker for {per_worker} in flight'
            yield Hit(place, text, f"write `keepalive {per_worker};` or more")
        elif pool.idle < 2 * servers:
            text = (
                f'the pool of upstream "{name}" holds {pool.idle} for {servers} servers: twice that is safer'
            )
            yield Hit(place, text, f"write `keepalive {2 * servers};` or more", Severity.LOW)
        elif pool.idle > _LARGE_POOL:
            text = (
                f'the pool of upstream "{name}" holds {pool.idle} per worker: descriptors and server threads'
            )
            yield Hit(place, text, "take what is in flight per worker at the peak", Severity.LOW)


@rule(
    "NK023",
    "pool-vs-backend-capacity",
    Severity.MEDIUM,
    bad=_with_pool(64),
    good=_with_pool(8),
    shown_with=Settings(workers=4, backend_max_connections=100),
)
def starved_servers(case: Case) -> Iterator[Hit]:
    """All workers' idle connections together are more than a server takes.

    Servers with a process or a thread per connection (Apache prefork, gunicorn, PHP-FPM with
    fastcgi_keep_conn) are starved by idle ones. Say the capacity with --backend-max-connections.
    """
    limit, workers = case.settings.backend_max_connections, case.workers
    if limit is None or workers is None:
        return
    for upstream, pool in case.pooled():
        capacity = limit * max(1, len(upstream.servers))
        if workers * pool.idle > capacity:
            share = max(1, capacity // workers // 2)
            yield Hit(
                upstream.keepalive_place(),
                f'{workers} workers keep {workers * pool.idle} connections to upstream "{upstream.name}", '
                f"whose servers take {capacity}",
                f"write `keepalive {share};`, or raise the servers' limit",
                severity=Severity.HIGH if workers * pool.idle > 2 * capacity else None,
            )


@rule(
    "NK024",
    "worker-connections-budget",
    Severity.HIGH,
    bad=_whole(1000, "worker_connections 512;"),
    good=_whole(32, "worker_connections 4096;"),
)
def connection_budget(case: Case) -> Iterator[Hit]:
    """worker_connections does not suffice for the clients, their upstream connections and the idle pools.

    Idle client connections are closed under pressure, idle upstream ones are not: a large pool starves
    the clients.
    """
    main = case.model.configuration.main
    events = last(main, "events")
    if events is None:
        return
    line = events.child("worker_connections")
    limit = (
        int(line.args[0]) if line and line.args and line.args[0].isdigit() else _DEFAULT_WORKER_CONNECTIONS
    )
    idle = sum(pool.idle for _, pool in case.pooled())
    clients = -(-(case.settings.concurrency or 0) // (case.workers or 1))
    if idle and 2 * clients + idle > limit:
        text = f"{limit} worker_connections for {idle} idle upstream connections"
        text += f" and {clients} clients with a connection each upstream" if clients else ""
        yield Hit((line or events).place, text, f"write `worker_connections {2 * (2 * clients + idle)};`")
    files = last(main, "worker_rlimit_nofile")
    if files and files.args and files.args[0].isdigit() and int(files.args[0]) < 2 * limit and line:
        text = f"worker_rlimit_nofile {files.args[0]} is less than twice worker_connections ({limit})"
        related = (said_at(line),)
        yield Hit(files.place, text, f"write `worker_rlimit_nofile {2 * limit};`", Severity.MEDIUM, related)


@rule(
    "NK039",
    "max-conns-with-keepalive",
    Severity.MEDIUM,
    bad="""
        upstream app { server 10.0.0.1:8080 max_conns=50; keepalive 32; }
        server { location / { proxy_pass http://app; } }
    """,
    good="""
        upstream app { zone app 64k; server 10.0.0.1:8080 max_conns=50; keepalive 32; }
        server { location / { proxy_pass http://app; } }
    """,
)
def max_conns(case: Case) -> Iterator[Hit]:
    """max_conns without `zone` counts per worker, and idle connections of the pool are not counted.

    With several workers and a pool a server can see more connections than max_conns says.
    """
    for upstream, _ in case.pooled():
        limited = [s for s in upstream.servers if any(arg.startswith("max_conns=") for arg in s.args)]
        if not limited or case.workers == 1:
            continue
        place, has_zone = limited[0].place, upstream.directive.child("zone") is not None
        if not has_zone:
            text = f'max_conns counts per worker: upstream "{upstream.name}" has no zone'
            yield Hit(place, text, f"add `zone {upstream.name} 64k;`")
        elif case.workers is not None:
            text = f"{case.workers} workers keep idle connections that max_conns does not count"
            yield Hit(place, text, "leave room for workers times `keepalive`", Severity.LOW)


@rule(
    "NK047",
    "per-worker-fragmentation",
    Severity.LOW,
    bad=_with_pool(32),
    good="server { location / { proxy_pass http://10.0.0.1:8080; } }",
    shown_with=Settings(workers=16, concurrency=8),
)
def fragmentation(case: Case) -> Iterator[Hit]:
    """Each worker has a pool of its own: many workers and few requests find cold pools.

    Idle connections run into their timeout before they are needed again.
    """
    workers, in_flight = case.settings.workers, case.settings.concurrency
    if workers is None or in_flight is None or in_flight >= workers:
        return
    for upstream, _ in case.pooled():
        text = f"{workers} workers share {in_flight} requests in flight: most of their pools are cold"
        yield Hit(upstream.keepalive_place(), text, "use fewer workers, or a longer keepalive_timeout")
