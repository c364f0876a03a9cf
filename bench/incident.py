"""The incident as people meet it: what they write into an nginx.conf, beside other proxies, in one run.

Two runs are written side by side: with a backend that closes at once when it is told to, and with one that
lingers, so that nginx, which does not wait, is the first to close.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import PlanError
from bench.experiment import load_trial as roles
from bench.experiment import trial
from bench.experiment.trial import Watch
from bench.machine import describe
from bench.plan import run_plan
from bench.plan.run_plan import IDIOMS, ClosesFirst, Load, Mode, Plan, Subject
from bench.runs import read
from bench.runs.record import Run, Trial
from bench.runs.writer import Writer

CLOSES = ("at-once", "linger:50ms")
"""How the backend closes once it was told to: behind an answer, or a moment after it."""
_CONNECTIONS = 32
"""As many as nginx keeps by default since 1.29.7: for more clients, that is a pool that is too small."""
_WARMUP_S = 0.5


@dataclass(frozen=True, slots=True)
class Entrant:
    """One configuration of one proxy, and what is hoped of it."""

    subject: Subject
    mode: Mode
    closes_first: ClosesFirst = ClosesFirst.PROXY

    def plan(self, close: str, duration_s: float) -> Plan:
        """Return the plan of its trials with a backend that closes in one of the ways of CLOSES."""
        asked = Plan(
            mode=self.mode.value,
            closes_first=self.closes_first,
            subject=self.subject,
            load=Load(connections=_CONNECTIONS, warmup_s=_WARMUP_S, duration_s=duration_s),
            backend=run_plan.Backend(close=close),
        )
        run_plan.check(asked)
        return asked


def entrants() -> Iterator[Entrant]:
    """Yield everybody who takes part: nginx before and since the new defaults, and the others both ways."""
    for program in ("system", "wheel"):
        for idiom in IDIOMS:
            mode = Mode.KEEPALIVE if idiom == "full" else Mode.SHORT
            yield Entrant(Subject("nginx", program=program, idiom=idiom), mode)
    for name in ("haproxy", "envoy", "caddy"):
        # What each does when reuse is switched off: HAProxy and Caddy tell the backend to close.
        closes_first = ClosesFirst.PROXY if name == "envoy" else ClosesFirst.BACKEND
        yield Entrant(Subject(name), Mode.SHORT, closes_first)
        yield Entrant(Subject(name), Mode.KEEPALIVE)


def present(everybody: Sequence[Entrant]) -> tuple[list[Entrant], list[str]]:
    """Return those whose program is here, and for each of the others one line that says so."""
    here, absent = [], []
    for entrant in everybody:
        try:
            roles.check(entrant.plan(CLOSES[0], 1.0))
            here.append(entrant)
        except PlanError as error:
            absent.append(str(error))
    return here, list(dict.fromkeys(absent))


def schedule(count: int, rounds: int) -> Iterator[tuple[int, str]]:
    """Yield who runs when, each with both ways of closing in turn; every other round goes backwards."""
    for turn in range(rounds):
        order = range(count) if turn % 2 == 0 else range(count - 1, -1, -1)
        closes = CLOSES if turn % 2 == 0 else CLOSES[::-1]
        for index in order:
            for close in closes:
                yield index, close


def perform(
    here: Sequence[Entrant], rounds: int, duration_s: float, *, lab_name: str, root: Path, watch: Watch
) -> tuple[Run, ...]:
    """Run the trials of everybody in `here` and return a run for each of CLOSES.

    RoleError where a role does not come up; what was recorded until then stays. An interrupted trial is the
    last; one that is interrupted before its load runs leaves nothing.
    """
    facts = describe.describe()
    with ExitStack() as stack:
        writers = {
            close: stack.enter_context(
                read.create(
                    root,
                    here[0].plan(close, duration_s),
                    facts,
                    label=f"incident-{close.partition(':')[0]}",
                )
            )
            for close in CLOSES
        }
        watch.started(writers[CLOSES[0]].directory, len(here) * rounds * len(CLOSES))
        for number, (index, close) in enumerate(schedule(len(here), rounds), 1):
            entrant = here[index]
            try:
                outcome = trial.perform(
                    entrant.plan(close, duration_s), number, entrant.mode, lab_name, watch
                )
            except KeyboardInterrupt:
                return _interrupted(writers.values())
            writers[close].add(_named(outcome.trial), outcome.moments, outcome.latencies)
            if outcome.trial.interrupted:
                return _interrupted(writers.values())
        return tuple(writer.run for writer in writers.values())


def _interrupted(writers: Iterable[Writer[Run]]) -> tuple[Run, ...]:
    return tuple(replace(writer.run, interrupted=True) for writer in writers)


def _named(done: Trial) -> Trial:
    """Return the trial with its version in the subject's name: two of one name take part."""
    name, _, idiom = done.subject.name.partition(" ")
    how = idiom or ("with reuse" if done.mode == Mode.KEEPALIVE else "without reuse")
    named = replace(done.subject, name=f"{name} {done.subject.version} {how}")
    return replace(done, subject=named)
