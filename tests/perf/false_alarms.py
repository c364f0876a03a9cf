"""How often a comparison is wrong: one configuration against itself, and against itself with a spin.

`measure` makes the runs, two by two as `bench ab` does, each pair in a folder of its own below --root; it may
be run several times at once. `count` reads them: how many gates failed, how many rows call a difference.
"""

from __future__ import annotations

import json
import os
import sys
import time
import timeit
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bench import lab
from bench.analysis import compare, conditions, stats
from bench.analysis.compare import Comparison
from bench.analysis.conditions import Verdict
from bench.experiment import ab
from bench.experiment.run import LabStage
from bench.experiment.stopping import Stopping, Until, groups_of
from bench.plan import run_plan
from bench.plan.ab_sides import AbSide
from bench.progress import Progress
from bench.runs import read
from bench.runs.record import RunRecord

COST = "cpu_us_per_request.proxy"
GATES = (f"{COST}>1.0", f"{COST}<1.0")
"""The strictest gates: on equal sides each is designed to fail once in forty times."""
UNTIL = Until(0.10, COST)
MOST_BLOCKS = 12
MARK = 4242
"""The value of `subject.pool_max` by which a proxy knows that it is to spin; it bounds nothing here."""
SPIN_SHARE = 0.05
_SPIN = Path(__file__).parent / "spin"


@dataclass(frozen=True)
class Kind:
    """One kind of comparison."""

    trials: int
    duration_s: float
    connections: int = 8
    spins: bool = False
    until: Until | None = None
    comparisons: int = 200


KINDS = {
    "equal": Kind(trials=5, duration_s=0.3),
    "equal-until": Kind(trials=MOST_BLOCKS, duration_s=0.3, until=UNTIL, comparisons=100),
    "spin": Kind(trials=10, duration_s=1.0, spins=True, comparisons=30),
}


class Silent:
    """A progress that tells nobody."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def plan(kind: Kind, *, spins: bool) -> run_plan.Plan:
    """Return the plan of one side.

    Each role has its core, and no core is idle: a role that is woken by a timer, on whichever core is free,
    costs a fifth more in one trial than in the next.
    """
    values: dict[str, Any] = {
        "mode": "keepalive",
        "trials": kind.trials,
        "lab": "loopback",
        "load": {"connections": kind.connections, "warmup_s": 0.1, "duration_s": kind.duration_s},
    }
    if spins:
        values["subject"] = {"pool_max": MARK}
    return run_plan.build(values)


def measure(kind: Kind, comparisons: int, root: Path, ends_s: float) -> None:
    """Make runs until there are enough, or until the moment `ends_s` of the monotonic clock."""
    if kind.spins:
        os.environ["PYTHONPATH"] = str(_SPIN)
        os.environ["BENCH_SPIN_MARK"] = str(MARK)
        os.environ["BENCH_SPIN_LOOPS"] = str(_loops(kind, root))
    stage = LabStage(lab.choose("loopback"))
    for number in range(1, comparisons + 1):
        if time.monotonic() > ends_s:
            return
        sides = [AbSide("a", plan(kind, spins=False)), AbSide("b", plan(kind, spins=kind.spins))]
        stopping = Stopping(until=kind.until)
        ab.perform(sides, stage, root / f"{os.getpid()}-{number:03}", cast("Progress", Silent()), stopping)


def _loops(kind: Kind, root: Path) -> int:
    """Return the passes of an empty loop that take the share of what a request costs without a spin."""
    known = root.parent / "loops.json"
    if known.exists():
        return int(json.loads(known.read_text())["loops"])
    sides = [AbSide(label, plan(kind, spins=False)) for label in "ab"]
    runs = ab.perform(
        sides, LabStage(lab.choose("loopback")), root / "calibration", cast("Progress", Silent()), Stopping()
    )
    costs = [trial.cpu_us_per_request["proxy"] or 0.0 for run in runs for trial in run.trials]
    base_us = stats.median_interval(costs).center
    wanted_us, loops = SPIN_SHARE * base_us, 100
    for _ in range(3):  # a pass costs more where its number is large
        loops = round(loops * wanted_us / _spin_us(loops))
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps({"loops": loops, "base_us": base_us, "spin_us": _spin_us(loops)}))
    return loops


def _spin_us(loops: int) -> float:
    """Return what a spin of so many passes takes, in microseconds: the least of ten."""
    spins = timeit.repeat("for _ in range(loops): pass", globals={"loops": loops}, repeat=10, number=10_000)
    return min(spins) / 10_000 * 1e6


@dataclass
class Count:
    """What became of the comparisons of one kind."""

    comparisons: int = 0
    gates: Counter[str] = field(default_factory=Counter)
    """Verdicts on the gate that cost is higher."""
    two_sided: int = 0
    """Comparisons in which either gate failed."""
    rows: int = 0
    differing: int = 0
    called: Counter[str] = field(default_factory=Counter)
    """Answers of the row of the cost."""
    trials: Counter[int] = field(default_factory=Counter)

    def add(self, compared: Comparison) -> None:
        """Count one comparison."""
        self.comparisons += 1
        verdicts = [conditions.judge([conditions.parse(gate)], compared)[0].verdict for gate in GATES]
        self.gates[verdicts[0].value] += 1
        self.two_sided += Verdict.FAILED in verdicts
        told = [row.cells[1] for row in compared.rows if row.cells[1].p is not None]
        self.rows += len(told)
        self.differing += sum(cell.answer.differs for cell in told)
        self.called[compared.row(COST).cells[1].answer.value] += 1
        self.trials[len(compared.sides[0].run.trials)] += 1

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "comparisons": self.comparisons,
            "gate_higher": dict(self.gates),
            "either_gate_failed": self.two_sided,
            "rows_tested": self.rows,
            "rows_that_differ": self.differing,
            "answers_on_cost": dict(self.called),
            "trials_a_side": {str(n): count for n, count in sorted(self.trials.items())},
        }


def count(root: Path) -> dict[str, Any]:
    """Return what became of all comparisons below `root`."""
    counts = {name: Count() for name in KINDS}
    for name, counted in counts.items():
        for runs in _runs(root / name, KINDS[name]):
            (group,) = groups_of(runs)
            counted.add(compare.compare(group))
    return {name: counted.to_json() for name, counted in counts.items()}


def _runs(root: Path, kind: Kind) -> Iterator[Sequence[RunRecord[Any]]]:
    """Yield the pairs of runs that have come to their end."""
    for folder in sorted(root.glob("*-*")):
        files = sorted(folder.glob("*-ab-*/run.jsonl"))
        runs = [read.read(file) for file in files]
        whole = len(runs) == 2 and len(runs[0].trials) == len(runs[1].trials)
        if whole and (kind.until is not None or len(runs[0].trials) == kind.trials):
            yield runs


def main() -> int:
    """Measure, or count."""
    parser = ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("measure")
    making.add_argument("kind", choices=KINDS)
    making.add_argument("--comparisons", type=int)
    making.add_argument("--minutes", type=float, default=60.0)
    for each in (making, commands.add_parser("count")):
        each.add_argument("--root", type=Path, required=True)
    given: Namespace = parser.parse_args()
    if given.command == "measure":
        ends_s = time.monotonic() + 60 * given.minutes
        kind = KINDS[given.kind]
        measure(kind, given.comparisons or kind.comparisons, given.root / given.kind, ends_s)
    else:
        json.dump(count(given.root), sys.stdout, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
