"""A proof: what was predicted and measured of each location, and whether they agree. Values only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from bench import units
from bench.prove.backend_kinds import BackendKind
from bench.prove.balancing import Balancing, BalancingJson, MeasuredVerdict, verdict_of
from bench.prove.bodiless import BodilessCounts, BodilessJson
from bench.prove.changes import ChangeJson, ConfigChange, Rejection, RejectionJson
from bench.prove.idle_end import IdleTest, IdleTestJson
from bench.prove.in_flight import InFlight, InFlightJson
from bench.prove.inventory import Location
from bench.prove.requests import Request
from bench.prove.shared_pool import SharedPool, SharedPoolJson
from nginx.finding import PlaceJson
from nginx.tree import Directive
from nginx.verdict import Verdict, VerdictJson


class TimeWaitJson(TypedDict):
    """Sockets in TIME_WAIT by host; null: not known."""

    nginx: int | None
    backend: int | None


class OtherLocationsJson(TypedDict):
    """What reached the backends of a location from others."""

    requests: int
    connections: int


class MeasurementJson(TypedDict):
    """What traffic showed of a location, in the JSON of a proof."""

    verdict: MeasuredVerdict
    requests: int
    connections: int
    connections_per_request: float
    closed_first: dict[str, int]
    reset: int
    still_open: int
    from_other_locations: OtherLocationsJson
    time_wait: TimeWaitJson
    statuses: dict[str, int]
    unanswered: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What traffic showed of one location."""

    requests: int
    """Requests that its backends answered."""
    connections: int
    """Connections that its backends accepted for them."""
    still_open: int
    closed_by_backend: int
    """Connections that the backend began to close before it saw nginx do so."""
    time_wait_nginx: int | None
    """Sockets left in TIME_WAIT on nginx's host; None where the kernel is shared."""
    time_wait_backend: int | None
    statuses: Mapping[int, int]
    """How often the client received each status."""
    closed: int = 0
    """Connections that ended meanwhile, in whatever way."""
    other_requests: int = 0
    """Requests that reached its backends while other locations were proven (auth_request, mirror)."""
    other_connections: int = 0
    unanswered: int = 0
    """Requests that the client got no answer to."""

    @property
    def closed_first(self) -> dict[str, int]:
        """How many connections each side closed first: it keeps TIME_WAIT.

        Where both close at once, both do; a side that is reset (by a TLS close_notify, say) keeps none.
        """
        if self.time_wait_nginx is not None and self.time_wait_backend is not None:
            return {"nginx": self.time_wait_nginx, "backend": self.time_wait_backend}
        nginx = self.connections - self.still_open - self.closed_by_backend
        return {"nginx": nginx, "backend": self.closed_by_backend}

    @property
    def reset(self) -> int:
        """Connections that ended and left no TIME_WAIT, because one side was reset."""
        return max(0, self.closed - sum(self.closed_first.values()))

    @property
    def verdict(self) -> MeasuredVerdict:
        """The verdict that the counts give."""
        return verdict_of(self.connections, self.requests)

    def to_json(self) -> MeasurementJson:
        """Return the measurement as plain values."""
        return {
            "verdict": self.verdict,
            "requests": self.requests,
            "connections": self.connections,
            "connections_per_request": round(self.connections / self.requests, 4),
            "closed_first": self.closed_first,
            "reset": self.reset,
            "still_open": self.still_open,
            "from_other_locations": {"requests": self.other_requests, "connections": self.other_connections},
            "time_wait": {"nginx": self.time_wait_nginx, "backend": self.time_wait_backend},
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "unanswered": self.unanswered,
        }


class LocationResultJson(PlaceJson):
    """One location under one nginx, in the JSON of a proof."""

    context: str
    target: str
    request: str | None
    client: str | None
    added_location: bool
    added_file: bool
    subrequest: bool
    unreached: str | None
    not_proven: str | None
    predicted: VerdictJson
    measured: MeasurementJson | None
    load_balancing: BalancingJson | None
    backend_like: str | None
    idle_end: IdleTestJson | None
    in_flight: InFlightJson | None
    shared_pool: SharedPoolJson | None
    without_body: dict[str, BodilessJson]
    agrees: bool | None
    disagreement: str | None


