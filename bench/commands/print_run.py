"""What a command prints of a run, of modes or of a scenario, and the exit code that it ends with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.errors import ExitCode

if TYPE_CHECKING:
    from bench.runs.record import Run, ScenarioRun


def print_damage(damage: Sequence[str]) -> None:
    """Print what of a run could not be read."""
    for line in damage:
        click.echo(f"bench: {line}", err=True)


def print_run(done: Run) -> None:
    """Print the table of a run and its finding."""
    from bench.report.run import incident, side_picture, text

    stem, summary = side_picture.PICTURE, text.format_run
    if len(done.subjects) > 1:
        stem, summary = incident.PICTURE, incident.format_run
    drawn = Path(done.directory or ".", f"{stem}.png")
    click.echo(summary(done, drawn if drawn.exists() else None), nl=False)


def print_scenario_run(done: ScenarioRun) -> None:
    """Print the table of a scenario's run and its conclusion, and draw its picture into its folder."""
    from bench.report.scenario import text
    from bench.scenarios import catalogue

    click.echo(text.format_run(catalogue.load(done.scenario), done, draw_scenario_run(done)), nl=False)


def draw_run(done: Run) -> None:
    """Draw the run's picture into its folder, where there is something to draw."""
    from bench.report.run import side_picture

    if done.trials and done.directory is not None:
        side_picture.save_run(Path(done.directory))


def draw_scenario_run(done: ScenarioRun) -> Path | None:
    """Draw the run's picture into its folder, where there is something to draw; return where it is."""
    from bench.report import style
    from bench.report.scenario import case_picture
    from bench.scenarios import catalogue

    if not done.trials or done.directory is None:
        return None
    stem = Path(done.directory, case_picture.PICTURE)
    return style.save_figure(stem, case_picture.draw, catalogue.load(done.scenario), done)[0]


def exit_code(done: Run | ScenarioRun) -> ExitCode:
    """Return the exit code of a run that has just been made."""
    if done.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if done.trials and all(trial.valid for trial in done.trials) else ExitCode.FINDINGS
