"""What every adapter of a subject receives and returns. No processes here: the adapters have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.errors import MissingProgramError, PlanError
from bench.lab import Host
from bench.plan.run_plan import ClosesFirst, Mode
from bench.plan.run_plan import Subject as Plan
from bench.subjects.certificates import Certificate

SPARE_FDS = 64
"""Standard streams, pollers, listeners, and what an interpreter holds open besides connections."""
SPARE_CLIENTS = 1024
"""Client connections that the proxy may not have seen the end of when their successors come."""
SILENCE_S = 3600
"""How long a tunnel or a stream may be silent unless configured: longer than any trial."""


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """TLS to the backend, in one version, with or without the resumption of sessions."""

    version: str
    """1.2 or 1.3."""
    resumes: bool
    authority: str | None = None
    """The certificate that verifies the backend's, in PEM; None: none is verified. A proxy that does not
    verify unless told to may ignore it.
    """


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is sent through beside ordinary exchanges; an adapter refuses what its proxy cannot do."""

    upgrade: bool = False
    """`Upgrade` is passed on, and what follows is a tunnel (RFC 9110, section 7.8)."""
    streams: bool = False
    """Responses that go on for minutes, with silence in between: passed on as they come, and not cut off."""
    passthrough: bool = False
    """No exchanges at all: TCP connections, whatever their bytes, each with one of its own upstream."""
    silence_s: float = SILENCE_S
    """How long a tunnel or a stream may be silent before it is ended."""
    client_http: str = "1.1"
    """What the clients speak: 1.1, 2 (without TLS it is known beforehand) or 3."""
    http2_upstream: bool = False
    """HTTP/2 without TLS to the backend, instead of the plan's `upstream_http`."""
    upstream_tls: UpstreamTls | None = None
    certificate: Certificate | None = None
    """What the subject shows to clients; known once there is a lab."""
    client_tls: bool = False
    """Whether the clients speak TLS: HTTP/3 has no form without, and HTTP/2 is then chosen by ALPN."""

    @property
    def lasts(self) -> bool:
        """Return whether anything outlives the silence that ends an ordinary exchange."""
        return self.upgrade or self.streams or self.passthrough


class Unsupported(PlanError):
    """A proxy cannot do what is config.

    `reason` goes on from its name, `key` names the setting, `remedy` what to do there.
    """

    def __init__(self, name: str, key: str, reason: str, remedy: str = "leave it out") -> None:
        super().__init__(name, key, reason, remedy)
        self.name = name
        self.key = key
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.key}: {self.name} {self.reason}; {self.remedy}"


class NotInstalled(Unsupported, MissingProgramError):
    """The program of a proxy is not installed here."""


@dataclass(frozen=True, slots=True)
class SupportedProtocols:
    """Which versions of HTTP a proxy speaks, as far as its adapter can configure them."""

    client: tuple[str, ...] = ("1.1",)
    upstream: tuple[str, ...] = ("1.1",)
    client_tls: bool = False
    upstream_tls: bool = False
    passthrough: bool = False
    """Whether it passes TCP connections through as well."""

    def check(self, name: str, config: "SubjectConfig") -> None:
        """Raise Unsupported where the proxy `name` does not speak what `config` says."""
        plan, traffic = config.plan, config.traffic
        if plan.upstream_http not in self.upstream:
            known = " and ".join(version for version in self.upstream if version != "2")
            raise Unsupported(name, f"subject.upstream_http = {plan.upstream_http}", f"sends {known} only")
        if traffic.client_http not in self.client:
            known = " or ".join(self.client)
            reason = f"speaks no HTTP/{traffic.client_http} with clients"
            raise Unsupported(
                name, "load.http2", reason, f"let the clients speak {known}, or name another proxy"
            )
        if traffic.client_tls and traffic.client_http != "3" and not self.client_tls:
            raise Unsupported(name, "load.tls", "is not configured here for TLS with clients")
        if traffic.http2_upstream and "2" not in self.upstream:
            raise Unsupported(name, "traffic.http2_upstream", "speaks no HTTP/2 with upstream servers")
        if traffic.upstream_tls is not None and not self.upstream_tls:
            raise Unsupported(name, "subject.upstream_tls", "is not configured here for TLS upstream")
        if traffic.passthrough and not self.passthrough:
            raise Unsupported(name, "traffic.passthrough", "is not configured here for plain TCP")


@dataclass(frozen=True, slots=True)
class SubjectConfig:
    """What a subject does in one trial."""

    mode: Mode
    closes_first: ClosesFirst
    plan: Plan
    pool_idle: int
    """Idle upstream connections that one worker keeps; without a meaning in short mode."""
    upstreams: Sequence[str]
    """The backend's addresses, HOST:PORT, used in turn."""
    clients: int
    """Client connections that come to it, in all."""
    sources: Sequence[str] = ()
    """Source addresses for upstream connections, used in turn; none: the system chooses."""
    traffic: Traffic = field(default_factory=Traffic)


@dataclass(frozen=True, slots=True)
class SubjectCounts:
    """What a subject counted of its own upstream side; None where it does not count that."""

    opened: int | None = None
    accepted: int | None = None
    quic: int | None = None
    """QUIC connections from clients."""
    lost: int | None = None
    """Pooled connections that the backend ended."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Upstream errors by kind, as in `record.UPSTREAM_ERROR_KINDS` and more; only those that it counts."""
    first_exhausted_ns: int | None = None

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "SubjectCounts":
        """Return the counts in our proxy's `count` or `done` event (docs/reference/pipes.md)."""
        return cls(
            opened=event["opened"],
            accepted=event["accepted"],
            lost=event["lost"],
            errors=event["errors"]["upstream"],
            first_exhausted_ns=event["first_exhausted_ns"],
        )


class RunningSubject(Protocol):
    """A subject that accepts requests."""

    address: str
    """HOST:PORT where the clients reach it."""
    version: str
    pid: int | None
    """Root of its process tree; None where it has no process of its own."""

    def count(self) -> SubjectCounts:
        """Return what it has counted so far."""

    def stop(self) -> None:
        """End it and its process tree."""

    def restart(self) -> None:
        """End it and start it anew at the same address; from then on it counts nothing."""

    def reload(self) -> None:
        """Have it read its configuration anew; RoleError where it has no such signal."""


class SubjectAdapter(Protocol):
    """A proxy that can be measured."""

    def check(self, config: SubjectConfig) -> None:
        """Raise NotInstalled or Unsupported where it cannot do what is config."""

    def start(self, host: Host, cpus: set[int] | None, config: SubjectConfig) -> RunningSubject:
        """Start it on `host` and wait until it listens; RoleError when it does not."""
