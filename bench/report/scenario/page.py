"""Build the page of a scenario's run, to pass to a colleague."""

from collections.abc import Iterator

from bench.experiment.definition import Scenario
from bench.plan import toml
from bench.report import style
from bench.report.html import Code, Page, Picture, Prose, Section, Table
from bench.report.run.page import build_data_section, build_machine_section
from bench.report.scenario import case_picture, text
from bench.runs.record import ScenarioRun


def build_page(scenario: Scenario, run: ScenarioRun) -> Page:
    """Return the page of `run`."""
    return Page(
        kicker="bench: what long connections are used for",
        title=scenario.title,
        sentence=text.summarize(scenario, run),
        warnings=[*text.summarize_warnings(run), *run.damage],
        sections=list(_sections(scenario, run)),
        started=run.started,
    )


def _sections(scenario: Scenario, run: ScenarioRun) -> Iterator[Section]:
    if run.trials:
        drawn = style.render_svg(case_picture.draw, scenario, run)
        yield Section("", [Picture(drawn, text.summarize(scenario, run))])
    refused = [Prose(f"Not measured: {refusal}") for refusal in text.summarize_refusals(run)]
    yield Section("The figures", [text.build_table(scenario, run), *refused])
    variants = [(variant.name, variant.summary) for variant in scenario.variants]
    claim = Prose(f"Commonly said: {scenario.claim}")
    yield Section("What was compared", [claim, Table(("variant", "what it is"), variants)])
    command, plan = Code(f"bench scenario run {run.scenario}.toml"), Code(toml.to_toml(run.plan))
    yield Section("How to measure it again", [command, Prose("with this plan in that file:"), plan])
    yield build_machine_section(run.machine)
    yield build_data_section(run)
