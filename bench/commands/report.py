"""`bench report`: one HTML file about a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands import print_run
from bench.commands.options import FilePath, command, option
from bench.plan.flags import Heading

if TYPE_CHECKING:
    from bench.report.html import Page
    from bench.runs.record import ScenarioRun


@command("report")
@click.argument("run", metavar="RUN", type=FilePath)
@option(
    Heading.OUTPUT,
    "-o",
    "--output",
    metavar="FILE",
    type=FilePath,
    shown_default="RUN/report.html",
    help="Where to write it.",
)
def report_command(run: Path, output: Path | None) -> None:
    """Write one HTML file about a run, to pass on: it carries all it shows, and loads nothing."""
    from bench.report import html
    from bench.report.run import page
    from bench.runs import read

    done = read.read(run)
    print_run.print_damage(done.damage)
    written = output or Path(str(done.directory), "report.html")
    html.save(_scenario_page(done) if done.kind == "scenario" else page.build_page(done), written)
    click.echo(f"report: {written}")


def _scenario_page(done: ScenarioRun) -> Page:
    from bench.report import style
    from bench.report.scenario import case_picture, page
    from bench.scenarios import catalogue

    scenario = catalogue.load(done.scenario)
    drawn = style.render_svg(case_picture.draw, scenario, done) if done.trials else None
    return page.build_page(scenario, done, drawn)
