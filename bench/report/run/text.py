"""Tables and sentences as plain text: a run's result, the list of runs. No printing."""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import units
from bench.analysis import claims
from bench.analysis.sides import label, split
from bench.report.html import Table
from bench.report.run import finding, machines, tables, target
from bench.report.text_table import (
    explain_cells,
    format_paths,
    format_table,
    format_warnings,
    prose_width,
    wrap,
)
from bench.runs.read import Listed
from bench.runs.record import Run, RunRecord, Trial, TrialWarning
from nginx.printable import printable_line

if TYPE_CHECKING:
    from bench.doctor import Check


_BUSY = (claims.DISTURBED, claims.SATURATED)
"""Warnings that differ from trial to trial in their percentages only."""
_SHARE = re.compile(r"(\d+)%")
_INTERRUPTED = "interrupted; left out of comparisons"


def format_run(run: Run, picture: Path | None = None) -> str:
    """Return what `bench run` and `bench show` print: table, warnings, sentence, the next command."""
    table = tables.build_result_table(run)
    warnings = format_warnings(summarize_warnings(run))
    parts = [target.format_target(run), format_table(table), explain_cells(table), format_tls(run)]
    parts += [
        machines.format_machines(run),
        warnings,
        "\n",
        wrap(finding.summarize(run)),
        "\n\n",
        format_paths(run.directory, picture),
    ]
    return "".join([*parts, f"next:    {finding.suggest_command(run)}\n"])


def format_tls(run: Run) -> str:
    """Return a line with what the clients' TLS handshakes agreed upon; nothing without TLS."""
    counts: Counter[str] = Counter()
    for trial in run.trials:
        if trial.tls is not None:
            counts.update(trial.tls.negotiated)
    named = ", ".join(f"{name} on {units.plural(each, 'connection')}" for name, each in counts.most_common())
    return f"TLS:     {named}\n" if named else ""


def summarize_warnings(run: Run) -> list[str]:
    """Return the warnings, each once with the trials that carry it; those with one remedy together."""
    kinds: dict[tuple[str, str, str], dict[str, list[Trial]]] = {}
    for trial in run.trials:
        for warning in trial.warnings:
            if warning.code in _BUSY:
                continue
            mode = _name_mode(run, trial, warning)
            shared = (warning.code, mode, warning.advice) if warning.advice else (warning.message, "", "")
            kinds.setdefault(shared, {}).setdefault(warning.message, []).append(trial)
        if trial.interrupted:
            kinds.setdefault((_INTERRUPTED, "", ""), {}).setdefault(_INTERRUPTED, []).append(trial)
    lines = [_format_warning(run, mode, advice, messages) for (_, mode, advice), messages in kinds.items()]
    return [*map(partial(_format_busy, run), _list_busy(run)), *lines, *machines.list_losses(run)]


def _list_busy(run: Run) -> Iterator[str]:
    """Yield the codes of the warnings that a trial was disturbed or saturated, as far as one was."""
    carried = {warning.code for trial in run.trials for warning in trial.warnings}
    yield from (code for code in _BUSY if code in carried)


def _format_busy(run: Run, code: str) -> str:
    """Return one line for all trials with a warning of this code: how many, and the worst of them."""
    found = [(trial, each) for trial in run.trials for each in trial.warnings if each.code == code]
    worst, warning = max(found, key=lambda row: (row[1].voids, _find_share(row[1])))
    if len(found) == 1:
        return _format_warning(
            run, _name_mode(run, worst, warning), warning.advice, {warning.message: [worst]}
        )
    voided = sum(each.voids for _, each in found)
    void = f", {'all' if voided == len(found) else voided} invalid" if voided else ""
    which = f"{len(found)} of {len(run.trials)} trials{void}; the worst, trial {worst.trial}"
    return f"{which}, {label(worst.mode, run)}: {warning.message}; {warning.advice}"


def _find_share(warning: TrialWarning) -> int:
    """Return the first percentage of a message: what others used, or how long the generator waited."""
    found = _SHARE.search(warning.message)
    return int(found[1]) if found else 0


def _name_mode(run: Run, trial: Trial, warning: TrialWarning) -> str:
    mode = label(trial.mode, run)
    return f"{mode} (invalid)" if warning.voids else mode


def _format_warning(run: Run, mode: str, advice: str, messages: dict[str, list[Trial]]) -> str:
    parts = [f"{_name_trials(run, trials, mode)}: {message}" for message, trials in messages.items()]
    return "; ".join([*parts, advice] if advice else parts)


def _name_trials(run: Run, trials: Sequence[Trial], mode: str) -> str:
    """Name trials by their numbers and their mode, where that is one."""
    if len(trials) == len(run.trials) > 1 and not mode:
        return "every trial"
    mode = mode or " and ".join(dict.fromkeys(label(trial.mode, run) for trial in trials))
    return f"trial {', '.join(str(trial.trial) for trial in trials)}, {mode}"


def format_list(found: Sequence[Listed], root: Path) -> str:
    """Return what `bench list` prints: a row for each run, and what cannot be read."""
    if not found:
        return f"{root} holds no run; `bench run` makes one\n"
    rows = []
    for each in found:
        if each.run is not None:
            rows.append(
                (
                    str(each.directory),
                    each.run.started,
                    str(len(each.run.trials)),
                    _describe_measured(each.run),
                )
            )
    return format_table(Table(("run", "started", "trials", "measured"), rows)) + "".join(
        f"! {each.problem}\n" for each in found if each.problem
    )


def _describe_measured(run: RunRecord[Any]) -> str:
    """Return the rate of each mode with its unit; of a run of many cases what it is of."""
    if run.kind == "scenario":
        return f"the scenario {run.scenario}"
    if run.kind == "watch":
        return f"a watch of {run.plan['watch']['scope']}"
    if run.kind == "sweep":
        return f"a sweep of {units.plural(len(split(run)), 'cell')}"
    if len(run.subjects) > 1:
        return f"a run of {len(run.subjects)} subjects"
    return ", ".join(f"{side.name} {finding.format_rate(side)}" for side in split(run)) or "-"


def format_checks(found: "Sequence[Check]") -> str:
    """Return what `bench doctor` prints: each check with its state, and below it what to change."""
    signs = {"ok": "ok", "warn": "! ", "fail": "NO", "missing": "- "}
    lines: list[str] = []
    for check in found:
        lines += _fold(f"{signs[check.status]}  {check.name:<22} ", check.value)
        if check.remedy:
            lines += _fold(f"{'':<26}-> ", check.remedy)
    return "\n".join(lines) + "\n"


def format_survey(
    title: str, tables: Iterable[Table], sections: "Iterable[tuple[str, Sequence[Check]]]"
) -> str:
    """Return what `bench doctor --scheduler` prints: tables with rows, and headings with checks."""
    shown = [format_table(table, are_figures=False) for table in tables if table.rows]
    checked = [f"\n{heading}\n{format_checks(checks)}" for heading, checks in sections if checks]
    return "".join([f"{wrap(title)}\n", *shown, *checked])


def _fold(head: str, text: str) -> list[str]:
    """Return a text behind its head, folded beside it."""
    folded = textwrap.wrap(printable_line(text), max(20, prose_width() - len(head)), break_on_hyphens=False)
    return [f"{head if index == 0 else ' ' * len(head)}{line}" for index, line in enumerate(folded or [""])]