@dataclass(frozen=True, slots=True)
class LocationResult:
    """One location under one nginx."""

    location: Location
    predicted: Verdict
    request: Request | None = None
    """The request that reached it; None where none did."""
    unreached: str = ""
    """Why no request reached it."""
    measured: Measurement | None = None
    balancing: Balancing | None = None
    """What its servers counted; None where it has one, or too many."""
    left_out: tuple[Directive, ...] = ()
    """Lines of its upstream {} that were left out and may decide: traffic proves nothing then."""
    kind: BackendKind | None = None
    """How its servers behaved; None where they kept everything open."""
    idle_end: IdleTest | None = None
    """What follows the end of their idle time; None where they have none."""
    in_flight: InFlight | None = None
    """What requests in flight at once did; None where none were wanted."""
    shared_pool: SharedPool | None = None
    """What it got in turn with locations that speak another version to the same pool, if there are any."""
    bodiless: Mapping[str, BodilessCounts] = field(default_factory=dict)
    """What answers without a body did, where that matters."""

    @property
    def disagreement(self) -> str | None:
        """How traffic differs from the prediction, if it does."""
        measured, predicted = self.measured, self.predicted
        if measured is None or not self._is_comparable:
            return None
        if predicted.answer == "not reused" and self._is_without_body_not_reused:
            return None  # by the way in which some servers end answers without a body
        if predicted.answer not in {measured.verdict, "partly reused"}:  # the servers' counts show the part
            return f"check says {predicted.answer}, traffic says {measured.verdict}"
        other = {"nginx": "backend", "backend": "nginx"}.get(predicted.closes_first or "")
        if other is not None and (times := measured.closed_first[other]):
            seen = f"{other} did so {units.plural(times, 'time')}"
            return f"check says {predicted.closes_first} closes first, {seen}"
        measurements = (self.balancing, self.in_flight)
        return next((each.disagreement for each in measurements if each and each.disagreement), None)

    @property
    def _is_without_body_not_reused(self) -> bool:
        """Whether its own answers have no body, and some servers' ways to end them keep no connection."""
        is_head = self.request is not None and self.request.method == "HEAD"
        return is_head and any(each.verdict == "not reused" for each in self.bodiless.values())

    @property
    def is_served_as_usual(self) -> bool:
        """Whether the servers do what a verdict expects of them: keep connections, and answer with a body."""
        return self.kind is None or (self.kind.dialect == "1.1" and self.kind.answer == "body")

    @property
    def is_stressed(self) -> bool:
        """Whether it met more than a server that keeps everything open and one request after the other."""
        return self.kind is not None or self.in_flight is not None or self.shared_pool is not None

    @property
    def failures(self) -> dict[str, int]:
        """What clients got instead of an answer of the servers', and how often."""
        if self.measured is None:
            return {}
        statuses, unanswered = Counter(self.measured.statuses), self.measured.unanswered
        if self.in_flight is not None:
            statuses.update(self.in_flight.statuses)
            unanswered += self.in_flight.unanswered
        found = {f"status {each}": count for each, count in statuses.items() if each >= 500}
        found |= {"no answer": unanswered} if unanswered else {}
        if self.shared_pool is not None:
            for what, count in self.shared_pool.failures.items():
                found[f"{what} from a pool that {', '.join(self.shared_pool.others)} shares"] = count
        for each in self.idle_end.failed if self.idle_end is not None else ():
            what = "no answer" if each.status is None else f"status {each.status}"
            found[f"{what} to a {each.method} at the end of the idle time"] = 1
        return found

    @property
    def agrees(self) -> bool | None:
        """Whether traffic confirms the verdict; None where it was not proven, or depends."""
        if self.measured is None or not self._is_comparable:
            return None
        return self.disagreement is None

    @property
    def _is_comparable(self) -> bool:
        return self.predicted.answer != "depends" and self.is_served_as_usual and not self.left_out

    @property
    def is_proven(self) -> bool:
        """Whether traffic reached it, and nothing was left out that may decide."""
        return self.measured is not None and not self.left_out

    @property
    def not_proven(self) -> str:
        """Why it is not proven; empty where it is."""
        if self.left_out:
            named = ", ".join(f"{line.name} ({line.place})" for line in self.left_out)
            return f"{named} was left out and may decide"
        return self.unreached

    def to_json(self) -> LocationResultJson:
        """Return the result as plain values."""
        passing, request = self.location.pass_location, self.request
        return {
            "file": passing.directive.place.file,
            "line": passing.directive.place.line,
            "context": passing.context,
            "target": passing.target,
            "request": None if request is None else str(request),
            "client": None if request is None else f"HTTP/{'2' if request.is_http2 else '1.1'}",
            "added_location": request is not None and request.uses_added_location,
            "added_file": request is not None and request.uses_added_file,
            "subrequest": request is not None and request.is_subrequest,
            "unreached": self.unreached or None,
            "not_proven": self.not_proven or None,
            "predicted": self.predicted.to_json(),
            "measured": None if self.measured is None else self.measured.to_json(),
            "load_balancing": None if self.balancing is None else self.balancing.to_json(),
            "backend_like": None if self.kind is None else self.kind.name,
            "idle_end": None if self.idle_end is None else self.idle_end.to_json(),
            "in_flight": None if self.in_flight is None else self.in_flight.to_json(),
            "shared_pool": None if self.shared_pool is None else self.shared_pool.to_json(),
            "without_body": {name: each.to_json() for name, each in self.bodiless.items()},
            "agrees": self.agrees,
            "disagreement": self.disagreement,
        }


