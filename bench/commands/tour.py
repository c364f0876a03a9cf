"""`bench tour`: a short form of everything, and one page about it."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands import print_run, printing
from bench.commands.options import command, lab_option, option, output_option
from bench.errors import ExitCode
from bench.plan import toml
from bench.plan.flags import Heading

if TYPE_CHECKING:
    from bench.report.html import Page


@command("tour")
@option(
    Heading.RUN,
    "--step",
    "steps",
    keys=["steps"],
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
    from bench.analysis import claims
    from bench.machine import describe
    from bench.report import tour as report
    from bench.report.live import show_live

    names = [toml.chosen("steps", step, tours.NAMES) for step in steps] or list(tours.NAMES)
    started = datetime.now(UTC)
    root = output / f"{started:%Y%m%dT%H%M%SZ}-tour"
    taken: list[tours.Step] = []
    with show_live(sys.stderr, silent=False) as shown:
        for step in tours.take(names, opened, root, shown):
            taken.append(step)
            shown.clear()  # else what is printed stands behind it
            printing.echo(f"{report.format_step(step)}\n")
    page = report.build_page(taken, describe.describe(), started.isoformat(timespec="seconds"))
    _, unsaved = print_run.attempt(_save, page, root)
    if root.is_dir():
        printing.echo(f"results: {root}")
    if unsaved is None:
        printing.echo(f"report: {root / 'tour.html'}")
    runs = [run for step in taken for run in step.runs]
    print_run.end(runs, unsaved, claims.exit_code(runs) if runs else ExitCode.ENVIRONMENT)


def _save(page: "Page", root: Path) -> None:
    """Write the page into the folder of the tour, which no step may have made."""
    from bench.report import html, saving

    saving.make_folder(root)
    html.save(page, root / "tour.html")
