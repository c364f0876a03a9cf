"""The flags of a run's plan as data: each belongs to one plan key, and bears its name."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from bench.plan.backend_plan import BACKENDS
from bench.plan.run_plan import ARRIVALS, RUN_LABS, SECOND_OPINIONS, SUBJECTS, ClosesFirst, Mode, Plan


class Kind(Enum):
    """How the value of a flag is written."""

    WHOLE = "N"
    NUMBER = "NUMBER"
    SECONDS = "SECONDS"
    SUBJECT = "NAME[@PROGRAM]"
    PAIRS = "KEY=VALUE"
    LIST = "TEXT..."
    """Repeatable."""
    SWITCH = ""
    TEXT = "TEXT"


REPEATABLE = (Kind.PAIRS, Kind.LIST)


class Heading(StrEnum):
    """Under which heading of `--help` an option stands."""

    RUN = "Run"
    LOAD = "Load"
    PROXY = "Proxy"
    BACKEND = "Backend"
    LAB = "Lab"
    CLUSTER = "Cluster"
    OUTPUT = "Output"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its name follows from its key."""

    key: str
    """SECTION.KEY of the plan, or KEY at its top."""
    help: str
    kind: Kind = Kind.TEXT
    choices: tuple[str, ...] = ()
    metavar: str = ""
    """How the help calls the value, where its kind is too general."""
    unset: str = ""
    """What holds without the flag, where the plan's default is None."""
    short: str = ""
    has_section: bool = False
    """Whether the section stands in the name, as two sections have the key."""

    @property
    def section(self) -> str:
        """Return the section of the plan, empty for the top."""
        return self.key.rpartition(".")[0]

    @property
    def field(self) -> str:
        """Return the key within the section."""
        return self.key.rpartition(".")[2]

    @property
    def heading(self) -> Heading:
        """Return the heading of the help that it stands under."""
        return _HEADINGS.get(self.section or self.key, Heading.RUN)

    @property
    def name(self) -> str:
        """Return the name: the key without its unit, or the section where the key is its name."""
        if self.field == "name":
            return f"--{self.section}"
        bare = self.field.removesuffix("s" if self.kind in REPEATABLE else "_s")
        return f"--{f'{self.section}_{bare}' if self.has_section else bare}".replace("_", "-")

    @property
    def default(self) -> str:
        """Return how the help states the default."""
        plan = Plan().to_json()
        value = (plan[self.section] if self.section else plan)[self.field]
        if value is None or value in ({}, []):
            return self.unset
        return " ".join(_written(self, value)[-1:])


