"""Build the page of a run, to pass to a colleague.

From the top: what was found, the picture, the table, every trial, how it was measured and where, and all of
it as data.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analysis import machine_differences
from bench.analysis.sides import Side, split
from bench.plan import flags, toml
from bench.report import certainty
from bench.report.html import Block, Code, FactList, Page, Prose, Section, Table
from bench.report.run import charts, finding, incident, machine_charts, machines, tables, text
from bench.runs import timeline
from bench.runs.record import Run, RunRecord

_HOW_TO_READ = (
    "Short opens one connection to the backend for each request; keepalive uses a pool of them again and"
    " again. Requests are correct responses. A connection that is closed keeps its port in TIME_WAIT for a"
    " minute on the side that closed first; once half of the ports are used, the kernel searches for a free"
    " one, and connect() slows down. CPU per request is user and system time of the whole process tree.",
    "Figures are medians over the trials that count, with the least and the greatest in brackets; where none"
    " does, it is said in their place. A ratio is the median of the ratios of all pairs of trials"
    " (Hodges-Lehmann), not that of the medians.",
)
_MOST_DATA = 1 << 20
"""Characters of trials as data: a page is to stay below 2 MiB."""


@dataclass(frozen=True, slots=True)
class _Finding:
    """What a run found: its title, sentence, picture and table."""

    title: str
    sentence: str
    blocks: Sequence[Block]
    """What is drawn, above all else."""
    table: Table


def build_page(run: Run) -> Page:
    """Return the page of `run`, as it is in its directory."""
    found = (_find_of_subjects(run) if len(run.subjects) > 1 else _find_of_modes(run)) if run.trials else None
    return Page(
        kicker="bench: connection reuse behind a reverse proxy",
        title=found.title if found else finding.format_title(run),
        sentence=found.sentence if found else finding.summarize(run),
        warnings=[*text.summarize_warnings(run), *run.damage],
        sections=list(_sections(run, found)),
        started=run.started,
        place=machines.format_place(run),
        certainty=(
            certainty.count_trials((row.trials for row in incident.build_rows(run)), "configuration")
            if len(run.subjects) > 1
            else certainty.compare_modes(split(run))
        ),
    )


def _split(run: Run) -> tuple[Side, ...]:
    return split(run, timeline.read(Path(run.directory)) if run.directory else None)


def _find_of_modes(run: Run) -> _Finding:
    sides = _split(run)
    drawn: list[Block] = [charts.build_glance(sides), charts.build_charts(sides)]
    return _Finding(finding.format_title(run), finding.summarize(run), drawn, tables.build_result_table(run))


def _find_of_subjects(run: Run) -> _Finding:
    sentence = incident.summarize(run)
    drawn: list[Block] = [incident.build_bars([run])]
    return _Finding(incident.format_title(run), sentence, drawn, incident.build_table(run))


def _sections(run: Run, found: _Finding | None) -> Iterator[Section]:
    if found is not None:
        yield Section("", found.blocks)
        yield Section("The figures", [found.table, *map(Prose, _HOW_TO_READ)])
        if run.machines:
            yield from _build_machine_by_machine(run)
        yield Section("Every trial", [tables.build_trial_table(run)])
    is_incident = len(run.subjects) > 1
    command = [Code(incident.format_command(run))] if is_incident else _format_command(run.plan)
    yield Section("How to measure it again", [*command, FactList(_describe_subjects(run))])
    yield build_place_section(run)
    whose = "The plan of the first of them" if is_incident else "The whole plan"
    yield Section(f"{whose}, each default written out", [Code(toml.to_toml(run.plan))], folded=True)
    yield build_data_section(run)


def _build_machine_by_machine(run: Run) -> Iterator[Section]:
    """Yield what each machine did: drawn, and as a table for each mode."""
    sides = _split(run)
    drawn = machine_charts.build_charts(sides)
    charted = [drawn] if drawn.charts else []
    sentences = " ".join(f"{each[0].upper()}{each[1:]}." for each in machines.summarize(run))
    said = [Prose(sentences)] if sentences else []
    yield Section("Machine by machine", [*said, machine_charts.build_glance(sides), *charted])
    tabled = [machines.build_figures(side, is_wide=True) for side in sides]
    notes = [Prose(f"{each[0].upper()}{each[1:]}.") for each in machines.explain_sums(run)]
    yield Section("The figures of each machine", [*tabled, *notes], folded=True)


def _format_command(values: Mapping[str, Any]) -> Iterator[Code | Prose]:
    command = flags.format_command(values)
    if command is None:
        yield Prose("No flags say all of this plan: put it into a file, as TOML, and run that.")
    yield Code(command or "bench run plan.toml")


def _describe_subjects(run: Run) -> list[tuple[str, str]]:
    """Return what the plan leaves open: what was run in the end, and where."""
    facts = {
        "proxy": {f"{trial.subject.name} {trial.subject.version}" for trial in run.trials},
        "lab": {trial.lab for trial in run.trials},
        "closes short connections": {
            trial.closes_first for trial in run.trials if trial.closes_first is not None
        },
    }
    return [(name, ", ".join(sorted(values))) for name, values in facts.items() if values]


def build_data_section(run: RunRecord[Any]) -> Section:
    """Return every trial as it is stored."""
    lines = [json.dumps(trial.to_json()) for trial in run.trials]
    heading = "Every trial as data (JSON lines, as in run.jsonl)"
    if sum(map(len, lines)) > _MOST_DATA:
        return Section(
            heading, [Prose(f"{len(lines):,} trials are too many for a page: see run.jsonl.")], folded=True
        )
    return Section(heading, [Code("\n".join(lines))], folded=True)


def build_machine_section(machine: Mapping[str, Any]) -> Section:
    """Return what the machine is."""
    return Section("The machine", [FactList(list(_flatten(machine)))])


def build_place_section(run: RunRecord[Any]) -> Section:
    """Return what the machine of `run` is, or what each of its machines is."""
    if not run.machines:
        return build_machine_section(run.machine)
    described = {each.name: dict(_flatten(each.description)) for each in run.machines}
    facts = machine_differences.merge_facts(described)
    return Section("The machines", [machines.build_places(run), FactList(list(facts.items()))])


def _flatten(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield facts one level deep: the tables in them become rows of their own."""
    for name, value in facts.items():
        if isinstance(value, dict):
            for key, each in value.items():
                yield f"{name.removesuffix('s')} {key}", _format_value(each)
        else:
            yield name.replace("_", " "), _format_value(value)


def _format_value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_format_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value) or "none"
