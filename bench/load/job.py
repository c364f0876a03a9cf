"""The job of one load worker, passed by the parent in one JSON line. Values only."""

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.load import job_rules


@dataclass(frozen=True, slots=True)
class LoadJob:
    """What one worker sends, where and for how long, and what a correct response is."""

    host: str
    """Address to connect to; resolved once, before the start."""
    port: int
    host_field: str
    """Value of the Host field."""
    paths: tuple[tuple[str, int], ...] = (("/", 1),)
    """Each with its weight; each request adds `?n=NUMBER` (`&n=` behind a query)."""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    """Fields beside Host, X-Bench-Id, X-Bench-Fill, Content-Length and, with short clients, Connection."""
    body: bytes = b""
    """Content of each request; in JSON as base64."""
    connections: int = 64
    rate: float | None = None
    """Requests per second of this worker in open loop; None: closed loop."""
    rate_end: float | None = None
    """The rate at the end of the window: it changes evenly from `rate` at its start; None: it stays."""
    arrivals: str = "constant"
    """Open loop: constant, or poisson, where the requests come independently of one another."""
    rate_phase: float = 0.0
    """Offset of its due times between those of the other workers: a share (0 to 1) of its interval."""
    warmup_s: float = 0.5
    duration_s: float = 2.5
    requests: int | None = None
    """The window ends early after so many responses, correct or not; None: no such bound. Errors are counted
    toward it ten times a second.
    """
    client_mode: str = "keepalive"
    """keepalive, or short: `Connection: close`, one request per connection, the client closes first."""
    requests_per_connection: int | None = None
    """The client closes a connection after so many requests; None: never."""
    connect_timeout_s: float = 5.0
    request_timeout_s: float = 10.0
    """From the write to the last byte."""
    total_timeout_s: float = 30.0
    """From the due time (closed loop: from before the connect) to the last byte."""
    drain_timeout_s: float = 5.0
    """How long exchanges may take to finish after the window's end."""
    statuses: tuple[tuple[int, int], ...] = ((200, 299),)
    """Ranges, lowest and highest status each, of a correct response."""
    echo: bool = True
    """Whether the response must carry the request's X-Bench-Id."""
    body_bytes: tuple[int, int] | None = None
    """Fewest and most bytes of a correct body; None: any."""
    pattern: bool = True
    """Whether the body must be a prefix of the repeated pattern (http11.PATTERN_UNIT)."""
    http2: bool = False
    """Whether the clients speak HTTP/2: without TLS it is known beforehand (RFC 9113, section 3.3)."""
    streams: int = 1
    """HTTP/2: the exchanges at a time on each connection."""
    tls: bool = False
    """Whether the connections speak TLS; the keys below say how."""
    tls_verify: bool = True
    tls_authority: str | None = None
    """The certificates that are trusted, in PEM; None: the system's."""
    tls_name: str | None = None
    """The name that the server's certificate must be for, sent as SNI (RFC 6066, section 3) unless it is an
    address; None: the address.
    """
    tls_sessions: bool = True
    """Whether a new connection resumes the session of an earlier one."""
    worker: int = 0
    seed: int = 1

    @property
    def is_short(self) -> bool:
        """Return whether each request has a connection of its own."""
        return self.client_mode == "short"

    @property
    def right_statuses(self) -> frozenset[int]:
        """Return each status of a correct response."""
        return frozenset(status for low, high in self.statuses for status in range(low, high + 1))

    def to_json(self) -> dict[str, Any]:
        """Return the job as plain values."""
        return dataclasses.asdict(self) | {"body": base64.b64encode(self.body).decode()}

    def check(self) -> None:
        """Raise ValueError if a value cannot be."""
        job_rules.check_values({key: getattr(self, key) for key in job_rules.JOB}, job_rules.JOB)
        if self.rate == 0 and not self.rate_end:
            raise ValueError("rate = 0 is no rate, unless rate_end is above it")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "LoadJob":
        """Return the job that `to_json` wrote; raise ValueError if a key or a value cannot be."""
        decoded = {**values, "body": _decoded(values["body"])} if "body" in values else values
        job = cls(**job_rules.read_values(decoded, job_rules.JOB, ("host", "port", "host_field")))
        job.check()
        return job


def split(job: LoadJob, workers: int) -> list[LoadJob]:
    """Return the jobs of `workers` workers that together do `job`.

    Connections and a request count are split as evenly as possible; a rate evenly, with interleaved due
    times. Poisson arrivals stay what they are: the sum of independent ones is Poisson too.
    """
    return [
        dataclasses.replace(
            job,
            worker=index,
            connections=_share(job.connections, workers, index),
            requests=None if job.requests is None else _share(job.requests, workers, index),
            rate=None if job.rate is None else job.rate / workers,
            rate_end=None if job.rate_end is None else job.rate_end / workers,
            rate_phase=index / workers,
        )
        for index in range(workers)
    ]


def _share(whole: int, parts: int, index: int) -> int:
    return whole // parts + (index < whole % parts)


def _decoded(text: Any) -> Any:
    """Return the bytes of base64, or what is none for the rules to refuse."""
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        return text