_HEADINGS = {
    "subject": Heading.PROXY,
    "load": Heading.LOAD,
    "backend": Heading.BACKEND,
    "hosts": Heading.LAB,
    "lab": Heading.LAB,
    "cluster": Heading.CLUSTER,
}
_MODES = tuple(mode.value for mode in Mode)
_SIDES = tuple(side.value for side in ClosesFirst)
FLAGS = (
    Flag(
        "mode", "Upstream connections: one per request, pooled, or both in turn.", choices=(*_MODES, "both")
    ),
    Flag("closes_first", "Who closes a short connection first.", choices=_SIDES),
    Flag("trials", "Trials of each mode.", Kind.WHOLE),
    Flag(
        "seed",
        "Of the order of the trials, of URLs and of Poisson arrivals.",
        Kind.WHOLE,
        unset="drawn anew, and recorded",
    ),
    Flag("subject.name", f"The proxy under test: {', '.join(SUBJECTS)}.", Kind.SUBJECT),
    Flag(
        "subject.program",
        "Which nginx, haproxy, envoy, caddy or nghttpx.",
        metavar="PATH|system|wheel",
        unset="the system's, else the wheel's",
    ),
    Flag(
        "subject.target",
        "Load a server that runs already: http://... or https://...",
        metavar="URL",
        unset="none; the subject is started",
    ),
    Flag("subject.workers", "Worker processes of the proxy.", Kind.WHOLE, has_section=True),
    Flag(
        "subject.pool_idle",
        "Idle upstream connections that one worker keeps.",
        Kind.WHOLE,
        unset="as many as client connections",
    ),
    Flag(
        "subject.pool_max",
        "Upstream connections that one worker opens at most.",
        Kind.WHOLE,
        unset="no bound",
    ),
    Flag("subject.pool_idle_timeout_s", "How long an idle upstream connection is kept.", Kind.SECONDS),
    Flag(
        "subject.requests_per_connection",
        "Requests after which the proxy closes an upstream connection.",
        Kind.WHOLE,
        unset="no bound",
    ),
    Flag("subject.upstream_http", "HTTP version sent upstream.", choices=("1.0", "1.1")),
    Flag("subject.upstream_tls", "Speak TLS to the backend.", Kind.SWITCH),
    Flag("subject.upstream_tls_sessions", "Resume TLS sessions with the backend.", Kind.SWITCH),
    Flag("load.connections", "Client connections, in all.", Kind.WHOLE, short="-c"),
    Flag("load.workers", "Worker processes of the load generator.", Kind.WHOLE, has_section=True),
    Flag(
        "load.rate",
        "Requests per second, each sent when due (open loop): 5000, 5k; 1000..20000 rises over the window.",
        metavar="RATE",
        unset="the next once the last is answered (closed loop)",
    ),
    Flag("load.arrivals", "When requests are due: evenly, or independently.", choices=ARRIVALS),
    Flag(
        "load.urls",
        "What is requested (repeatable): /PATH, or a URL of --target; 3:/PATH thrice as often.",
        Kind.LIST,
        metavar="[WEIGHT:]URL",
        unset="/, or --target",
    ),
    Flag("load.method", "Method of the requests; no proxy may repeat a POST.", short="-X", metavar="METHOD"),
    Flag(
        "load.headers",
        "Further header field (repeatable).",
        Kind.LIST,
        metavar="'NAME: VALUE'",
        unset="none",
        short="-H",
    ),
    Flag("load.body", "Content of each request.", metavar="CONTENT", unset="none"),
    Flag("load.body_file", "File with the content of each request.", metavar="FILE", unset="none"),
    Flag("load.expect_status", "Statuses of a correct response: 2xx, 200,404, 200-299.", metavar="STATUS"),
    Flag("load.client_mode", "The clients' own connections.", choices=_MODES),
    Flag("load.http2", "Speak HTTP/2 to the proxy or the target.", Kind.SWITCH),
    Flag("load.streams", "HTTP/2: requests at a time on each connection.", Kind.WHOLE),
    Flag("load.tls", "Speak TLS to the proxy.", Kind.SWITCH),
    Flag("load.insecure", "Do not verify the server's certificate.", Kind.SWITCH, short="-k"),
    Flag(
        "load.cacert",
        "Certificates that are trusted, in PEM.",
        metavar="FILE",
        unset="the system's",
    ),
    Flag(
        "load.sni",
        "Name that the server's certificate must be for.",
        metavar="NAME",
        unset="the host of the URL",
    ),
    Flag("load.tls_sessions", "Resume TLS sessions on new connections.", Kind.SWITCH),
    Flag("load.warmup_s", "Time before the window.", Kind.SECONDS),
    Flag("load.duration_s", "The window that is measured.", Kind.SECONDS, short="-d"),
    Flag(
        "load.requests",
        "End the window after so many responses; --duration then bounds it (default 10m).",
        Kind.WHOLE,
        unset="no bound",
        short="-n",
    ),
    Flag("load.connect_timeout_s", "Client: until connected.", Kind.SECONDS),
    Flag("load.request_timeout_s", "Client: for the response, from sending on.", Kind.SECONDS),
    Flag("load.total_timeout_s", "Client: for the response, from when it is due.", Kind.SECONDS),
    Flag(
        "load.second_opinion",
        "Run this load generator too, after each trial.",
        choices=SECOND_OPINIONS,
        unset="none",
    ),
    Flag("backend.kind", "The raw, fast server or an aiohttp service.", choices=BACKENDS, has_section=True),
    Flag("backend.workers", "Worker processes of the backend.", Kind.WHOLE, has_section=True),
    Flag("backend.response_size", "Bytes of a response body: 2, 100KiB, 1KiB-64KiB.", metavar="SIZE"),
    Flag("backend.delay", "Time before answering: 5ms, uniform:1ms-20ms, exponential:10ms.", metavar="TIME"),
    Flag(
        "backend.idle_timeout_s",
        "Time after which the backend closes an idle connection.",
        Kind.SECONDS,
        unset="never",
        has_section=True,
    ),
    Flag(
        "backend.requests_per_connection",
        "Requests after which the backend closes a connection.",
        Kind.WHOLE,
        unset="no bound",
        has_section=True,
    ),
    Flag(
        "backend.close",
        "How the backend closes: at-once, linger:5ms, never.",
        metavar="HOW",
        has_section=True,
    ),
    Flag(
        "backend.fail",
        "Spoil every n-th response: reset:100, cut:50, garbage:1000.",
        metavar="HOW:N",
        unset="none",
    ),
    Flag(
        "lab",
        "Network namespaces (exact), this machine's loopback, or machines of a Dask cluster.",
        choices=RUN_LABS,
    ),
    Flag("hosts.ports", "Ephemeral ports of the proxy's host.", Kind.WHOLE, unset="the system's own range"),
    Flag("hosts.proxy_addresses", "Source addresses of the proxy.", Kind.WHOLE),
    Flag("hosts.backend_addresses", "Addresses of the backend.", Kind.WHOLE),
    Flag("hosts.pin", "Give the client cores of its own, where there are two or more.", Kind.SWITCH),
    Flag("hosts.sysctls", "Set on every host of the lab (repeatable).", Kind.PAIRS, unset="none"),
    Flag(
        "cluster.scheduler",
        "Dask's scheduler, or the file that `bench cluster up` wrote.",
        metavar="ADDRESS|FILE",
        unset="none",
    ),
    Flag("cluster.clients", "Machines with load workers.", Kind.WHOLE),
    Flag("cluster.proxies", "Machines with the proxy.", Kind.WHOLE),
    Flag("cluster.backends", "Machines with the backend.", Kind.WHOLE),
    Flag(
        "cluster.data_interface",
        "Network interface of the traffic that is measured.",
        metavar="NAME",
        unset="that of the Dask worker's address",
    ),
    Flag("cluster.proxy_port", "Where our proxies listen.", Kind.WHOLE, unset="any free port"),
    Flag("cluster.backend_port", "Where our backends listen.", Kind.WHOLE, unset="any free port"),
    Flag(
        "cluster.proxy_at",
        "A proxy that runs already, before our backends.",
        metavar="HOST:PORT",
        unset="ours",
    ),
)


