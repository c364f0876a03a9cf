"""Part b, shapes: what an exchange of each shape costs the proxy, ours beside others, user and system apart.

In each round every case has its turn, and in each turn every subject, for a moment under steady load. What
is counted lies between two readings, while the driver goes on; how connections begin does not enter into
keep-alive.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.errors import RoleError
from tests.perf import checkouts, pairs, subjects
from tests.perf.cases import LOADS, MANY, OTHER_TARGETS, PLAIN, USER_TARGET, Case, Load, cases
from tests.perf.drivers import Driver
from tests.perf.pairs import Row
from tests.perf.settings import Settings
from tests.perf.stage import READY_TIMEOUT_S, RawBackend, Served, Stage, stage
from tests.perf.subjects import Subject

PART = "b-shapes"
NGINX = "nginx-default"
OTHERS = ("haproxy", "envoy", "caddy")
_RAMP_S = 0.08
_RAMP_MANY_S = 0.5
"""From the first request on: until then all connections are open."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one subject did in one turn, a request on average."""

    cpu_us: float
    user_us: float
    busy: float
    """The share of its core that the subject used."""
    served: Served
    errors: int


@dataclass(frozen=True, slots=True)
class Member:
    """A subject with its backend."""

    subject: Subject
    backend: RawBackend


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was asked for: nothing means all, or none beside."""

    shapes: Sequence[str] = ()
    loads: Sequence[str] = ()
    baseline: Path | None = None


def measure(settings: Settings, chosen: Chosen) -> Iterator[Row]:
    """Yield the rows of some shapes under some loads, or of all; the plain GET is always among them."""
    with stage() as opened, TemporaryDirectory() as folder:
        play = _Play(opened, Path(folder), settings, chosen)
        for name in chosen.loads or LOADS:
            yield from play.rows(LOADS[name])


class _Play:
    """All turns, on one stage; a subject that has been started serves every shape that it can."""

    def __init__(self, opened: Stage, folder: Path, settings: Settings, chosen: Chosen) -> None:
        self._stage = opened
        self._folder = folder
        self._settings = settings
        self._chosen = chosen
        self._members: dict[tuple[str, bool, str, str], Member] = {}
        self._turns: dict[tuple[Case, str], dict[int, Turn]] = defaultdict(dict)
        self._out: dict[tuple[Case, str], str] = {}

    def rows(self, load: Load) -> Iterator[Row]:
        """Play all rounds of a load, and yield its rows."""
        played = list(cases(load, self._chosen.shapes))
        for round_ in range(self._settings.shape_rounds + 1):
            for case in played:
                for name in pairs.order(self._names(load, round_), round_):
                    self._play(case, name, round_)
        for case in played:
            yield from self._rows_of(case, played[0])

    def _names(self, load: Load, round_: int) -> list[str]:
        names = ["ours", NGINX]
        if self._chosen.baseline is not None and not load.loop:
            names.append("baseline")
        if load.with_others and 0 < round_ <= self._settings.shape_other_rounds:
            names += OTHERS
        return names

    def _play(self, case: Case, name: str, round_: int) -> None:
        """Give a subject its turn; whoever fails once is out of this case, and without ours all are."""
        if {(case, name), (case, "ours")} & self._out.keys():
            return
        try:
            turn = self._turn(case, self._member(case, name))
        except RoleError as error:
            self._out[case, name] = str(error)
        else:
            if round_ > 0:  # the first warms up
                self._turns[case, name][round_] = turn

    def _member(self, case: Case, name: str) -> Member:
        """Return the subject that can play a case, started if need be; RoleError where there is none."""
        load, is_ours = case.load, name == "ours"
        key = (name, load.is_short, load.loop if is_ours else "", case.shape.upstream)
        if key not in self._members:
            self._check(case, name)
            folder = self._folder / "-".join(map(str, key)).strip("-")
            folder.mkdir()
            backend = self._stage.raw_backend(folder, self._stage.near)
            subject = subjects.start(
                self._stage,
                name,
                backend.addresses[case.shape.upstream],
                is_short=load.is_short,
                folder=folder / "subject",
                loop=key[2],
                checkout=self._chosen.baseline if name == "baseline" else None,
            )
            self._members[key] = Member(subject, backend)
        return self._members[key]

    def _check(self, case: Case, name: str) -> None:
        """Raise RoleError where a subject cannot play a case."""
        program, upstream = name.partition("-")[0], case.shape.upstream
        if subjects.missing((program,)):
            raise RoleError(program, "is not installed")
        if program in ("ours", "baseline"):
            checkout = self._chosen.baseline if name == "baseline" else None
            if case.load.loop and not checkouts.knows("--loop", checkout):
                raise RoleError(program, "has no --loop")
            if upstream == "unix" and not checkouts.knows("unix:", checkout):
                raise RoleError(program, "knows no unix upstreams")

    def _turn(self, case: Case, member: Member) -> Turn:
        """Keep a subject busy with a shape, and read what it did and used meanwhile."""
        member.backend.shape(case.shape.name, closes=case.load.closes)
        driver = Driver(case.shape, self._stage.near, self._folder)
        with driver.drive(member.subject.address, case.load.connections) as driven:
            self._await_first(member, case)
            time.sleep(_RAMP_MANY_S if case.load.connections == MANY else _RAMP_S)
            member.subject.tree.refresh()
            began, (before, before_s, before_user_s) = time.monotonic(), _read(member)
            time.sleep(self._settings.shape_window_s)
            after, cpu_s, user_s = _read(member)
            took_s = time.monotonic() - began
        served = after.since(before)
        if served.requests == 0:
            raise RoleError(member.subject.name, f"stopped to let {case.shape.name} through")
        cpu_s, user_s = cpu_s - before_s, user_s - before_user_s
        per_request = 1e6 / served.requests
        return Turn(cpu_s * per_request, user_s * per_request, cpu_s / took_s, served, driven.errors)

    def _await_first(self, member: Member, case: Case) -> None:
        """Wait until the first requests have come through."""
        before, deadline = member.backend.count(), time.monotonic() + READY_TIMEOUT_S / 2
        while member.backend.count().since(before).requests == 0:
            if time.monotonic() > deadline:
                raise RoleError(member.subject.name, f"lets no {case.shape.name} through")
            time.sleep(0.01)

    def _rows_of(self, case: Case, plain: Case) -> Iterator[Row]:
        """Yield the rows of one case: what it costs beside each of the others, and its user time."""
        for (each, name), reason in self._out.items():
            if each is case:
                yield pairs.missing(PART, str(case), name, reason)
        ours = self._turns[case, "ours"]
        targets = {NGINX: case.of_nginx, **OTHER_TARGETS}
        for name in (NGINX, "baseline", *OTHERS):
            theirs = self._turns[case, name]
            if ours and theirs:
                notes = (*_notes("ours", case, ours), *_notes(name, case, theirs))
                row = Row(PART, str(case), "CPU us/request", None, notes=notes)
                costs = _paired(ours, theirs, "cpu_us")
                yield pairs.beside(row, self._shown(case, name), *costs, targets.get(name))
        row = Row(PART, str(case), "of it user", None)
        if ours and (theirs := self._turns[case, NGINX]):
            yield pairs.beside(row, "nginx", *_paired(ours, theirs, "user_us"))
        if case.has_user_target and ours and (theirs := self._turns[plain, "ours"]):
            yield pairs.beside(row, f"ours, {PLAIN}", *_paired(ours, theirs, "user_us"), USER_TARGET)

    def _shown(self, case: Case, name: str) -> str:
        if name == "baseline" and self._chosen.baseline is not None:
            return f"ours, {checkouts.commit(self._chosen.baseline)}"
        return f"{name.partition('-')[0]} {self._member(case, name).subject.version}"


def _read(member: Member) -> tuple[Served, float, float]:
    """Return what was served so far, and the CPU seconds of the subject: all, and those of its user part.

    The kernel tells the parts apart by samples, in ticks of 10 ms (proc(5)): right on average only.
    """
    served, tree = member.backend.count(), member.subject.tree
    return served, tree.cpu_s(), sum(psutil.Process(pid).cpu_times().user for pid in tree.pids)


def _paired(ours: dict[int, Turn], theirs: dict[int, Turn], what: str) -> tuple[list[float], list[float]]:
    """Return a figure of both in the rounds that both have played, and at least 0.01 us."""
    rounds = sorted(ours.keys() & theirs.keys())
    mine, other = ([max(getattr(side[each], what), 0.01) for each in rounds] for side in (ours, theirs))
    return mine, other


def _notes(name: str, case: Case, turns: dict[int, Turn]) -> Iterator[str]:
    """Yield what must be known of a subject's turns: opens where there should be none, errors, idleness."""
    opened, requests = (
        sum(getattr(turn.served, what) for turn in turns.values()) for what in ("accepted", "requests")
    )
    # Of each turn's first requests, the connections were opened before.
    before = case.load.connections * len(turns)
    if case.load.is_short and opened + before < 0.98 * requests:
        yield f"{name}: REUSES connections in short mode"
    if not case.load.is_short and not case.shape.closes and opened > 0.01 * requests:
        yield f"{name}: opened {opened} connections while measured, for {requests} requests"
    if errors := sum(turn.errors for turn in turns.values()):
        yield f"{name}: {errors} ERRORS"
    busy = statistics.median(turn.busy for turn in turns.values())
    if busy < 0.9:
        yield f"{name}: used {busy:.0%} of its core"
