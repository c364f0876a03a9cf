"""`bench report`: one HTML file about a run."""

from pathlib import Path

import click

from bench.commands import print_run, printing
from bench.commands.options import FilePath, command, option
from bench.plan.flags import Heading


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
    from bench.report.scenario import page as scenario_page
    from bench.report.sweep import page as sweep_page
    from bench.report.watch import recorded_page
    from bench.runs import read
    from bench.scenarios import catalogue

    done = read.read(run)
    print_run.print_damage(done.damage)
    written = output or Path(str(done.directory), "report.html")
    if done.kind == "watch":
        built = recorded_page.build_page(done)
    elif done.kind == "sweep":
        built = sweep_page.build_page(done)
    elif done.kind == "scenario":
        built = scenario_page.build_page(catalogue.load(done.scenario), done)
    else:
        built = page.build_page(done)
    html.save(built, written)
    printing.echo(f"report: {written}")
