"""Build the page of a scenario's run, to pass to a colleague."""

from collections.abc import Iterator

from bench.analysis import claims
from bench.experiment.definition import Scenario
from bench.plan import toml
from bench.report import certainty
from bench.report.charts import explain_bars
from bench.report.html import Block, Code, Glance, Page, Prose, Section, Table
from bench.report.run.page import build_data_section, build_place_section
from bench.report.scenario import charts, text
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
        certainty=certainty.count_trials(claims.cases(run.trials), "case"),
    )


def build_drawn(scenario: Scenario, run: ScenarioRun) -> Iterator[Block]:
    """Yield what is drawn of a run: its bars, then its lines."""
    bars, lines = charts.build_bars(scenario, run), charts.build_charts(scenario, run)
    if bars:
        yield Glance(bars, explain_bars(bars))
    if lines.charts:
        yield lines


def _sections(scenario: Scenario, run: ScenarioRun) -> Iterator[Section]:
    if run.trials:
        yield Section("", list(build_drawn(scenario, run)))
    refused = [Prose(f"Not measured: {refusal}") for refusal in text.summarize_refusals(run)]
    yield Section("The figures", [text.build_table(scenario, run), *refused])
    variants = [(variant.name, variant.summary) for variant in scenario.variants]
    claim = Prose(f"What is said, which the figures bear out or not: “{scenario.claim}”")
    yield Section("What was compared", [claim, Table(("variant", "what it is"), variants)])
    command, plan = Code(f"bench scenario run {run.scenario}.toml"), Code(toml.to_toml(run.plan))
    yield Section("How to measure it again", [command, Prose("with this plan in that file:"), plan])
    yield build_place_section(run)
    yield build_data_section(run)
