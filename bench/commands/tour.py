"""`bench tour`: a short form of everything, and one page about it."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bench.commands.options import command, lab_option, option, output_option
from bench.errors import ExitCode
from bench.plan import toml
from bench.plan.flags import Heading


@command("tour")
@option(
    Heading.RUN,
    "--step",
    "steps",
    multiple=True,
    metavar="NAME",
    shown_default="all",
    help="Only this step: incident, or the name of a scenario (repeatable).",
)
@lab_option
@output_option
def tour_command(steps: tuple[str, ...], lab_name: str, output: Path) -> None:
    """Run a short form of everything, from short connections to QUIC, and write one page about it."""
    from bench import lab

    opened = lab.choose(lab_name)
    from bench import tour as tours
    from bench.machine import describe
    from bench.report import html
    from bench.report import tour as report
    from bench.report.live import show_live

    names = [toml.chosen("--step", step, tours.NAMES) for step in steps] or list(tours.NAMES)
    started = datetime.now(UTC)
    root = output / f"{started:%Y%m%dT%H%M%SZ}-tour"
    taken: list[tours.Step] = []
    with show_live(sys.stderr, silent=False) as shown:
        for step in tours.take(names, opened, root, shown):
            taken.append(step)
            click.echo(f"{report.format_step(step)}\n")
    root.mkdir(parents=True, exist_ok=True)
    page = report.build_page(taken, describe.describe(), started.isoformat(timespec="seconds"))
    html.save(page, root / "tour.html")
    click.echo(f"report: {root / 'tour.html'}")
    if any(step.interrupted for step in taken):
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(ExitCode.OK if any(step.problem is None for step in taken) else ExitCode.ENVIRONMENT)
