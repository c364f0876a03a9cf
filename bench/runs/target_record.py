"""What is recorded of a server that ran already (`--target`). Values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """The server of `--target`, by its answer to one request before the first trial."""

    url: str
    address: str
    """HOST:PORT that the clients connect to."""
    protocol: str
    """HTTP/1.1 or HTTP/1.0."""
    status: int
    reason: str = ""
    location: str = ""
    """Where a redirect leads."""
    server: str = ""
    tls: str = ""
    """The version of TLS; empty without."""
    keeps: bool = True
    """Whether it keeps the connection after the response."""


@dataclass(frozen=True, slots=True)
class BehindTarget:
    """The connections that a target on this host opens, as its kernel shows them; None: not measured."""

    peers: tuple[str, ...] | None = None
    """To whom, HOST:PORT each."""
    opened_at_least: int | None = None
    """To these, over the trial: those that were there and those that left a socket in TIME_WAIT."""
    opened_at_most: int | None = None
    """By all processes of the host but the clients, to anybody."""
    per_request: float | None = None
    """The first of the two over the responses of the trial."""
