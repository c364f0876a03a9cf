"""Part b: what a request costs the proxy, ours beside nginx, HAProxy, Envoy, Caddy and aiohttp.

Each subject has a backend of its own: the backend's counts are then the subject's, and its ports in
TIME_WAIT are free again (loopback, tcp_tw_reuse=2) when its turn comes round. The backend never closes
first, so that in short mode every subject does.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.errors import RoleError
from bench.lab import sysctl
from bench.load.tools import ToolLoad
from bench.observe.process_tree import ProcessTree
from tests.perf import checkouts, loaders, pairs, programs, subjects
from tests.perf.pairs import Row, Target
from tests.perf.settings import Settings
from tests.perf.stage import Backend, Served, Stage, stage
from tests.perf.subjects import Subject

OTHERS = ("haproxy", "envoy", "caddy", "aiohttp")
SHARES = {"envoy": 0.5, "caddy": 0.4, "aiohttp": 0.2}
"""The slow get fewer requests, so that a turn of each takes about as long."""
URIS = 1000
_FULL = 0.97
"""From this share on the core of driver and backend was the limit, not the subject."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load, in one mode, and what ours may cost at most."""

    part: str
    body: str
    connections: int
    is_short: bool
    of_nginx: float
    requests: int
    """In a turn; in short mode fewer than half of the port range."""

    def __str__(self) -> str:
        mode = "short" if self.is_short else "keepalive"
        return f"{self.body} B, {self.connections} connections, {mode}".replace("iB B", "iB")

    def target(self, other: str) -> Target | None:
        """Return what is asked of ours beside `other`."""
        if other == "nginx":
            return Target(self.of_nginx)
        if other == "baseline":
            return Target(1.0, "ratio_low")
        return Target(1.0) if other in ("envoy", "caddy") else None


