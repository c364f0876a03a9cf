"""The page of a scenario's run, to hand to a colleague; how a page is written is bench/report/html.py's."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.experiment.definition import Scenario
from bench.plan import toml
from bench.report.html import Code, Facts, Page, Picture, Prose, Section, Table
from bench.report.run import page as run_page
from bench.report.scenario import text
from bench.runs.record import ScenarioRun


def build_page(scenario: Scenario, run: ScenarioRun, picture: str | None) -> Page:
    """Return the page of `run`, with its picture as SVG, where there is one."""
    return Page(
        kicker="bench: what long connections are used for",
        title=scenario.title,
        sentence=text.sentence(scenario, run),
        warnings=[*text.warnings(run), *run.damage],
        sections=list(_sections(scenario, run, picture)),
        footer=f"Measured from {run.started} on, on one machine. This file is complete: it loads nothing.",
    )


def variants(scenario: Scenario) -> Table:
    """Return what each way is, in words."""
    rows = [(variant.name, variant.summary) for variant in scenario.variants]
    return Table(("variant", "what it is"), rows)


def _sections(scenario: Scenario, run: ScenarioRun, picture: str | None) -> Iterator[Section]:
    if picture is not None:
        yield Section("", [Picture(picture, text.sentence(scenario, run))])
    refused = [Prose(f"Not measured: {said}") for said in text.refusals(run)]
    yield Section("The figures", [text.table(scenario, run), *refused])
    yield Section("What was compared", [Prose(f"Commonly said: {scenario.claim}"), variants(scenario)])
    command = f"bench scenario run {run.scenario}.toml"
    plan = toml.to_toml(run.plan)
    yield Section(
        "How to measure it again", [Code(command), Prose("with this plan in that file:"), Code(plan)]
    )
    yield Section("The machine", [Facts(list(run_page.machine(run.machine)))])
    lines = "\n".join(json.dumps(trial.to_json()) for trial in run.trials)
    yield Section("Every trial as data (JSON lines, as in run.jsonl)", [Code(lines)], folded=True)
