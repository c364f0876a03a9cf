"""The tour as one page: for each step what is commonly said, what was measured, picture and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import tour
from bench.analysis.sides import split
from bench.report import text_table
from bench.report.html import Block, Facts, Page, Picture, Prose, Section
from bench.report.run import finding
from bench.report.run import page as run_page
from bench.report.run import picture as run_picture
from bench.report.run import text as run_text
from bench.report.scenario import picture
from bench.report.scenario import text as scenario_text
from bench.runs import timeline
from bench.tour import Step


def build_page(steps: Sequence[Step], machine: Mapping[str, Any], started: str) -> Page:
    """Return the page of the tour's steps."""
    taken = [step for step in steps if step.problem is None]
    return Page(
        kicker="bench: a tour",
        title="From short connections to QUIC, measured on this machine",
        sentence=(
            f"{len(taken)} of {len(steps)} steps were measured, each in its short form: the figures show the"
            " mechanism, not the last per cent. Each step begins with what is commonly said, then what this"
            " machine gave."
        ),
        warnings=[f"{_title(step)}: {step.problem}" for step in steps if step.problem is not None],
        sections=[
            *(_section(number, step) for number, step in enumerate(taken, 1)),
            Section("The machine", [Facts(list(run_page.machine(machine)))]),
        ],
        footer=f"Measured from {started} on, on one machine. This file is complete: it loads nothing.",
    )


def line(step: Step) -> str:
    """Return what is said on the terminal when a step has ended."""
    return f"{step.name}: {step.problem or _sentence(step)}"


def _section(number: int, step: Step) -> Section:
    return Section(f"{number}. {_title(step)}", list(_blocks(step)))


def _title(step: Step) -> str:
    return "Short connections and keep-alive" if step.scenario is None else step.scenario.title


def _sentence(step: Step) -> str:
    if step.incident is not None:
        return finding.sentence(step.incident)
    assert step.scenario is not None
    assert step.measured is not None
    return scenario_text.sentence(step.scenario, step.measured)


def _blocks(step: Step) -> Iterator[Block]:
    claim = tour.INCIDENT_CLAIM if step.scenario is None else step.scenario.claim
    yield Prose(f"Commonly said: {claim}")
    yield Prose(f"Measured: {_sentence(step)}")
    if step.incident is not None and step.incident.directory is not None:
        sides = split(step.incident, timeline.read(Path(step.incident.directory)))
        yield Picture(run_picture.as_svg(sides), _sentence(step))
        yield text_table.result(step.incident)
        yield from (Prose(f"Warning: {said}") for said in run_text.warnings(step.incident))
    elif step.scenario is not None and step.measured is not None and step.measured.trials:
        yield Picture(picture.as_svg(step.scenario, step.measured), _sentence(step))
        yield scenario_text.table(step.scenario, step.measured)
        yield from (Prose(f"Not measured: {said}") for said in scenario_text.refusals(step.measured))
        yield from (Prose(f"Warning: {said}") for said in scenario_text.warnings(step.measured))
