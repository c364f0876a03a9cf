"""`bench fix`: the smallest edit after which a configuration reuses its upstream connections.

The planning is nginx's; here are the flags, what is printed where, and the exit code.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.check import FINDINGS, MISUSE, STANDARD_INPUT, IdleTime, opened, versions_asked
from nginx.errors import NginxConfigError, VersionError
from nginx.fix import repair as fix
from nginx.rules import CheckSettings


@click.command("fix")
@click.argument("targets", nargs=-1, required=True, metavar="FILE|DIR|-")
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
@click.option(
    "--backend-idle", type=IdleTime(), help="As for check: new pools close idle connections sooner."
)
def fix_command(
    *,
    targets: tuple[str, ...],
    output: str,
    nginx_version: str | None,
    root: Path | None,
    handed_over: tuple[Path, ...],
    workers: int | None,
    concurrency: int | None,
    backend_idle: float | None,
) -> None:
    """Make each location of an nginx configuration reuse its upstream connections, and change nothing else.

    Reads files, folders, or standard input (-); of an `nginx -T` dump it prints the diff for the files in
    it. Prints a diff, or writes it with --write (standard input is written to standard output). Exit 1 if
    a location could not be repaired.
    """
    settings = CheckSettings(workers, concurrency, backend_idle)
    repair = fix.Repair()
    try:
        asked = versions_asked(nginx_version)
        for target in targets:
            name, text = opened(target)
            repair = fix.fix(
                name,
                asked,
                root=root,
                extra_files=handed_over,
                settings=settings,
                text=text,
                repair=repair,
            )
        if output == "write":
            _write(repair, targets)
    except (NginxConfigError, VersionError) as error:
        click.echo(f"bench fix: {error}", err=True)
        sys.exit(MISUSE)
    if output == "diff":
        click.echo(repair.diff(), nl=False)
    _say(repair, output)
    sys.exit(FINDINGS if repair.skipped else 0)


def _write(repair: fix.Repair, targets: tuple[str, ...]) -> None:
    if targets == ("-",) and STANDARD_INPUT in repair.after:
        click.echo(repair.after[STANDARD_INPUT], nl=False)
    else:
        fix.write(repair)


def _say(repair: fix.Repair, output: str) -> None:
    for refusal in repair.skipped:
        click.echo(f"{refusal.place}: {refusal.context} is left as it is: {refusal.reason}", err=True)
    for place in repair.worse:
        click.echo(
            f"{place}: not repaired, but shares a line with what is: nginx now closes its connections first",
            err=True,
        )
    for place in repair.resolved_in_background:
        click.echo(
            f"{place}: the name is resolved in the background now: 502 from the start until the first answer",
            err=True,
        )
    count = len(repair.repaired)
    done = "written to" if output == "write" else "shown for"
    files = ", ".join(repair.after) or "no file"
    click.echo(f"{count} location{'s' if count != 1 else ''} repaired, {done} {files}", err=True)