SCENARIOS = (
    Scenario("b-tiny", "2", 64, False, 1.2, 30_000),
    Scenario("b-tiny", "2", 64, True, 1.15, 10_000),
    Scenario("b-2000", "2", 2000, False, 1.0, 30_000),
    Scenario("b-2000", "2", 2000, True, 1.0, 12_000),
    Scenario("b-100k", "100KiB", 16, False, 1.3, 6_000),
    Scenario("b-100k", "100KiB", 16, True, 1.3, 4_000),
    Scenario("b-10m", "10MiB", 16, False, 1.3, 160),
    Scenario("b-10m", "10MiB", 16, True, 1.3, 160),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one subject did in one round."""

    cpu_us: float
    served: Served
    errors: int
    near_share: float
    """How full the core of driver and backend was."""


@dataclass(slots=True)
class Candidate:
    """A subject with its backend, and its turns so far, of which the first only warms up."""

    subject: Subject
    uris: Path
    backend: Backend
    backend_tree: ProcessTree
    turns: list[Turn] = field(default_factory=list)

    @property
    def costs(self) -> list[float]:
        """Return what a request cost in each turn, in microseconds of CPU."""
        return [turn.cpu_us for turn in self.turns[1:]]  # the first warms up


def measure(settings: Settings, parts: Sequence[str], baseline: Path | None = None) -> Iterator[Row]:
    """Yield the rows of each scenario that one of `parts` names; ours of `baseline` takes part too."""
    for scenario in SCENARIOS:
        if not any(scenario.part == part or scenario.part.startswith(f"{part}-") for part in parts):
            continue
        if programs.find("h2load") is None:
            reason = "h2load, which drives them, is not installed"
            yield pairs.missing(scenario.part, str(scenario), "all", reason)
            continue
        with stage() as opened, TemporaryDirectory() as folder:
            yield from Play(opened, scenario, Path(folder), settings, baseline).rows()


class Play:
    """One scenario on its stage."""

    def __init__(
        self, opened: Stage, scenario: Scenario, folder: Path, settings: Settings, baseline: Path | None
    ) -> None:
        self._stage = opened
        self._scenario = scenario
        self._folder = folder
        self._settings = settings
        self._baseline = baseline
        low, high = sysctl.port_range(sysctl.read(sysctl.PORT_RANGE))
        self._half_range = (high - low + 1) // 2

    def rows(self) -> Iterator[Row]:
        """Yield ours beside each of the others, and first those that cannot take part."""
        scenario, absent = self._scenario, subjects.missing(("nginx", *OTHERS))
        out = dict.fromkeys(absent, "not installed")
        candidates = {"ours": self.start("ours")}
        if self._baseline is not None:
            candidates["baseline"] = self.start("baseline")
        if "nginx" not in absent:
            candidates["nginx"] = self._best_nginx()
        candidates |= {name: self.start(name) for name in OTHERS if name not in absent}
        for round_ in range(self._settings.proxy_rounds + 1):
            for name in pairs.order(list(candidates), round_):
                try:
                    candidates[name].turns.append(self.turn(candidates[name]))
                except RoleError as error:
                    del candidates[name]
                    out[name] = str(error)
        for name, reason in out.items():
            yield pairs.missing(scenario.part, str(scenario), name, reason)
        if "ours" in candidates:
            for name in list(candidates)[1:]:
                yield self._row(candidates["ours"], name, candidates[name])

    def start(self, name: str) -> Candidate:
        """Start the subject called `name` with a backend of its own."""
        scenario = self._scenario
        backend = self._stage.backend(self._stage.near, "--response-size", scenario.body, "--close", "never")
        folder = self._folder / name
        checkout = self._baseline if name == "baseline" else None
        subject = subjects.start(
            self._stage, name, backend.address, is_short=scenario.is_short, folder=folder, checkout=checkout
        )
        uris = folder / "uris"
        uris.write_text("".join(f"http://{subject.address}/item?n={n}\n" for n in range(URIS)))
        return Candidate(subject, uris, backend, ProcessTree(backend.process.pid))

    def _best_nginx(self) -> Candidate:
        """Try each configuration, and return the one that costs the least; the others are ended."""
        tried = [self.start(f"nginx-{buffers}") for buffers in subjects.NGINX_BUFFERS]
        costs = {id(each): min(self.turn(each).cpu_us for _ in range(2)) for each in tried}
        best = min(tried, key=lambda each: costs[id(each)])
        for each in tried:
            if each is not best:
                each.subject.process.stop()
                each.backend.process.stop()
        return best

    def turn(self, candidate: Candidate) -> Turn:
        """Drive one subject for a while, and count what it did by its backend."""
        subject, scenario = candidate.subject, self._scenario
        subject.tree.refresh()
        before, before_s = candidate.backend.count(), subject.tree.cpu_s()
        backend_s = candidate.backend_tree.cpu_s()
        share = SHARES.get(subject.name, 1.0)
        requests = max(scenario.connections, int(scenario.requests * share))
        flags = ("-H", "Accept: */*", "-i", str(candidate.uris))
        load = ToolLoad(f"http://{subject.address}/", scenario.connections, requests, flags=flags)
        sent = loaders.theirs("h2load", load, self._stage.near)
        cpu_s = subject.tree.cpu_s() - before_s
        backend_s = candidate.backend_tree.cpu_s() - backend_s
        served = candidate.backend.count().since(before)
        if served.requests == 0:
            raise RoleError(subject.name, "let no request through", subject.process.exit_message)
        near_share = sent.cpu_share + backend_s / sent.wall_s
        return Turn(cpu_s / served.requests * 1e6, served, sent.errors, near_share)

    def _row(self, ours: Candidate, name: str, other: Candidate) -> Row:
        scenario = self._scenario
        notes = (*self._notes(ours), *self._notes(other))
        row = Row(scenario.part, str(scenario), "CPU us/request", None, notes=notes)
        shown = f"{other.subject.name} {other.subject.version}".strip()
        if name == "baseline" and self._baseline is not None:
            shown = f"ours, {checkouts.commit(self._baseline)}"
        return pairs.beside(row, shown, ours.costs, other.costs, scenario.target(name))

    def _notes(self, candidate: Candidate) -> Iterator[str]:
        """Yield what must be known of a subject's turns: opens, errors, who was the limit."""
        scenario, turns, name = self._scenario, candidate.turns[1:], candidate.subject.name
        opened = max(turn.served.accepted for turn in turns)
        requests = statistics.median(turn.served.requests for turn in turns)
        yield f"{name}: at most {opened} opens a turn, {requests:.0f} requests"
        if scenario.is_short:
            if any(turn.served.accepted < 0.99 * turn.served.requests for turn in turns):
                yield f"{name}: REUSES connections in short mode"
            if opened >= self._half_range:
                yield f"{name}: MORE OPENS than half of the port range ({self._half_range})"
        elif opened > scenario.connections:
            yield f"{name}: opened more than one connection a client"
        if closed_first := sum(turn.served.closed_first for turn in turns):
            yield f"{name}: its backend closed {closed_first} connections first"
        if errors := sum(turn.errors for turn in turns):
            yield f"{name}: {errors} ERRORS"
        if statistics.median(turn.near_share for turn in turns) >= _FULL:
            yield f"{name}: driver and backend filled their core"
