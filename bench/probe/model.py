"""What a probe found out about a server. Values only, and their JSON."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypedDict, cast

import msgspec

_FORMAT = 1


class Ending(StrEnum):
    """How a server ends an idle connection."""

    FIN = "FIN"
    RST = "RST"
    GOAWAY = "GOAWAY"
    """In HTTP/2 (RFC 9113, section 6.8); a FIN follows."""
    SILENCE = "silence"
    """It forgets the connection and tells nobody: the next request is answered by an RST, or by nothing."""


@dataclass(frozen=True, slots=True)
class IdleTimeout:
    """After how much idle time a server ends a connection.

    The real value lies in low_s..high_s. `high_s` is None where no end came while the probe waited, and then
    `low_s` is how long it waited.
    """

    low_s: float
    high_s: float | None
    seen_s: tuple[float, ...] = ()
    """What single connections showed."""
    ending: Ending | None = None

    @property
    def is_known(self) -> bool:
        """Return whether an end was seen."""
        return self.high_s is not None

    def check(self) -> None:
        """Raise ValueError where it is no interval of time."""
        if not 0 <= self.low_s <= (self.low_s if self.high_s is None else self.high_s):
            raise ValueError(f"an idle time from {self.low_s!r} s to {self.high_s!r} s makes no sense")


@dataclass(frozen=True, slots=True)
class KeepAliveCase:
    """Whether the connection was kept after one kind of exchange; `kept` is None where that did not show.

    It is not kept either where bytes came that belong to no response: there `ending` is None, and `reason`
    says so.
    """

    name: str
    """As in "HTTP/1.1 GET", "HTTP/1.0 with keep-alive", "HEAD", "304", "404"."""
    kept: bool | None
    announced: bool = False
    """The response said that the connection ends (`Connection: close`), or stays where that is not usual."""
    status: int | None = None
    ending: Ending | None = None
    reason: str = ""
    """Why it was not tried, or what else made the connection useless."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """All that one probe found out."""

    target: str
    """As given: HOST:PORT or URL."""
    host: str
    port: int
    path: str
    server: str | None = None
    """The `Server` field, which need not be true."""
    versions: tuple[str, ...] = ()
    """Of "HTTP/1.0", "HTTP/1.1", "h2" (by ALPN), "h2c" (prior knowledge): those that it speaks."""
    cases: tuple[KeepAliveCase, ...] = ()
    max_requests: int | None = None
    """It ended the connection after so many requests; None: not within `requests_tried`."""
    requests_tried: int = 0
    max_requests_announced: bool = False
    """The last response said so (`Connection: close`)."""
    announced: str | None = None
    """The field Keep-Alive, as it came."""
    announced_max: int | None = None
    """`Keep-Alive: max=`, where that is a number."""
    idle: IdleTimeout | None = None
    """After a response. None: it keeps no connections."""
    idle_before_request: IdleTimeout | None = None
    """On a connection that never had a request. None: not tried."""
    idle_http2: IdleTimeout | None = None
    """After a response in HTTP/2. None: it does not speak it, or did not answer."""
    announced_idle_s: float | None = None
    """`Keep-Alive: timeout=`, where that is a number of seconds."""
    connections_used: int = 0
    requests_used: int = 0
    took_s: float = 0.0
    notes: tuple[str, ...] = ()

    def to_json(self) -> "ProbeJson":
        """Return the result as plain values."""
        return cast(ProbeJson, {"kind": "probe", "format": _FORMAT, **msgspec.to_builtins(self)})

    @classmethod
    def from_json(cls, value: Any) -> "ProbeResult":
        """Return the result that `value`, read from JSON, is of; ValueError where it is none."""
        if not isinstance(value, dict) or value.get("kind") != "probe":
            raise ValueError("it is no result of `bench probe --json`")
        if value.get("format") != _FORMAT:
            raise ValueError(f"its format is {value.get('format')!r}, and this version reads {_FORMAT}")
        try:
            result = msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            reason = str(error)
            raise ValueError(reason[:1].lower() + reason[1:]) from error
        for idle in (result.idle, result.idle_before_request, result.idle_http2):
            if idle is not None:
                idle.check()
        return result


class IdleTimeoutJson(TypedDict):
    """After how much idle time a server ends a connection, as JSON: see IdleTimeout."""

    low_s: float
    high_s: float | None
    """null: no end came within `low_s`."""
    seen_s: list[float]
    ending: Literal["FIN", "RST", "GOAWAY", "silence"] | None


class KeepAliveCaseJson(TypedDict):
    """Whether a connection was kept after one kind of exchange, as JSON: see KeepAliveCase."""

    name: str
    kept: bool | None
    announced: bool
    status: int | None
    ending: Literal["FIN", "RST", "GOAWAY", "silence"] | None
    reason: str


class ProbeJson(TypedDict):
    """What `bench probe --json` prints, and `bench check --probe FILE` reads: see ProbeResult."""

    kind: Literal["probe"]
    format: Literal[1]
    target: str
    host: str
    port: int
    path: str
    server: str | None
    versions: list[str]
    cases: list[KeepAliveCaseJson]
    max_requests: int | None
    requests_tried: int
    max_requests_announced: bool
    announced: str | None
    announced_max: int | None
    idle: IdleTimeoutJson | None
    idle_before_request: IdleTimeoutJson | None
    idle_http2: IdleTimeoutJson | None
    announced_idle_s: float | None
    connections_used: int
    requests_used: int
    took_s: float
    notes: list[str]
