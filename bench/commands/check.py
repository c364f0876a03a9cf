"""`bench check`: what an nginx configuration really does with its upstream connections.

The reading and judging are nginx's; here are the flags, the installed nginx, and the exit code.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from bench.errors import PlanError
from nginx import check, versions
from nginx.errors import NginxConfigError, VersionError
from nginx.finding import Finding, Severity
from nginx.known_directives import KnownDirectives
from nginx.loading import sources
from nginx.report import formats
from nginx.report import text as report
from nginx.rules import CATALOGUE, CheckSettings
from nginx.rules.sizing import BACKEND_IDLE_S
from nginx.tree import Place

FINDINGS = 1
MISUSE = 2
STANDARD_INPUT = "standard input"

_SEVERITIES = [str(severity) for severity in Severity]


class IdleTime(click.ParamType[float]):
    """Seconds, or the kind of a server whose usual timeout is known."""

    name = "SECONDS|KIND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, str) and value.lower() in BACKEND_IDLE_S:
            return BACKEND_IDLE_S[value.lower()]
        try:
            idle_s = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither seconds nor one of {', '.join(BACKEND_IDLE_S)}", param, ctx)
        if not 0 < idle_s < float("inf"):
            self.fail(f"{value} is no time a connection can idle; give seconds above 0", param, ctx)
        return idle_s


@click.command("check")
@click.argument("targets", nargs=-1, metavar="FILE|DIR|-")
@click.option("--nginx-version", metavar="V[,V...]", help="Versions to judge for [installed, newest known].")
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the absolute paths of includes lie.",
)
@click.option(
    "--with",
    "handed_over",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An include, or the main file, that lies elsewhere (repeatable).",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes [worker_processes].")
@click.option("--concurrency", type=click.IntRange(min=1), help="Requests in flight at the peak.")
@click.option("--backend-idle", type=IdleTime(), help="A server's idle timeout: seconds, or node, puma, ...")
@click.option(
    "--backend-max-connections", type=click.IntRange(min=1), help="Connections that a server takes."
)
@click.option(
    "--ask",
    "asked_nginx",
    multiple=True,
    metavar="PATH|system|wheel",
    help="What this nginx says, too: nginx -t on a copy that can do no harm (repeatable).",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="How to print the answer.",
)
@click.option(
    "--severity",
    type=click.Choice(_SEVERITIES),
    default="high",
    show_default=True,
    help="Exit 1 on findings of this severity or above.",
)
@click.option("--explain", metavar="RULE", help="Print a rule, such as NK005, with examples.")
def check_command(
    *,
    targets: tuple[str, ...],
    nginx_version: str | None,
    root: Path | None,
    handed_over: tuple[Path, ...],
    workers: int | None,
    concurrency: int | None,
    backend_idle: float | None,
    backend_max_connections: int | None,
    output_format: str,
    severity: str,
    explain: str | None,
    asked_nginx: tuple[str, ...],
) -> None:
    """Say whether an nginx configuration reuses its upstream connections, location by location.

    Reads files, folders, or standard input (-); an `nginx -T` dump too. Exit 1 on findings at or above
    --severity, 2 if the configuration cannot be read.
    """
    if explain is not None:
        _explain(explain)
        return
    if not targets:
        raise click.UsageError("name a configuration: a file, a folder, or - for standard input")
    settings = CheckSettings(workers, concurrency, backend_idle, backend_max_connections, _known())
    try:
        asked = versions_asked(nginx_version)
        found = check.CheckResult.merge(
            [_examine(target, asked, root, handed_over, settings) for target in targets]
        )
        found.add(
            finding
            for target in targets
            for finding in _said(target, asked_nginx, root=root, handed_over=handed_over)
        )
    except (NginxConfigError, VersionError) as error:
        click.echo(f"bench check: {error}", err=True)
        sys.exit(MISUSE)
    threshold = Severity[severity.upper()]
    click.echo(_shown(found, output_format, threshold), nl=False)
    worst = found.worst()
    sys.exit(FINDINGS if worst is not None and worst >= threshold else 0)


def _examine(
    target: str,
    asked: list[str],
    root: Path | None,
    handed_over: tuple[Path, ...],
    settings: CheckSettings,
) -> check.CheckResult:
    name, text = opened(target)
    return check.check(name, asked, root=root, extra_files=handed_over, settings=settings, text=text)


def _said(
    target: str, asked: Sequence[str], *, root: Path | None, handed_over: tuple[Path, ...]
) -> Iterator[Finding]:
    """Yields what each nginx that was asked has against a configuration."""
    if not asked:
        return
    # It opens a lab, which the rest of this command has no use for.
    from bench.prove.nginx_process import run_config_test
    from bench.subjects import programs

    if target == "-":
        raise PlanError("--ask takes files and folders: standard input is read once")
    for program in dict.fromkeys(programs.find("nginx", where) for where in asked):
        for model in check.load_models(target, root, handed_over):
            rejection = run_config_test(model, program)
            if rejection is not None:
                place = rejection.place or Place(model.configuration.files[0], 0)
                text = f"[emerg] {rejection.message} (nginx {program.version} -t, on a copy)"
                yield Finding("NX001", Severity.ERROR, place, text, versions=(program.version,))


def opened(target: str) -> tuple[str, str | None]:
    """Returns the name of a target and, for standard input, its text."""
    if target != "-":
        return target, None
    return STANDARD_INPUT, sources.decode(sys.stdin.buffer.read(), STANDARD_INPUT)


def _shown(found: check.CheckResult, output_format: str, threshold: Severity) -> str:
    match output_format:
        case "json":
            return json.dumps(found.to_json(), indent=2) + "\n"
        case "sarif":
            return json.dumps(formats.sarif(found), indent=2) + "\n"
        case "github":
            return formats.github(found)
        case _:
            return report.format_check(
                found, min(Severity.LOW, threshold), report.Colorizer(sys.stdout.isatty())
            )


def versions_asked(given: str | None) -> list[str]:
    if given is not None:
        return [version.strip() for version in given.split(",")]
    installed = installed_version()
    return list(dict.fromkeys([*([installed] if installed else []), check.NEWEST]))


def installed_version() -> str | None:
    """Returns the version of the nginx in the path (or in /usr/sbin), or None if there is none."""
    program = _installed()
    if program is None:
        return None
    try:
        said = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"nginx/([\d.]+)", said.stderr)
    return str(versions.parse(match[1])) if match else None


def _installed() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/local/sbin:/usr/sbin")


def _known() -> KnownDirectives | None:
    """Returns the directives of the installed nginx, if there is one that can be read."""
    program, version = _installed(), installed_version()
    return KnownDirectives.of(Path(program), version) if program is not None and version is not None else None


def _explain(rule_id: str) -> None:
    rule = CATALOGUE.get(rule_id) or CATALOGUE.get(rule_id.upper())
    if rule is None:
        known = ", ".join(sorted(CATALOGUE))
        raise click.UsageError(f"there is no rule {rule_id}; there are {known}")
    click.echo(report.format_rule(rule), nl=False)