class WitnessesJson(TypedDict):
    """The counts of opened connections, in the JSON of a proof."""

    backend: int
    kernel: int | None
    agree: bool


@dataclass(frozen=True, slots=True)
class ConnectionWitnesses:
    """Upstream connections as both ends counted them."""

    backend: int
    kernel: int | None
    """None where nginx's host shares the kernel's counters."""

    def __add__(self, other: "ConnectionWitnesses") -> "ConnectionWitnesses":
        known = self.kernel is not None and other.kernel is not None
        kernel = (self.kernel or 0) + (other.kernel or 0) if known else None
        return ConnectionWitnesses(self.backend + other.backend, kernel)

    @property
    def agree(self) -> bool:
        """Whether the known witnesses agree."""
        return self.kernel is None or self.kernel == self.backend

    def to_json(self) -> WitnessesJson:
        """Return the counts as plain values."""
        return {"backend": self.backend, "kernel": self.kernel, "agree": self.agree}


class ProofJson(TypedDict):
    """What one nginx did with a configuration, in the JSON of `bench prove`."""

    program: str
    version: str
    lab: str
    rejected: RejectionJson | None
    locations: list[LocationResultJson]
    witnesses: WitnessesJson | None
    changes: list[ChangeJson]
    notes: list[str]


@dataclass(slots=True)
class Proof:
    """What one nginx did with the configuration: it rejected it, or ran each location."""

    program: str
    version: str
    lab: str
    rejection: Rejection | None = None
    results: list[LocationResult] = field(default_factory=list)
    witnesses: ConnectionWitnesses | None = None
    changes: Sequence[ConfigChange] = ()
    notes: Sequence[str] = ()

    @property
    def disagreements(self) -> list[LocationResult]:
        """The locations where check and traffic disagree."""
        return [result for result in self.results if result.disagreement is not None]

    @property
    def is_sound(self) -> bool:
        """Whether something was proven, nothing contradicts the verdicts, and no kind of server fails."""
        proven = any(result.is_proven for result in self.results)
        witnessed = self.witnesses is not None and self.witnesses.agree
        is_confirmed = witnessed and not self.disagreements
        return self.rejection is None and proven and is_confirmed and not self.failing

    @property
    def failing(self) -> list[LocationResult]:
        """The locations whose servers, behaving as they do, leave clients with errors."""
        return [each for each in self.results if each.failures and each.is_stressed]

    def to_json(self) -> ProofJson:
        """Return the proof as plain values."""
        return {
            "program": self.program,
            "version": self.version,
            "lab": self.lab,
            "rejected": None if self.rejection is None else self.rejection.to_json(),
            "locations": [result.to_json() for result in self.results],
            "witnesses": None if self.witnesses is None else self.witnesses.to_json(),
            "changes": [change.to_json() for change in self.changes],
            "notes": list(self.notes),
        }
