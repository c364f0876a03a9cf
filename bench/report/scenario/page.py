"""Build the page of a scenario's run, to pass to a colleague."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.experiment.definition import Scenario
from bench.plan import toml
from bench.report.html import Code, FactList, Page, Picture, Prose, Section, Table
from bench.report.run.page import describe_machine
from bench.report.scenario import text
from bench.runs.record import ScenarioRun


def build_page(scenario: Scenario, run: ScenarioRun, picture: str | None) -> Page:
    """Return the page of `run`, with its picture as SVG, where there is one."""
    return Page(
        kicker="bench: what long connections are used for",
        title=scenario.title,
        sentence=text.summarize(scenario, run),
        warnings=[*text.summarize_warnings(run), *run.damage],
        sections=list(_sections(scenario, run, picture)),
        footer=f"Measured from {run.started} on, on one machine. This file is complete: it loads nothing.",
    )


def build_variant_table(scenario: Scenario) -> Table:
    """Return what each variant is, in words."""
    rows = [(variant.name, variant.summary) for variant in scenario.variants]
    return Table(("variant", "what it is"), rows)


def _sections(scenario: Scenario, run: ScenarioRun, picture: str | None) -> Iterator[Section]:
    if picture is not None:
        yield Section("", [Picture(picture, text.summarize(scenario, run))])
    refused = [Prose(f"Not measured: {refusal}") for refusal in text.summarize_refusals(run)]
    yield Section("The figures", [text.build_table(scenario, run), *refused])
    yield Section(
        "What was compared", [Prose(f"Commonly said: {scenario.claim}"), build_variant_table(scenario)]
    )
    command = f"bench scenario run {run.scenario}.toml"
    plan = toml.to_toml(run.plan)
    yield Section(
        "How to measure it again", [Code(command), Prose("with this plan in that file:"), Code(plan)]
    )
    yield Section("The machine", [FactList(list(describe_machine(run.machine)))])
    lines = "\n".join(json.dumps(trial.to_json()) for trial in run.trials)
    yield Section("Every trial as data (JSON lines, as in run.jsonl)", [Code(lines)], folded=True)