def format_command(values: Mapping[str, Any]) -> str | None:
    """Return the `bench run` that requests the plan `values`, with what differs from the default.

    None where the plan holds something that no flag can express.
    """
    left = _differences(values)
    words = ["bench", "run"]
    for flag in FLAGS:
        value = left.pop((flag.section, flag.field), None)
        if value is not None:
            words += _written(flag, value)
    return None if left else shlex.join(words)


def _differences(values: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """Return what differs from the default plan, by section and key."""
    default = Plan().to_json()
    found: dict[tuple[str, str], Any] = {}
    for name, held in values.items():
        if isinstance(held, dict):
            section = default.get(name, {})
            found |= {(name, key): value for key, value in held.items() if value != section.get(key)}
        elif held != default.get(name):
            found["", name] = held
    return found


def _written(flag: Flag, value: Any) -> list[str]:
    """Return the words that give `flag` the `value`."""
    if flag.kind is Kind.PAIRS:
        return [word for name, setting in value.items() for word in (flag.name, f"{name}={setting}")]
    if flag.kind is Kind.LIST:
        return [word for each in value for word in (flag.name, each)]
    if flag.kind is Kind.SWITCH:
        return [flag.name if value else f"--no-{flag.name.removeprefix('--')}"]
    if flag.kind is Kind.SECONDS:
        return [flag.name, f"{value:g}s"]
    return [flag.name, f"{value:g}" if isinstance(value, float) else str(value)]
