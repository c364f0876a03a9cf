"""Build the page of the tour: for each step the common claim, what was measured, picture and figures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import tour
from bench.analysis.sides import split
from bench.report.html import Block, Page, Prose, Section
from bench.report.run import charts, finding, tables
from bench.report.run import text as run_text
from bench.report.run.page import build_machine_section
from bench.report.scenario import text as scenario_text
from bench.report.scenario.page import build_drawn
from bench.runs import timeline
from bench.tour import Step


def build_page(steps: Sequence[Step], machine: Mapping[str, Any], started: str) -> Page:
    """Return the page of the tour's steps."""
    measured = [step for step in steps if step.problem is None]
    return Page(
        kicker="bench: a tour",
        title="From short connections to QUIC, measured on this machine",
        sentence=(
            f"{len(measured)} of {len(steps)} steps were measured, each in its short form: the figures show"
            " the mechanism, not the last per cent. Each step begins with what is commonly said, then what"
            " this machine gave."
        ),
        warnings=[f"{_format_title(step)}: {step.problem}" for step in steps if step.problem is not None],
        sections=[
            *(_build_section(number, step) for number, step in enumerate(measured, 1)),
            build_machine_section(machine),
        ],
        started=started,
    )


def format_step(step: Step) -> str:
    """Return the line on the terminal when a step has ended."""
    return f"{step.name}: {step.problem or _summarize(step)}"


def _build_section(number: int, step: Step) -> Section:
    return Section(f"{number}. {_format_title(step)}", list(_build_blocks(step)))


def _format_title(step: Step) -> str:
    return "Short connections and keep-alive" if step.scenario is None else step.scenario.title


def _summarize(step: Step) -> str:
    if step.incident is not None:
        return finding.summarize(step.incident)
    assert step.scenario is not None
    assert step.measured is not None
    return scenario_text.summarize(step.scenario, step.measured)


def _build_blocks(step: Step) -> Iterator[Block]:
    claim = tour.INCIDENT_CLAIM if step.scenario is None else step.scenario.claim
    yield Prose(f"Commonly said: {claim}")
    yield Prose(f"Measured: {_summarize(step)}")
    if step.incident is not None and step.incident.directory is not None:
        sides = split(step.incident, timeline.read(Path(step.incident.directory)))
        yield charts.build_glance(sides)
        yield charts.build_charts(sides)
        yield tables.build_result_table(step.incident)
        yield from (Prose(f"Warning: {warning}") for warning in run_text.summarize_warnings(step.incident))
    elif step.scenario is not None and step.measured is not None and step.measured.trials:
        yield from build_drawn(step.scenario, step.measured)
        yield scenario_text.build_table(step.scenario, step.measured)
        yield from (
            Prose(f"Not measured: {refusal}") for refusal in scenario_text.summarize_refusals(step.measured)
        )
        yield from (
            Prose(f"Warning: {warning}") for warning in scenario_text.summarize_warnings(step.measured)
        )
