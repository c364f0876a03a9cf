"""What a command prints of a run, of modes or of a scenario, and the exit code that it ends with."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bench.errors import ExitCode

if TYPE_CHECKING:
    from bench.runs.record import RunRecord


def print_damage(damage: Sequence[str]) -> None:
    """Print what of a run could not be read."""
    for line in damage:
        click.echo(f"bench: {line}", err=True)


def print_run(done: "RunRecord[Any]", picture: Path | None) -> None:
    """Print the table of a run, and its finding or its conclusion."""
    from bench.report.run import incident
    from bench.report.run import text as run_text
    from bench.report.scenario import text as scenario_text
    from bench.scenarios import catalogue

    if done.kind == "scenario":
        text = scenario_text.format_run(catalogue.load(done.scenario), done, picture)
    else:
        text = (incident if len(done.subjects) > 1 else run_text).format_run(done, picture)
    click.echo(text, nl=False)


def draw_run(done: "RunRecord[Any]") -> Path | None:
    """Draw the run's picture into its folder, where there is something to draw; return where it is."""
    from bench.report import style
    from bench.report.run import side_picture
    from bench.report.scenario import case_picture
    from bench.scenarios import catalogue

    if not done.trials or done.directory is None:
        return None
    if done.kind == "run":
        return side_picture.save_run(Path(done.directory))[0]
    stem = Path(done.directory, case_picture.PICTURE)
    return style.save_figure(stem, case_picture.draw, catalogue.load(done.scenario), done)[0]


def finish(done: "RunRecord[Any]", as_json: bool, quiet: bool) -> NoReturn:
    """Draw a run that has just been made, print what was requested of it, and exit."""
    picture = draw_run(done)
    if as_json:
        click.echo(json.dumps(done.to_json()))
    elif quiet:
        click.echo(done.directory)
    else:
        print_run(done, picture)
    if done.interrupted:
        sys.exit(ExitCode.INTERRUPTED)
    is_valid = done.trials and all(trial.valid for trial in done.trials)
    sys.exit(ExitCode.OK if is_valid else ExitCode.FINDINGS)
