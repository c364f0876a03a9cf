"""What a probe found out about a server. Values only."""

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """How a server ends an idle connection."""

    FIN = "FIN"
    RST = "RST"
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
    after_first_byte: bool = False
    """Only after the first response; a connection without any request is ended at another time, or never."""

    @property
    def is_known(self) -> bool:
        """Return whether an end was seen."""
        return self.high_s is not None


@dataclass(frozen=True, slots=True)
class KeepAliveCase:
    """Whether the connection was kept after one kind of exchange; `kept` is None where it was not tried."""

    name: str
    """As in "HTTP/1.1 GET", "HTTP/1.0 with keep-alive", "HEAD", "304", "404"."""
    kept: bool | None
    announced: bool = False
    """The response said that the connection ends (`Connection: close`), or stays where that is not usual."""
    status: int | None = None
    ending: Ending | None = None
    reason: str = ""
    """Why it was not tried."""


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
    announced_max: int | None = None
    """`Keep-Alive: max=`."""
    idle: IdleTimeout | None = None
    """None: it keeps no connections."""
    announced_idle_s: float | None = None
    """`Keep-Alive: timeout=`."""
    connections_used: int = 0
    requests_used: int = 0
    took_s: float = 0.0
    notes: tuple[str, ...] = ()
