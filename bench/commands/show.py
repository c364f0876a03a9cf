"""`bench show`: one run again."""

from pathlib import Path

import click

from bench.commands import print_run, printing
from bench.commands.options import FilePath, command, json_option
from bench.commands.run_output import build_output
from bench.errors import ExitCode


@command("show")
@click.argument("run", metavar="RUN", type=FilePath)
@json_option
def show_command(run: Path, as_json: bool) -> None:
    """Show a run again, of modes, a scenario or a watch: its table and its finding."""
    from bench.report.run import incident, side_picture
    from bench.runs import read

    done = read.read(run)
    print_run.print_damage(done.damage)
    if as_json:
        printing.echo_json(build_output(done))
    elif done.kind in ("scenario", "sweep", "watch"):
        picture, unsaved = print_run.attempt(print_run.draw_run, done)
        print_run.print_run(done, picture)
        print_run.end([done], unsaved, ExitCode.OK)
    else:
        stem = incident.PICTURE if len(done.subjects) > 1 else side_picture.PICTURE
        drawn = Path(done.directory or ".", f"{stem}.png")
        print_run.print_run(done, drawn if drawn.exists() else None)
