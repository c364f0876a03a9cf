"""`bench probe`: what a running server does with its connections."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands import printing
from bench.commands.options import Count, Duration, FilePath, command, json_option, option
from bench.errors import ExitCode, PlanError
from bench.plan.flags import Heading

if TYPE_CHECKING:
    from bench.probe.connection import Contexts
    from bench.probe.model import ProbeResult
    from bench.probe.target import ProbeTarget

_MOST_REQUESTS = 100_000
_SCOPE = "Scope"


@command("probe")
@click.argument("target", metavar="HOST:PORT|URL")
@option(
    Heading.RUN,
    "--max",
    "max_s",
    type=Duration(1, 7200),
    default="120s",
    metavar="SECONDS",
    help="How long it waits at the most for idle connections to end.",
)
@option(
    Heading.RUN,
    "--requests",
    type=Count(1, _MOST_REQUESTS),
    default=60,
    help="Requests that it sends at the most; more find out after how many a connection is ended.",
)
@option(
    Heading.LOAD,
    "--path",
    "paths",
    multiple=True,
    metavar="/NAME",
    shown_default="that of the URL, or /",
    help="What it asks for (repeatable): the first each time, further ones once, as one that answers 204.",
)
@option(
    Heading.LOAD,
    "--header",
    "-H",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    shown_default="none",
    help="Further header field (repeatable); Host stands in for that of the target.",
)
@option(
    Heading.LOAD,
    "--timeout",
    "patience_s",
    type=Duration(0.1, 600),
    default="10s",
    metavar="SECONDS",
    help="How long an answer may take.",
)
@option(Heading.LOAD, "--insecure", "-k", is_flag=True, help="Do not verify the server's certificate.")
@option(
    Heading.LOAD,
    "--cacert",
    type=FilePath,
    metavar="FILE",
    not_with=("insecure",),
    shown_default="the system's",
    help="Certificates that are trusted, in PEM.",
)
@option(
    Heading.LOAD,
    "--sni",
    "server_name",
    metavar="NAME",
    shown_default="the host of the URL",
    help="Name that the server's certificate must be for.",
)
@option(
    _SCOPE,
    "--netns",
    metavar="NAME|FILE",
    shown_default="that of bench",
    help="Probe from a network namespace (root): its name in /run/netns, or a file, as /proc/PID/ns/net.",
)
@json_option
def probe_command(
    *,
    target: str,
    max_s: float,
    requests: int,
    paths: Sequence[str],
    headers: Sequence[str],
    patience_s: float,
    insecure: bool,
    cacert: Path | None,
    server_name: str | None,
    netns: str | None,
    as_json: bool,
) -> None:
    """Measure how long a running server keeps its connections, and how it ends them.

    It sends nothing but GET and HEAD, one request at a time, on 20 connections at the most. Point it at the
    server itself, with no proxy between: a proxy in front has to know the idle time that it finds.
    """
    from bench.probe.advice import to_json
    from bench.probe.limits import ProbeSettings, least_requests
    from bench.probe.probing import probe
    from bench.report.probe import format_probe, show_live
    from bench.watch.scope import inside_namespace

    asked = _read_target(target, paths, headers, server_name)
    if requests < (least := least_requests(len(asked.more_paths))):
        several = f" with {len(paths)} paths" if len(paths) > 1 else ""
        raise PlanError(f"--requests {requests}: a probe{several} takes {least} at the least; raise it")
    contexts = _contexts(asked, insecure, cacert)
    settings = ProbeSettings(max_s=max_s, most_requests=requests, patience_s=patience_s)
    with inside_namespace(netns), show_live(sys.stderr) as report:
        result = probe(asked, settings, contexts, report)
    if as_json:
        printing.echo_json(to_json(result))
    else:
        printing.echo(format_probe(result), nl=False)
    sys.exit(_exit_code(result))


def _read_target(
    text: str, paths: Sequence[str], headers: Sequence[str], server_name: str | None
) -> "ProbeTarget":
    from dataclasses import replace

    from bench.probe.target import check_path, parse_field, parse_target

    target = parse_target(text)
    if server_name is not None and not server_name.strip():
        raise PlanError(f"--sni {server_name!r}: it is empty; write a name, or leave it out for the host")
    checked = [check_path(path, f"--path {path}") for path in paths]
    return replace(
        target,
        path=checked[0] if checked else target.path,
        more_paths=tuple(checked[1:]),
        fields=tuple(parse_field(line) for line in headers),
        server_name=server_name,
    )


def _contexts(target: "ProbeTarget", insecure: bool, cacert: Path | None) -> "Contexts | None":
    """Return the contexts of TLS; None where the target has none."""
    named = (("-k", insecure), (f"--cacert {cacert}", cacert is not None), ("--sni", target.server_name))
    if not target.is_tls:
        if given := next((name for name, is_given in named if is_given), None):
            raise PlanError(f"{given} has no effect without TLS; write {target.with_scheme('https')}")
        return None
    from bench.load import tls
    from bench.probe.connection import make_contexts

    try:
        text = None if cacert is None else tls.certificates_in(cacert.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PlanError(f"--cacert {cacert}: {reason}; name a file with certificates in PEM") from error
    return make_contexts(verify=not insecure, authority=text)


def _exit_code(result: "ProbeResult") -> ExitCode:
    """Return 4 where connections are kept, and for how long did not show."""
    is_kept = any(case.kept for case in result.cases)
    return ExitCode.CANNOT_TELL if is_kept and result.idle is None else ExitCode.OK
