"""Predicted beside measured, location by location, and whether they agree. Values, no doing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.prove.accepting import Refusal
from bench.prove.balancing import Turns
from bench.prove.changes import Change
from bench.prove.inventory import Spot
from bench.prove.requests import Request
from nginx.verdict import Verdict

Answer = Literal["reused", "not reused", "partly reused"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What traffic showed of one location.

    Attributes:
        requests: that its backends answered; `connections` that they accepted for them.
        left_first: connections that the backend began to close before it saw nginx do so.
        time_wait_nginx: sockets left in TIME_WAIT on nginx's host, exactly; None where no kernel says.
        statuses: of the answers that the client got.
        closed: connections that ended meanwhile, however they did.
        requests_beside: that reached its backends when other locations were proven (auth_request, mirror),
            with the connections that they opened.
    """

    requests: int
    connections: int
    still_open: int
    left_first: int
    time_wait_nginx: int | None
    time_wait_backend: int | None
    statuses: Mapping[int, int]
    closed: int = 0
    requests_beside: int = 0
    connections_beside: int = 0

    @property
    def closed_first(self) -> dict[str, int]:
        """How many connections each side closed first: it keeps TIME_WAIT.

        Where both close at once, both do; a side that is reset (by the other's TLS goodbye, say) keeps none.
        """
        if self.time_wait_nginx is not None and self.time_wait_backend is not None:
            return {"nginx": self.time_wait_nginx, "backend": self.time_wait_backend}
        return {"nginx": self.connections - self.still_open - self.left_first, "backend": self.left_first}

    @property
    def reset(self) -> int:
        """Connections that ended and left no TIME_WAIT: one side was reset, as TLS goodbyes may do."""
        return max(0, self.closed - sum(self.closed_first.values()))

    @property
    def answer(self) -> Answer:
        """The verdict that the counts give."""
        if self.connections >= self.requests:
            return "not reused"
        return "reused" if 2 * self.connections <= self.requests else "partly reused"

    def to_json(self) -> dict[str, Any]:
        """Returns the measurement as plain values."""
        return {
            "verdict": self.answer,
            "requests": self.requests,
            "connections": self.connections,
            "connections_per_request": round(self.connections / self.requests, 4),
            "closed_first": self.closed_first,
            "reset": self.reset,
            "still_open": self.still_open,
            "beside": {"requests": self.requests_beside, "connections": self.connections_beside},
            "time_wait": {"nginx": self.time_wait_nginx, "backend": self.time_wait_backend},
            "statuses": {str(status): count for status, count in self.statuses.items()},
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """One location under one nginx.

    Attributes:
        request: what reached it; None where nothing did, and then `unreached` says why.
        turns: what its servers got one after the other; None where it has but one, or too many.
    """

    spot: Spot
    predicted: Verdict
    request: Request | None = None
    unreached: str = ""
    measured: Measured | None = None
    turns: Turns | None = None

    @property
    def disagreement(self) -> str | None:
        """What was predicted and did not come true, if something did not."""
        measured, predicted = self.measured, self.predicted
        if measured is None or predicted.answer == "depends":
            return None
        if predicted.answer != measured.answer:
            return f"check says {predicted.answer}, traffic says {measured.answer}"
        other = {"nginx": "backend", "backend": "nginx"}.get(predicted.closes_first or "")
        if other is not None and (times := measured.closed_first[other]):
            return f"check says {predicted.closes_first} closes first, {other} did so {times} times"
        return None if self.turns is None else self.turns.disagreement

    @property
    def agrees(self) -> bool | None:
        """Whether traffic bears the verdict out; None where it was not proven, or depends."""
        if self.measured is None or self.predicted.answer == "depends":
            return None
        return self.disagreement is None

    def to_json(self) -> dict[str, Any]:
        """Returns the outcome as plain values."""
        location = self.spot.location
        return {
            "file": location.directive.place.file,
            "line": location.directive.place.line,
            "context": location.context,
            "target": location.target,
            "request": None if self.request is None else str(self.request),
            "client": None if self.request is None else f"HTTP/{'2' if self.request.is_http2 else '1.1'}",
            "entrance": self.request is not None and self.request.is_entrance,
            "with_file": self.request is not None and self.request.wants_file,
            "unreached": self.unreached or None,
            "predicted": self.predicted.to_json(),
            "measured": None if self.measured is None else self.measured.to_json(),
            "turns": None if self.turns is None else self.turns.to_json(),
            "agrees": self.agrees,
            "disagreement": self.disagreement,
        }


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Connections upstream as both ends counted them; None: the lab has no such witness."""

    backend: int
    kernel: int | None

    def __add__(self, other: Witnesses) -> Witnesses:
        known = self.kernel is not None and other.kernel is not None
        kernel = (self.kernel or 0) + (other.kernel or 0) if known else None
        return Witnesses(self.backend + other.backend, kernel)

    @property
    def agree(self) -> bool:
        """Whether all that there are agree."""
        return self.kernel is None or self.kernel == self.backend


@dataclass(slots=True)
class Proof:
    """What one nginx did with the configuration: refused it, or the outcome of each location."""

    program: str
    version: str
    lab: str
    refusal: Refusal | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    witnesses: Witnesses | None = None
    changes: Sequence[Change] = ()
    notes: Sequence[str] = ()

    @property
    def disagreements(self) -> list[Outcome]:
        """The locations where check and traffic disagree."""
        return [outcome for outcome in self.outcomes if outcome.disagreement is not None]

    @property
    def is_sound(self) -> bool:
        """Whether nothing speaks against the verdicts, and something for them."""
        proven = any(outcome.measured is not None for outcome in self.outcomes)
        witnessed = self.witnesses is not None and self.witnesses.agree
        return self.refusal is None and proven and witnessed and not self.disagreements

    def to_json(self) -> dict[str, Any]:
        """Returns the proof as plain values."""
        witnesses = self.witnesses and {
            "backend": self.witnesses.backend,
            "kernel": self.witnesses.kernel,
            "agree": self.witnesses.agree,
        }
        return {
            "program": self.program,
            "version": self.version,
            "lab": self.lab,
            "refused": None if self.refusal is None else self.refusal.to_json(),
            "locations": [outcome.to_json() for outcome in self.outcomes],
            "witnesses": witnesses,
            "changes": [change.to_json() for change in self.changes],
            "notes": list(self.notes),
        }
