"""How a server behaves besides its protocol: what it answers, and how it treats its connections."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backends.role.errors import MisuseError

ANSWERS = ("body", "empty", "none")
"""What a response contains: a body, an empty one (200, length 0), or none at all (204)."""
DIALECTS = ("1.1", "closing", "1.0", "1.0-only", "both-lengths")
"""Which HTTP/1 a server speaks.

closing: HTTP/1.1, and it closes after each response. 1.0: it reads HTTP/1.1 and answers in HTTP/1.0.
1.0-only: it refuses HTTP/1.1. both-lengths: it answers HTTP/1.1 with a length and in chunks.
"""


@dataclass(slots=True)
class Behaviour:
    """What all connections of one address share; what it answers may change while they are open."""

    body: bytes = b" !"
    answer: str = "body"
    ends: str = "head"
    """What ends a response without a body over HTTP/2: its head, or an empty DATA frame behind it."""
    dialect: str = "1.1"
    processes: int | None = None
    """Connections that are served at once, each until it ends; the next ones wait."""
    requests: int | None = None
    """Requests that a connection serves (HTTP/1 only)."""
    idle_s: float | None = None
    """After how many idle seconds the server ends a connection, or PINGs it."""
    pings: bool = False
    """Whether it PINGs an idle connection (HTTP/2 only) instead of closing it."""

    @property
    def content(self) -> bytes:
        """What a response contains."""
        return self.body if self.answer == "body" else b""

    @property
    def status(self) -> int:
        """The status of a response."""
        return 204 if self.answer == "none" else 200


def add_behaviour_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each part of a behaviour."""
    add: Callable[..., Any] = parser.add_argument
    add("--answer", choices=ANSWERS, default="body", help="what a response contains")
    add("--dialect", choices=DIALECTS, default="1.1", help="which HTTP/1 it speaks")
    add("--processes", type=int, metavar="N", help="connections that are served at once")
    add("--requests", type=int, metavar="N", help="requests that a connection serves")
    add("--idle-s", type=float, metavar="SECONDS", help="when an idle connection ends")
    add("--pings", action="store_true", help="PING an idle connection, not close it")


def read_behaviour(given: argparse.Namespace) -> Behaviour:
    """Return the behaviour that the flags describe. Raise MisuseError."""
    for name in ("processes", "requests", "idle_s"):
        value = getattr(given, name)
        if value is not None and not value > 0:
            raise MisuseError(f"--{name.replace('_', '-')} {value} is not above 0")
    if given.pings and given.kind != "h2":
        raise MisuseError(f"--pings needs --kind h2, not {given.kind}: no other protocol has a PING")
    return Behaviour(
        answer=given.answer,
        dialect=given.dialect,
        processes=given.processes,
        requests=given.requests,
        idle_s=given.idle_s,
        pings=given.pings,
    )
