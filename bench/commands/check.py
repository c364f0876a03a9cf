"""`bench check`: what an nginx configuration really does with its upstream connections.

The reading and judging are nginx's; here are the flags, the installed nginx, and the exit code.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from bench.commands import printing
from bench.commands.nginx_options import (
    FrontIdle,
    check_settings,
    installed_nginx,
    installed_version,
    judging_options,
    read_target,
    requested_versions,
)
from bench.commands.options import command, option
from bench.errors import ExitCode
from bench.plan.flags import Heading
from nginx import check
from nginx.finding import Finding, Severity
from nginx.idle_times import Front
from nginx.known_directives import KnownDirectives
from nginx.report import formats, markdown
from nginx.report import text as report
from nginx.rules import CATALOGUE
from nginx.tree import Place

_SEVERITIES = [str(severity) for severity in Severity]
_FORMATS: dict[str, Callable[[check.CheckResult], str]] = {
    "json": lambda found: json.dumps(found.to_json(), indent=2) + "\n",
    "sarif": lambda found: json.dumps(formats.sarif(found), indent=2) + "\n",
    "github": formats.github,
    "markdown": markdown.markdown,
}


@command("check")
@click.argument("targets", nargs=-1, metavar="FILE|DIR|-")
@judging_options
@option(
    Heading.PROXY,
    "--front-idle",
    type=FrontIdle(),
    metavar="TIME|KIND",
    shown_default="60s, if anything",
    help="How long what is in front of nginx keeps idle connections: a time, or its kind, as alb.",
)
@option(
    Heading.PROXY,
    "--config-test",
    "config_tests",
    multiple=True,
    metavar="PATH|system|wheel",
    shown_default="none",
    help="Run `nginx -t` of this nginx too, on a copy that can do no harm (repeatable).",
)
@option(
    Heading.OUTPUT,
    "--format",
    "output_format",
    type=click.Choice(["text", *_FORMATS]),
    default="text",
    help="How to print the answer.",
)
@option(
    Heading.OUTPUT,
    "--severity",
    type=click.Choice(_SEVERITIES),
    default="high",
    help="Exit 1 on findings of this severity or above.",
)
@option(Heading.OUTPUT, "--strict", is_flag=True, help="Exit 1 too where an answer depends on more.")
@option(Heading.OUTPUT, "--allow-empty", is_flag=True, help="Exit 0 where no location can be judged.")
@option(
    Heading.OUTPUT,
    "--explain",
    metavar="RULE",
    shown_default="none",
    help="Print a rule, such as NK005, with examples, and check nothing.",
)
@option(Heading.OUTPUT, "--rules", is_flag=True, help="List the rules, and check nothing.")
def check_command(
    *,
    targets: tuple[str, ...],
    nginx_version: str | None,
    root: Path | None,
    extra_files: tuple[Path, ...],
    workers: int | None,
    concurrency: int | None,
    backend_idle: Sequence[tuple[str, float]],
    backend_max_connections: Sequence[tuple[str, int]],
    front_idle: Front | None,
    settings: Path | None,
    output_format: str,
    severity: str,
    strict: bool,
    allow_empty: bool,
    explain: str | None,
    rules: bool,
    config_tests: tuple[str, ...],
) -> None:
    """Say whether an nginx configuration reuses its upstream connections, location by location.

    Reads files, folders, or standard input (-); an `nginx -T` dump too. Exit 1 where connections are not or
    only partly reused, or on findings at or above --severity; 2 if no location can be judged.
    """
    if explain is not None:
        _explain(explain)
        return
    if rules:
        printing.echo(report.format_rules(), nl=False)
        return
    if not targets:
        raise click.UsageError("name a configuration: a file, a folder, or - for standard input")
    judged_by = check_settings(
        backend_idle,
        backend_max_connections,
        workers=workers,
        concurrency=concurrency,
        front=front_idle,
        known=_known(),
    )
    requested = requested_versions(nginx_version)
    inputs = [read_target(target, may_be_empty=allow_empty) for target in targets]
    found = check.CheckResult.merge(
        [
            check.check(name, requested, root=root, extra_files=extra_files, settings=judged_by, text=text)
            for name, text in inputs
        ]
    )
    for name, text in inputs:
        found.add(_refusals(name, text, config_tests, root=root, extra_files=extra_files))
    threshold = Severity[severity.upper()]
    _print(found, output_format, threshold)
    sys.exit(_exit_code(found, threshold, is_strict=strict, may_be_empty=allow_empty))


def _print(found: check.CheckResult, output_format: str, threshold: Severity) -> None:
    if output_format == "text":
        colorize = report.Colorizer(sys.stdout.isatty())
        printing.echo_coloured(report.format_check(found, min(Severity.LOW, threshold), colorize))
    else:
        printing.echo(_FORMATS[output_format](found), nl=False)


def _exit_code(
    found: check.CheckResult, threshold: Severity, *, is_strict: bool, may_be_empty: bool
) -> ExitCode:
    """Return the exit code of a result, and print what it is about where the report does not."""
    if not found.locations and not may_be_empty:
        printing.echo_error(
            "bench: no location could be judged: nothing here passes requests on, or the files that do are"
            " missing; name the main file or pipe `nginx -T` in, or use --allow-empty"
        )
        return ExitCode.MISUSE
    dependent = sum(location.depends for location in found.locations)
    if dependent:
        remedy = "exit 1 by --strict" if is_strict else "--strict makes it exit 1"
        printing.echo_error(
            f"bench: {dependent} of {len(found.locations)} answers depend on what is not known here; {remedy}"
        )
    worst = found.worst()
    fails = (worst is not None and worst >= threshold) or any(each.fails for each in found.locations)
    return ExitCode.FINDINGS if fails or (dependent and is_strict) else ExitCode.OK


def _refusals(
    name: str,
    text: str | None,
    programs_requested: Sequence[str],
    *,
    root: Path | None,
    extra_files: tuple[Path, ...],
) -> Iterator[Finding]:
    """Yield what each of these nginx has against a configuration (`nginx -t`)."""
    if not programs_requested:
        return
    # It opens a lab, which the rest of this command has no use for.
    from bench.prove.nginx_process import run_config_test
    from bench.subjects import programs

    for program in dict.fromkeys(programs.find("nginx", where) for where in programs_requested):
        for model in check.load_models(name, root, extra_files, text):
            rejection = run_config_test(model, program)
            if rejection is not None:
                place = rejection.place or Place(model.configuration.files[0], 0)
                message = f"[emerg] {rejection.message} (nginx {program.version} -t, on a copy)"
                yield Finding("NX001", Severity.ERROR, place, message, versions=(program.version,))


def _known() -> KnownDirectives | None:
    """Return the directives of the installed nginx, if there is one that can be read."""
    program, version = installed_nginx(), installed_version()
    return KnownDirectives.of(Path(program), version) if program is not None and version is not None else None


def _explain(rule_id: str) -> None:
    rule = CATALOGUE.get(rule_id) or CATALOGUE.get(rule_id.upper())
    if rule is None:
        known = ", ".join(sorted(CATALOGUE))
        raise click.UsageError(f"there is no rule {rule_id}; there are {known}")
    printing.echo(report.format_rule(rule), nl=False)
