"""`bench fix`: the smallest edit after which a configuration reuses its upstream connections.

The planning is nginx's; here are the flags, what is printed where, and the exit code.
"""

import sys
from collections.abc import Sequence
from typing import Any

import click

from bench import units
from bench.commands import printing
from bench.commands.judging import JudgedBy, judging_options
from bench.commands.nginx_options import STANDARD_INPUT, read_target
from bench.commands.options import command, option
from bench.commands.probed import ProbeSource, probe_option, with_probes
from bench.commands.server_kinds import kinds_option, with_kinds
from bench.errors import ExitCode
from bench.plan.flags import Heading
from bench.prove.backend_kinds import BackendKind
from nginx.assumptions import assumptions
from nginx.fix import repair as fix
from nginx.rules import CheckSettings


@command("fix")
@click.argument("targets", nargs=-1, required=True, metavar="FILE|DIR|-")
@judging_options
@probe_option
@kinds_option("The kind of the servers", shown_default="unknown")
@option(
    Heading.OUTPUT,
    "--diff",
    "output",
    flag_value="diff",
    default="diff",
    help="Print the edits.",
    shown_default="yes",
)
@option(Heading.OUTPUT, "--write", "output", flag_value="write", help="Write them into the files.")
def fix_command(
    *,
    targets: tuple[str, ...],
    output: str,
    backend_like: Sequence[tuple[str, BackendKind]],
    probes: tuple[ProbeSource, ...],
    **judging: Any,
) -> None:
    """Make each location of an nginx configuration reuse its upstream connections.

    Nothing else is changed. Reads files, folders, or standard input (-); of an `nginx -T` dump it prints the
    diff for the files in it. Prints a diff, or writes it with --write (standard input is written to standard
    output). Exit 1 if a location could not be repaired, 2 if nginx refuses the configuration, or if nothing
    in it passes requests on.
    """
    inputs = [read_target(target) for target in targets]
    judged_by = with_probes(JudgedBy.of(judging), probes, inputs)
    settings = with_kinds(judged_by.settings, backend_like)
    repair = fix.Repair()
    for name, text in inputs:
        repair = fix.fix(
            name,
            list(judged_by.versions),
            root=judged_by.root,
            extra_files=judged_by.extra_files,
            settings=settings,
            text=text,
            repair=repair,
            may_leave_out=judging["nginx_version"] is None,
        )
    if output == "diff":
        printing.echo_data(repair.diff())
    elif targets == ("-",) and STANDARD_INPUT in repair.after:
        printing.echo_data(repair.after[STANDARD_INPUT])
    else:
        fix.write(repair)
    _print_summary(repair, output, settings)
    if repair.refused or not repair.locations:
        sys.exit(ExitCode.MISUSE)
    sys.exit(ExitCode.FINDINGS if repair.skipped else ExitCode.OK)


def _nothing(repair: fix.Repair) -> str:
    """Return why there is nothing to do."""
    reused, accepted = repair.locations - len(repair.accepted), len(repair.accepted)
    parts = (
        [f"{reused} location{'s reuse their' if reused != 1 else ' reuses its'} connections"]
        if reused
        else []
    )
    parts += [f"{accepted} {'are' if accepted != 1 else 'is'} accepted as it is"] if accepted else []
    return f"nothing to repair: {', '.join(parts)}"


def _print_summary(repair: fix.Repair, output: str, settings: CheckSettings) -> None:
    for place, reason in repair.refused.items():
        printing.echo(f"{place}: {reason}", err=True)
    for version, reason in repair.left_out.items():
        printing.echo(f"not judged for nginx {version}, which refuses it: {reason}", err=True)
    for refusal in repair.skipped:
        printing.echo(f"{refusal.place}: {refusal.context} is left as it is: {refusal.reason}", err=True)
    for accepted in repair.accepted:
        printing.echo(f"{accepted.place}: {accepted.context} stays as it is: {accepted.reason}", err=True)
    for note in repair.notes:
        printing.echo(f"{note.place}: {note.text}", err=True)
    if repair.refused and not repair.after:
        return
    if not repair.locations:
        printing.echo_error(
            "bench: there is nothing to repair: nothing here passes requests on, or the files that do are "
            "missing; name the main file or pipe `nginx -T` in"
        )
        return
    for assumption in assumptions(settings):
        printing.echo(assumption, err=True)
    count = len(repair.repaired)
    if not count and not repair.skipped:
        printing.echo(_nothing(repair), err=True)
        return
    done = "written to" if output == "write" else "shown for"
    files = ", ".join(repair.after) or "no file"
    printing.echo(f"{units.plural(count, 'location')} repaired, {done} {files}", err=True)
