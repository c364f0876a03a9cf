"""The incident as people meet it: what they write into an nginx.conf, beside other proxies, in one run.

Two runs are written side by side: with a backend that closes at once when it is told to, and with one that
lingers, so that nginx, which does not wait, is the first to close.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.errors import PlanError
from bench.experiment import recorder, run
from bench.experiment.recorder import PlannedTrial, numbered
from bench.experiment.summary import Outcome
from bench.machine import describe
from bench.plan import run_plan
from bench.plan.backend_plan import Backend
from bench.plan.run_plan import IDIOMS, ClosesFirst, Load, Mode, Plan, Subject
from bench.progress import Progress
from bench.runs import storage
from bench.runs.record import Run, Trial

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
        """Return the plan of its trials with a backend that closes in a way of CLOSES."""
        plan = Plan(
            mode=self.mode.value,
            closes_first=self.closes_first,
            subject=self.subject,
            load=Load(connections=_CONNECTIONS, warmup_s=_WARMUP_S, duration_s=duration_s),
            backend=Backend(close=close),
        )
        run_plan.check(plan)
        return plan


def entrants() -> Iterator[Entrant]:
    """Yield every entrant: nginx before and since the new defaults, and the others both ways."""
    for program in ("system", "wheel"):
        for idiom in IDIOMS:
            mode = Mode.KEEPALIVE if idiom == "full" else Mode.SHORT
            yield Entrant(Subject("nginx", program=program, idiom=idiom), mode)
    for name in ("haproxy", "envoy", "caddy"):
        # What each does when reuse is switched off: HAProxy and Caddy tell the backend to close.
        closes_first = ClosesFirst.PROXY if name == "envoy" else ClosesFirst.BACKEND
        yield Entrant(Subject(name), Mode.SHORT, closes_first)
        yield Entrant(Subject(name), Mode.KEEPALIVE)


def present(entrants: Sequence[Entrant]) -> tuple[list[Entrant], list[str]]:
    """Return those whose program is here, and for each of the others one line that says so."""
    here, absent = [], []
    for entrant in entrants:
        try:
            run.check(entrant.plan(CLOSES[0], 1.0))
            here.append(entrant)
        except PlanError as error:
            absent.append(str(error).removeprefix("subject.program: "))
    return here, list(dict.fromkeys(absent))


def perform(
    here: Sequence[Entrant],
    rounds: int,
    duration_s: float,
    *,
    lab_name: str,
    root: Path,
    progress: Progress,
    closes: Sequence[str] = CLOSES,
) -> tuple[Run, ...]:
    """Run the trials of every entrant in `here` and return a run for each way of closing in `closes`.

    RoleError where a role does not come up; what was recorded until then stays. An interrupted trial is the
    last; one that is interrupted before its load runs leaves nothing.
    """
    facts, seed = describe.describe(), recorder.draw_seed()
    with ExitStack() as stack:
        writers = {
            close: stack.enter_context(
                storage.create(
                    root,
                    replace(here[0].plan(close, duration_s), seed=seed).to_json(),
                    facts,
                    label=f"incident-{close.partition(':')[0]}",
                    interleaved=str(seed),
                )
            )
            for close in closes
        }
        progress.started(writers[closes[0]].directory, len(here) * rounds * len(closes))
        interrupted = recorder.record(
            PlannedTrial(
                writers[close],
                partial(_trial, entrant, place.trial, entrant.plan(close, duration_s), lab_name, progress),
                place.block,
            )
            for place, (entrant, close) in numbered(pairs(here, closes), rounds, seed)
        )
        return tuple(recorder.finished(writer, interrupted) for writer in writers.values())


def pairs(here: Sequence[Entrant], closes: Sequence[str] = CLOSES) -> list[tuple[Entrant, str]]:
    """Return every entrant with every way of closing."""
    return [(entrant, close) for entrant in here for close in closes]


def _trial(entrant: Entrant, number: int, plan: Plan, lab_name: str, progress: Progress) -> Outcome[Trial]:
    outcome = run.perform_trial(plan, number, entrant.mode, lab_name, progress)
    return replace(outcome, trial=_named(outcome.trial))


def _named(done: Trial) -> Trial:
    """Return the trial with its version in the subject's name: two of one name take part."""
    name, _, idiom = done.subject.name.partition(" ")
    how = idiom or ("with reuse" if done.mode == Mode.KEEPALIVE else "without reuse")
    named = replace(done.subject, name=f"{name} {done.subject.version} {how}")
    return replace(done, subject=named)
