"""`bench fix`: the smallest edit after which a configuration reuses its upstream connections.

The planning is nginx's; here are the flags, what is printed where, and the exit code.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.check_command import FINDINGS, MISUSE, versions_asked
from nginx import fix
from nginx.errors import NginxConfigError, VersionError
from nginx.rules import Settings


@click.command("fix")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--diff", "output", flag_value="diff", default=True, help="Print the edits [default].")
@click.option("--write", "output", flag_value="write", help="Write them into the files.")
@click.option("--nginx-version", metavar="V[,V...]", help="Versions to reuse on [installed, newest known].")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), help="As for check.")
@click.option(
    "--with",
    "handed_over",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="As for check (repeatable).",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes [worker_processes].")
@click.option("--concurrency", type=click.IntRange(min=1), help="Requests in flight at the peak.")
def fix_command(
    *,
    file: Path,
    output: str,
    nginx_version: str | None,
    root: Path | None,
    handed_over: tuple[Path, ...],
    workers: int | None,
    concurrency: int | None,
) -> None:
    """Make each location of an nginx configuration reuse its upstream connections, and change nothing else.

    Prints a diff, or writes it with --write. Exit 1 if a location could not be repaired.
    """
    settings = Settings(workers, concurrency)
    try:
        asked = versions_asked(nginx_version)
        repair = fix.fix(file, asked, root=root, handed_over=handed_over, settings=settings)
        if output == "write":
            fix.write(repair)
    except (NginxConfigError, VersionError) as error:
        click.echo(f"bench fix: {error}", err=True)
        sys.exit(MISUSE)
    if output == "diff":
        click.echo(repair.diff(), nl=False)
    _say(repair, output)
    sys.exit(FINDINGS if repair.refused else 0)


def _say(repair: fix.Repair, output: str) -> None:
    for refusal in repair.refused:
        click.echo(f"{refusal.place}: {refusal.context} is left as it is: {refusal.reason}", err=True)
    count = len(repair.repaired)
    done = "written to" if output == "write" else "shown for"
    files = ", ".join(repair.after) or "no file"
    click.echo(f"{count} location{'s' if count != 1 else ''} repaired, {done} {files}", err=True)
