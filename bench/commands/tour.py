"""`bench tour`: a short form of everything, and one page that leads through what is said of it."""

import sys
from collections.abc import Sequence
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
    from bench.tour.steps import Step


@command("tour")
@option(
    Heading.RUN,
    "--step",
    "steps",
    keys=["steps"],
    multiple=True,
    metavar="NAME",
    shown_default="all",
    help="Only this step: incident, snippet, or the name of a scenario (repeatable).",
)
@option(
    Heading.OUTPUT,
    "--guess",
    is_flag=True,
    shown_default="off",
    help="Hide each verdict on the page until a click, so that a class can guess first.",
)
@lab_option
@output_option
def tour_command(steps: tuple[str, ...], guess: bool, lab_name: str, output: Path) -> None:
    """Put to the test what is said about connections, from short ones to QUIC, as one page.

    Each claim gets a verdict: true, false, it depends, or not measured here. Where it was not measured, the
    page shows what the reference run gave. All steps take about five minutes. The page is tour.html in a
    folder of its own below that of --output, which the last line names. Each step's results lie beside it.
    """
    from bench import lab

    opened = lab.choose(lab_name)
    from bench.analysis import claims
    from bench.report import tour as report
    from bench.runs import storage
    from bench.tour import article, reference, ruling
    from bench.tour import steps as tours

    names = [toml.chosen("steps", step, tours.NAMES) for step in steps] or list(tours.NAMES)
    started = datetime.now(UTC)
    root = storage.make_folder(output, started, "tour")
    taken, is_cut = _take(names, opened, root)
    told = ruling.rule(article.select(names), taken, reference.find(names))
    skipped = [each for each in told if each.step is None]
    printing.echo(f"{report.format_claims(skipped)}\n{report.format_end(told)}", nl=False)
    page = report.build_page(told, taken, started.isoformat(timespec="seconds"), guess=guess)
    _, unsaved = print_run.attempt(_save, page, root)
    busy = [step.name for step in taken if step.run and claims.judge(step.run) is claims.RunVerdict.TOO_BUSY]
    if busy:
        printing.echo(f"void:    rates and times of {', '.join(busy)}: others used this machine meanwhile")
    printing.echo(f"results: {root}")
    if unsaved is None:
        printing.echo(f"report: {root / 'tour.html'}")
    runs = [step.run for step in taken if step.run is not None]
    answer = ExitCode.INTERRUPTED if is_cut else ExitCode.ENVIRONMENT
    print_run.end(runs, unsaved, claims.exit_code(runs) if runs and not is_cut else answer)


def _take(names: Sequence[str], lab_name: str, root: Path) -> "tuple[list[Step], bool]":
    """Take the steps and print the claims of each as it ends; return also whether Ctrl-C came between two."""
    from bench.report import tour as report
    from bench.report.live import show_live
    from bench.tour import article, ruling, steps

    taken: list[Step] = []
    with show_live(sys.stderr, silent=False) as shown:
        try:
            for step in steps.take(names, lab_name, root, shown):
                taken.append(step)
                shown.clear()  # else what is printed stands behind it
                told = ruling.rule(article.select([step.name]), taken)
                printing.echo(report.format_claims(told), nl=False)
        except KeyboardInterrupt:  # a trial is ended by its run; here there was none
            return taken, True
    return taken, False


def _save(page: "Page", root: Path) -> None:
    """Write the page into the folder of the tour."""
    from bench.report import html

    html.save(page, root / "tour.html")
