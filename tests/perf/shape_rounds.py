"""Part b, shapes: what an exchange of each shape costs the proxy, ours beside nginx, user and system apart.

In each round every case has its turn, and in each turn every subject, for a moment under steady load. What
is counted lies between two readings, while the driver goes on; how connections begin does not enter into
keep-alive.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.errors import RoleError
from tests.perf import drivers, pairs, subjects
from tests.perf.pairs import Row, Target
from tests.perf.settings import Settings
from tests.perf.shapes import SHAPES, Shape
from tests.perf.stage import RawBackend, Served, Stage, stage
from tests.perf.subjects import Subject

PART = "b-shapes"
MANY = 2000
_RAMP_S = 0.12
_RAMP_MANY_S = 0.6
_PLAIN = "plain"
_USER = Target(1.7)


@dataclass(frozen=True, slots=True)
class Case:
    """A shape under one load, and what ours may cost at most beside nginx."""

    shape: Shape
    is_short: bool = False
    closes: bool = False
    """Whether the upstream closes first."""
    connections: int = 64
    loop: str = ""

    def __str__(self) -> str:
        mode = "short" if self.is_short else "keepalive"
        closing = (", upstream closes" if self.closes else ", proxy closes") if self.is_short else ""
        loop = f", {self.loop}" if self.loop else ""
        return f"{self.shape.name}, {self.connections} connections, {mode}{closing}{loop}"

    @property
    def target(self) -> Target | None:
        """Return the target of the ratio to nginx."""
        is_plain = self.shape.name == _PLAIN
        if self.connections == MANY:
            return Target(1.0) if is_plain and not self.is_short else None
        if self.is_short:
            return Target(1.6 if self.closes else 1.25)
        return Target(1.25 if is_plain else 1.4)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one subject did in one turn, a request on average."""

    cpu_us: float
    user_us: float
    served: Served
    errors: int


@dataclass(frozen=True, slots=True)
class _Member:
    """A subject with its backend."""

    subject: Subject
    backend: RawBackend


Turns = dict[tuple[Case, str], list[Turn]]


Load = Callable[[Shape], Case]
LOADS: dict[str, Load] = {
    "keepalive": Case,
    "short": partial(Case, is_short=True),
    "closing": partial(Case, is_short=True, closes=True),
}
"""Upstream connections are pooled; serve one request, closed by the proxy; or closed by the upstream."""


def measure(settings: Settings, names: Sequence[str] = (), loads: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of some shapes under some loads, or of all; the plain GET is always among them."""
    chosen = [shape for shape in SHAPES.values() if not names or shape.name in (_PLAIN, *names)]
    with stage() as opened, TemporaryDirectory() as folder:
        play = _Play(opened, Path(folder), settings)
        for load in loads or LOADS:
            yield from play.rows([LOADS[load](shape) for shape in chosen])


class _Play:
    """All turns, on one stage; a subject that has been started serves every shape that it can."""

    def __init__(self, opened: Stage, folder: Path, settings: Settings) -> None:
        self._stage = opened
        self._folder = folder
        self._settings = settings
        self._members: dict[tuple[str, bool, str, str], _Member] = {}

    def rows(self, cases: Sequence[Case]) -> Iterator[Row]:
        """Play all rounds of some cases, and yield their rows."""
        names, turns = ["ours", "nginx-default"], defaultdict(list)
        for round_ in range(self._settings.shape_rounds + 1):
            for case in cases:
                for name in pairs.order(names, round_):
                    turn = self._turn(case, self._member(case, name))
                    if round_ > 0:  # the first warms up
                        turns[case, name].append(turn)
        for case in cases:
            yield from self._rows_of(case, cases[0], turns)

    def _member(self, case: Case, name: str) -> _Member:
        loop = case.loop if name == "ours" else ""
        key = (name, case.is_short, loop, case.shape.upstream)
        if key not in self._members:
            folder = self._folder / "-".join(map(str, key)).strip("-")
            folder.mkdir()
            backend = self._stage.raw_backend(folder)
            addresses = {"ipv4": backend.address, "ipv6": backend.ipv6, "unix": backend.unix}
            upstream = addresses[case.shape.upstream]
            subject = subjects.start(
                self._stage, name, upstream, is_short=case.is_short, folder=folder / "subject", loop=loop
            )
            self._members[key] = _Member(subject, backend)
        return self._members[key]

    def _turn(self, case: Case, member: _Member) -> Turn:
        """Keep a subject busy with a shape, and read what it did and used meanwhile."""
        member.backend.shape(case.shape.name, case.closes)
        driver = drivers.Wrk(drivers.write_script(case.shape, self._folder), self._stage.near)
        member.subject.tree.refresh()
        with driver.drive(member.subject.address, case.connections) as driven:
            time.sleep(_RAMP_MANY_S if case.connections == MANY else _RAMP_S)
            before = self._read(member)
            time.sleep(self._settings.shape_window_s)
            served, cpu_s, user_s = self._read(member)
        served = served.since(before[0])
        if served.requests == 0:
            raise RoleError(member.subject.name, f"let no {case.shape.name} through")
        per_request = 1e6 / served.requests
        return Turn(
            (cpu_s - before[1]) * per_request, (user_s - before[2]) * per_request, served, driven.errors
        )

    def _read(self, member: _Member) -> tuple[Served, float, float]:
        """Return what was served so far, and the CPU seconds of the subject: all, and those of its user part.

        The kernel tells the parts apart by samples, in ticks of 10 ms (proc(5)): right on average only.
        """
        served, tree = member.backend.count(), member.subject.tree
        return served, tree.cpu_s(), sum(psutil.Process(pid).cpu_times().user for pid in tree.pids)

    def _rows_of(self, case: Case, plain: Case, turns: Turns) -> Iterator[Row]:
        ours, theirs = turns[case, "ours"], turns[case, "nginx-default"]
        notes = (*_notes("ours", case, ours), *_notes("nginx", case, theirs))
        row = Row(PART, str(case), "CPU us/request", None, notes=notes)
        nginx = self._member(case, "nginx-default").subject
        yield pairs.beside(row, f"nginx {nginx.version}", *_both(ours, theirs), case.target)
        row = Row(PART, str(case), "of it user", None)
        yield pairs.beside(row, "nginx", _users(ours), _users(theirs))
        if case is not plain and not case.is_short:
            of_plain = _users(turns[plain, "ours"])
            yield pairs.beside(row, f"ours, {_PLAIN}", _users(ours), of_plain, _USER)


def _both(ours: Sequence[Turn], theirs: Sequence[Turn]) -> tuple[list[float], list[float]]:
    return [turn.cpu_us for turn in ours], [turn.cpu_us for turn in theirs]


def _users(turns: Sequence[Turn]) -> list[float]:
    return [max(turn.user_us, 0.01) for turn in turns]


def _notes(name: str, case: Case, turns: Sequence[Turn]) -> Iterator[str]:
    """Yield what must be known of a subject's turns: opens where there should be none, and errors."""
    opened, requests = (
        sum(turn.served.accepted for turn in turns),
        sum(turn.served.requests for turn in turns),
    )
    if case.is_short and opened < 0.98 * requests:
        yield f"{name}: REUSES connections in short mode"
    if not case.is_short and not case.shape.closes and opened:
        yield f"{name}: opened {opened} connections while measured"
    if errors := sum(turn.errors for turn in turns):
        yield f"{name}: {errors} ERRORS"
