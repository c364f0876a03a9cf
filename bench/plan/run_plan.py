"""The plan of a run, from a TOML file and flags, checked before anything starts.

Pure; how values become the fields of a section is bench/plan/toml.py. A plan is complete: each default is
written out, so that the header of a result holds all that was requested.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from bench.errors import PlanError
from bench.plan import bounds, cluster_plan, effects, load_values, tls_rules
from bench.plan.backend_plan import BACKENDS, Backend, check_backend
from bench.plan.cluster_plan import Cluster
from bench.plan.toml import chosen, section


class Mode(StrEnum):
    """How the subject treats its upstream connections."""

    SHORT = "short"
    KEEPALIVE = "keepalive"


class ClosesFirst(StrEnum):
    """Who closes a short upstream connection first: that side keeps TIME_WAIT (RFC 9293, section 3.6)."""

    PROXY = "proxy"
    BACKEND = "backend"


SUBJECTS = ("asyncio", "direct", "nginx", "haproxy", "envoy", "caddy", "nghttpx")
PROGRAMS = ("nginx", "haproxy", "envoy", "caddy", "nghttpx")
"""The subjects that are programs of others, so that a plan can choose which one (`subject.program`)."""
IDIOMS = ("default", "snippet", "pool-only", "pool-http11", "small-pool", "full")
"""What people write into an nginx.conf in the hope of reuse (bench/subjects/nginx.py)."""
LABS = ("auto", "namespaces", "loopback")
"""The labs of one machine."""
RUN_LABS = (*LABS, "cluster")
ARRIVALS = ("constant", "poisson")
SECOND_OPINIONS = ("wrk", "hey", "ab", "h2load")


@dataclass(frozen=True, slots=True)
class Subject:
    """The proxy under test and how its upstream side is set up."""

    name: str = "asyncio"
    program: str | None = None
    """The program that is run: a path, `system` or `wheel`; None: the system's, else the wheel's."""
    idiom: str | None = None
    """nginx only: a configuration as people write it. What it does is measured, and no mode enforced."""
    workers: int = 1
    pool_idle: int | None = None
    """Idle upstream connections that one worker keeps (nginx's `keepalive N`); None: as many as clients."""
    pool_max: int | None = None
    """Upstream connections that one worker opens at the most; None: no bound."""
    pool_idle_timeout_s: float = 60.0
    requests_per_connection: int | None = None
    upstream_http: str = "1.1"
    upstream_tls: bool = False
    """Speak TLS to the backend."""
    upstream_tls_sessions: bool = True
    """Whether a new upstream connection resumes the TLS session of an earlier one."""
    target: str | None = None
    """A server that runs already (`--target URL`); then no role of ours but the load is started."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the load generator sends."""

    connections: int = 64
    workers: int = 1
    rate: float | str | None = None
    """Requests per second of an open loop, or a ramp over the window, `1000..20000`; None: a closed loop."""
    arrivals: str = "constant"
    """Open loop: requests that are due at even times, or as a Poisson process."""
    urls: tuple[str, ...] = ()
    """What is requested: /PATH or URL, each with its weight in front, as in 3:/PATH; none: /, or the target.
    """
    method: str = "GET"
    """No proxy may send a POST again by itself (RFC 9110, section 9.2.2)."""
    headers: tuple[str, ...] = ()
    """Further header fields, `NAME: VALUE` each."""
    body: str | None = None
    """Content of each request."""
    body_file: str | None = None
    """File with the content of each request."""
    expect_status: str = "2xx"
    """Statuses of a correct response."""
    requests: int | None = None
    """Responses after which the window ends; None: when its time is over."""
    client_mode: Mode = Mode.KEEPALIVE
    http2: bool = False
    """Speak HTTP/2; without TLS it is known beforehand (RFC 9113, section 3.3)."""
    streams: int = 1
    """HTTP/2: requests at a time on each connection."""
    tls: bool = False
    """Speak TLS to the subject; a target says so in its URL."""
    insecure: bool = False
    """Do not verify the server's certificate."""
    cacert: str | None = None
    """File with the certificates that are trusted, in PEM; None: the system's."""
    sni: str | None = None
    """Name that the server's certificate must be for; None: the host of the URL."""
    tls_sessions: bool = True
    """Whether a new connection resumes the TLS session of an earlier one."""
    warmup_s: float = 0.5
    duration_s: float = 2.5
    connect_timeout_s: float = 5.0
    request_timeout_s: float = 10.0
    total_timeout_s: float = 30.0
    second_opinion: str | None = None
    """Another load generator to run once a trial has been counted; None: no other."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """What differs on the hosts of the lab: the remedies that people try besides keep-alive."""

    ports: int | None = None
    """Width of the ephemeral port range; None: the system's own."""
    proxy_addresses: int = 1
    backend_addresses: int = 1
    sysctls: dict[str, str] = field(default_factory=dict)
    pin: bool = True
    """Give the client cores of its own where there are two or more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: the modes to compare and all that they share."""

    mode: str = "both"
    closes_first: ClosesFirst = ClosesFirst.PROXY
    lab: str = "auto"
    trials: int = 6
    """Trials of each mode; `both` interleaves them."""
    seed: int | None = None
    """Of the random order of the trials; None: drawn anew."""
    subject: Subject = field(default_factory=Subject)
    load: Load = field(default_factory=Load)
    backend: Backend = field(default_factory=Backend)
    hosts: Hosts = field(default_factory=Hosts)
    cluster: Cluster = field(default_factory=Cluster)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Return the modes that one round of trials runs, in turn."""
        return (Mode.SHORT, Mode.KEEPALIVE) if self.mode == "both" else (Mode(self.mode),)

    @property
    def has_client_tls(self) -> bool:
        """Return whether the clients speak TLS."""
        if self.subject.target is None:
            return self.load.tls
        return self.subject.target.startswith("https://")

    @property
    def has_backend_tls(self) -> bool:
        """Return whether the backend speaks TLS: with the proxy, or with the clients where there is none."""
        return self.load.tls if self.subject.name == "direct" else self.subject.upstream_tls

    @property
    def backend_addresses(self) -> int:
        """Return how many addresses the backends have together."""
        return self.cluster.backends if self.lab == "cluster" else self.hosts.backend_addresses

    @property
    def pool_idle(self) -> int:
        """Return the idle upstream connections that one worker of the subject keeps."""
        return self.concurrency if self.subject.pool_idle is None else self.subject.pool_idle

    @property
    def concurrency(self) -> int:
        """Return the most requests at a time: each takes an upstream connection of HTTP/1.1."""
        return self.load.connections * self.load.streams

    @property
    def pools(self) -> int:
        """Return the pools that the requests of one client are spread over.

        Workers do not multiply them: a client's connection stays with one worker, whose pool needs no more
        than that worker's clients. Destinations do, where the next one is chosen before the pool is looked
        at: in the worst case all clients are at the same one. nginx does not look at a pooled connection's
        source address; HAProxy and Envoy pool each apart, since each is a server or a cluster of its own.
        """
        name = self.subject.name
        destinations = self.backend_addresses if name in PROGRAMS else 1
        return destinations * (self.hosts.proxy_addresses if name in ("haproxy", "envoy") else 1)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain values, each default written out."""
        return dict(msgspec.json.decode(msgspec.json.encode(self)))


def build(values: dict[str, Any], given: Collection[str] = ()) -> Plan:
    """Return the checked plan that `values` (as in TOML) request; PlanError names key, value, remedy.

    `given` are the keys that were requested by name: each is to have an effect.
    """
    plan = parse(values)
    check(plan)
    effects.check(plan, given)
    return plan


def parse(values: dict[str, Any], source: str = "plan") -> Plan:
    """Return the plan that `values` spell, unchecked; PlanError names `source`, key and value."""
    return section(Plan, _with_load(_with_texts(values)), "", source)


def _with_load(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with a rate such as 5k as a number, and time for a number of requests."""
    if not isinstance(load := values.get("load"), dict):
        return values
    load = dict(load)
    if isinstance(rate := load.get("rate"), str):
        with suppress(ValueError):  # `check` refuses what is no rate
            load["rate"] = load_values.normal_rate(rate)
    if load.get("requests") is not None:
        load.setdefault("duration_s", COUNTED_WINDOW_S)
    return {**values, "load": load}


def _with_texts(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with each sysctl as a text: `net.ipv4.tcp_tw_reuse = 1` names one too."""
    hosts = values.get("hosts")
    if not isinstance(hosts, dict) or not isinstance(sysctls := hosts.get("sysctls"), dict):
        return values
    texts = {key: str(value) if type(value) in (int, float) else value for key, value in sysctls.items()}
    return {**values, "hosts": {**hosts, "sysctls": texts}}


COUNTED_WINDOW_S = 600.0
"""The longest window that a number of requests ends, where the plan does not say how long it may be."""
_Reading = Callable[["Plan"], float | None]
# Key, number, and the most that it may be; the least is 1.
_AT_LEAST_ONE: tuple[tuple[str, _Reading, int], ...] = (
    ("trials", lambda p: p.trials, bounds.MOST_TRIALS),
    ("seed", lambda p: p.seed, bounds.MOST_SEED),
    ("subject.workers", lambda p: p.subject.workers, bounds.MOST_PROCESSES),
    ("subject.pool_max", lambda p: p.subject.pool_max, bounds.MOST_COUNTED),
    ("subject.requests_per_connection", lambda p: p.subject.requests_per_connection, bounds.MOST_COUNTED),
    ("load.connections", lambda p: p.load.connections, bounds.MOST_CONNECTIONS),
    ("load.workers", lambda p: p.load.workers, bounds.MOST_PROCESSES),
    ("load.streams", lambda p: p.load.streams, tls_rules.MOST_STREAMS),
    ("load.requests", lambda p: p.load.requests, bounds.MOST_COUNTED),
    ("backend.workers", lambda p: p.backend.workers, bounds.MOST_PROCESSES),
    ("backend.requests_per_connection", lambda p: p.backend.requests_per_connection, bounds.MOST_COUNTED),
    ("hosts.proxy_addresses", lambda p: p.hosts.proxy_addresses, bounds.MOST_COUNTED),
    ("hosts.backend_addresses", lambda p: p.hosts.backend_addresses, bounds.MOST_COUNTED),
    ("cluster.clients", lambda p: p.cluster.clients, bounds.MOST_PROCESSES),
    ("cluster.proxies", lambda p: p.cluster.proxies, bounds.MOST_PROCESSES),
    ("cluster.backends", lambda p: p.cluster.backends, bounds.MOST_PROCESSES),
)
_ABOVE_ZERO: tuple[tuple[str, _Reading], ...] = (
    ("load.duration_s", lambda p: p.load.duration_s),
    ("load.connect_timeout_s", lambda p: p.load.connect_timeout_s),
    ("load.request_timeout_s", lambda p: p.load.request_timeout_s),
    ("load.total_timeout_s", lambda p: p.load.total_timeout_s),
    ("subject.pool_idle_timeout_s", lambda p: p.subject.pool_idle_timeout_s),
    ("backend.idle_timeout_s", lambda p: p.backend.idle_timeout_s),
)
_CHOICES: tuple[tuple[str, Callable[[Plan], str | None], tuple[str, ...]], ...] = (
    ("mode", lambda p: p.mode, ("short", "keepalive", "both")),
    ("lab", lambda p: p.lab, RUN_LABS),
    ("subject.name", lambda p: p.subject.name, SUBJECTS),
    ("subject.upstream_http", lambda p: p.subject.upstream_http, ("1.0", "1.1")),
    ("subject.idiom", lambda p: p.subject.idiom, IDIOMS),
    ("backend.kind", lambda p: p.backend.kind, BACKENDS),
    ("load.arrivals", lambda p: p.load.arrivals, ARRIVALS),
    ("load.second_opinion", lambda p: p.load.second_opinion, SECOND_OPINIONS),
)
_SECTIONS = ("subject", "load", "backend", "hosts")
# What must hold besides, and the error where it does not.
_CHECKS: tuple[tuple[Callable[[Plan], bool], str], ...] = (
    (
        lambda p: not bounds.is_negative(p.load.warmup_s) and p.load.warmup_s <= bounds.LONGEST_S,
        f"load.warmup_s = {{load.warmup_s:g}} must be between 0 and {bounds.LONGEST_S:,.0f}",
    ),
    (
        lambda p: p.load.workers <= p.load.connections,
        "load.workers = {load.workers} is more than load.connections = {load.connections};"
        " each worker needs a connection",
    ),
    (
        lambda p: p.load.second_opinion is None or _keeps_connections(p),
        "load.second_opinion = {load.second_opinion!r} sends GET over connections that it keeps; set"
        " load.method = 'GET' and load.client_mode = 'keepalive' (subject direct: mode), or leave it out",
    ),
    (
        lambda p: p.load.second_opinion is None or not (p.load.body or p.load.body_file or p.load.urls),
        "load.second_opinion = {load.second_opinion!r} sends no body and knows one URL; leave it out, or"
        " load.body, load.body_file and load.urls",
    ),
    (
        lambda p: p.load.body is None or p.load.body_file is None,
        "load.body and load.body_file = {load.body_file!r} both name the content; leave one out",
    ),
    (
        lambda p: p.load.method not in ("HEAD", "TRACE") or (p.load.body or p.load.body_file) is None,
        "load.method = {load.method!r} has no content; leave load.body and load.body_file out, or send POST",
    ),
    (
        lambda p: p.load.arrivals == "constant" or p.load.rate is not None,
        "load.arrivals = {load.arrivals!r} needs load.rate: in a closed loop no request is due",
    ),
    (
        lambda p: sum(line.lower().startswith("host:") for line in p.load.headers) <= 1,
        "load.headers has two Host fields; leave one out",
    ),
    (
        lambda p: p.hosts.ports is None or 16 <= p.hosts.ports <= 64511,
        "hosts.ports = {hosts.ports} must be between 16 and 64511",
    ),
    (
        lambda p: max(p.hosts.proxy_addresses, p.hosts.backend_addresses) <= 200,
        "hosts.proxy_addresses and hosts.backend_addresses go up to 200",
    ),
    (
        lambda p: p.subject.pool_idle is None or p.subject.pool_idle >= 0,
        "subject.pool_idle = {subject.pool_idle} must be 0 or more",
    ),
    (
        lambda p: p.subject.pool_idle is None or p.subject.pool_idle <= bounds.MOST_COUNTED,
        f"subject.pool_idle = {{subject.pool_idle}} is more than {bounds.MOST_COUNTED:,}; lower it",
    ),
    (
        lambda p: p.lab != "loopback" or not (p.hosts.ports or p.hosts.sysctls),
        "hosts.ports and hosts.sysctls would change this whole machine on the loopback lab;"
        " use --lab namespaces",
    ),
    (
        lambda p: p.subject.program is None or p.subject.name in PROGRAMS,
        f"subject.program = {{subject.program!r}} goes with {', '.join(PROGRAMS)}, not with {{subject.name}}",
    ),
    (
        lambda p: p.subject.idiom is None or (p.subject.name == "nginx" and p.mode != "both"),
        "subject.idiom = {subject.idiom!r} is a configuration of nginx with one mode, the one that is"
        " expected of it; set subject.name = 'nginx' and mode",
    ),
)


def check(plan: Plan) -> None:
    """Raise PlanError where the plan makes no sense, naming the key, the value and the remedy."""
    for key, choice_of, choices in _CHOICES:
        if (choice := choice_of(plan)) is not None:
            chosen(key, choice, choices)
    for key, number_of, most in _AT_LEAST_ONE:
        number = number_of(plan)
        if number is not None and number < 1:
            raise PlanError(f"plan: {key} = {number} must be at least 1")
        if number is not None and number > most:
            raise PlanError(f"plan: {key} = {number} is more than {most:,}; lower it")
    for key, number_of in _ABOVE_ZERO:
        bounds.check_above_zero(f"plan: {key}", number_of(plan))
    check_backend(plan.backend)
    load_values.check(plan.load, plan.subject.target)
    tls_rules.check(plan)
    cluster_plan.check(plan)
    for holds, message in _CHECKS:
        if not holds(plan):
            raise PlanError("plan: " + message.format(**{name: getattr(plan, name) for name in _SECTIONS}))
    lasts_s = plan.load.warmup_s + plan.load.duration_s
    bounds.check_length(f"plan: trials = {plan.trials}", plan.trials * len(plan.modes), lasts_s)


def _keeps_connections(plan: Plan) -> bool:
    """Return whether the clients send GET over connections that they keep, as other load generators do."""
    is_short = plan.load.client_mode is Mode.SHORT
    return plan.load.method == "GET" and not (
        is_short or (plan.subject.name == "direct" and plan.mode != "keepalive")
    )
