"""Tables and sentences as plain text: a run's result, the list of runs. No printing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.sides import split
from bench.report import grid, text_table
from bench.report.html import Table
from bench.report.run import finding
from bench.runs.read import Listed
from bench.runs.record import Run, Trial

if TYPE_CHECKING:
    from bench.analysis.ceiling import Ceiling, Remedy
    from bench.doctor import Check


_INTERRUPTED = "interrupted; left out of comparisons"


def result(run: Run, picture: Path | None = None) -> str:
    """Return what `bench run` and `bench show` print: table, warnings, sentence, the next command."""
    parts = [grid.draw(text_table.result(run)), grid.notes(warnings(run)), "\n"]
    parts += [
        grid.prose(finding.sentence(run)),
        "\n\n",
        *([] if run.directory is None else [f"results: {run.directory}\n"]),
        *([] if picture is None else [f"picture: {picture}\n"]),
        f"next:    {finding.next_command(run)}\n",
    ]
    return "".join(parts)


def warnings(run: Run) -> list[str]:
    """Return the warnings of the trials, each once with who carries it; those with one remedy together."""
    kinds: dict[tuple[str, str, str], dict[str, list[Trial]]] = {}
    for trial in run.trials:
        for warning in trial.warnings:
            mode = f"{trial.mode} (invalid)" if warning.voids else trial.mode
            shared = (warning.code, mode, warning.advice) if warning.advice else (warning.message, "", "")
            kinds.setdefault(shared, {}).setdefault(warning.message, []).append(trial)
        if trial.interrupted:
            kinds.setdefault((_INTERRUPTED, "", ""), {}).setdefault(_INTERRUPTED, []).append(trial)
    return [_warning(run, mode, advice, said) for (_, mode, advice), said in kinds.items()]


def _warning(run: Run, mode: str, advice: str, said: dict[str, list[Trial]]) -> str:
    told = [f"{_who(run, trials, mode)}: {message}" for message, trials in said.items()]
    return "; ".join([*told, advice] if advice else told)


def _who(run: Run, trials: Sequence[Trial], mode: str) -> str:
    """Name trials by their numbers and their mode, where that is one."""
    if len(trials) == len(run.trials) > 1 and not mode:
        return "every trial"
    mode = mode or " and ".join(dict.fromkeys(trial.mode for trial in trials))
    return f"trial {', '.join(str(trial.trial) for trial in trials)}, {mode}"


def listing(found: Sequence[Listed], root: Path) -> str:
    """Return what `bench list` prints: a row for each run, and what cannot be read."""
    if not found:
        return f"{root} holds no run; `bench run` makes one\n"
    rows = []
    for each in found:
        if each.run is not None:
            rates = ", ".join(f"{side.mode} {finding.rate(side)}" for side in split(each.run))
            if len(each.run.subjects) > 1:
                rates = f"{len(each.run.subjects)} subjects"
            rows.append((str(each.directory), each.run.started, str(len(each.run.trials)), rates or "-"))
    return grid.draw(Table(("run", "started", "trials", "requests/s"), rows)) + "".join(
        f"! {each.problem}\n" for each in found if each.problem
    )


def remedies(here: Ceiling, rate: float, found: Sequence[Remedy]) -> str:
    """Return what `bench ceiling` prints: when the ports slow down and run out, and what moves that."""
    slow_s, out_s = here.slows_after_s(rate), here.exhausted_after_s(rate)
    said = [f"{here.tuples:,} ports bear {units.rate(here.connections_per_s)} where the proxy closes first"]
    said.append(
        "connect() stays fast"
        if slow_s is None
        else f"at {units.rate(rate)} it slows down after {slow_s:.1f} s"
    )
    said.append(
        "and the ports never run out" if out_s is None else f"and the ports run out after {out_s:.1f} s"
    )
    rows = []
    for remedy in found:
        bears = "no bound" if math.isinf(remedy.requests_per_s) else f"{remedy.requests_per_s:,.0f}"
        rows.append((remedy.name, bears, "yes" if remedy.holds else "no", remedy.change))
    columns = ("remedy", "bears, requests/s", "enough", "change")
    return grid.prose(", ".join(said) + ".") + "\n" + grid.draw(Table(columns, rows))


def checks(found: Sequence[Check]) -> str:
    """Return what `bench doctor` prints: each check with its state, and below it what to change."""
    signs = {"ok": "ok", "warn": "! ", "fail": "NO", "missing": "- "}
    lines = []
    for check in found:
        lines.append(f"{signs[check.status]}  {check.name:<22} {check.value}")
        if check.remedy:
            lines.append(f"{'':<26}-> {check.remedy}")
    return "\n".join(lines) + "\n"
