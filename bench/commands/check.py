"""`bench check`: what an nginx configuration really does with its upstream connections.

The reading and judging are nginx's; here are the flags, the installed nginx, and the exit code.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from bench import __version__, units
from bench.commands import printing
from bench.commands.judging import FrontIdle, JudgedBy, judging_options
from bench.commands.nginx_options import installed_nginx, installed_version, read_target
from bench.commands.options import command, option
from bench.commands.probed import ProbeSource, probe_option, with_probes
from bench.errors import ExitCode, write_error
from bench.plan.flags import Heading
from nginx import check
from nginx.assumptions import assumptions
from nginx.baseline import Baseline
from nginx.errors import NothingToJudgeError
from nginx.finding import Finding, Severity
from nginx.fix import repair as fix
from nginx.known_directives import KnownDirectives
from nginx.report import formats, markdown
from nginx.report import rules as rules_report
from nginx.report import text as report
from nginx.report.broken import worst_first
from nginx.rules import CATALOGUE
from nginx.tree import Place

_SEVERITIES = [str(severity) for severity in Severity]
_FORMATS: dict[str, Callable[[check.CheckResult], str]] = {
    "json": lambda found: json.dumps(found.to_json(), indent=2) + "\n",
    "sarif": lambda found: json.dumps(formats.sarif(found, __version__), indent=2) + "\n",
    "github": formats.github,
}


@command("check")
@click.argument("targets", nargs=-1, metavar="FILE|DIR|-")
@judging_options
@probe_option
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
    type=click.Choice(["text", "markdown", *_FORMATS]),
    default="text",
    help="How to print the answer.",
)
@option(
    Heading.OUTPUT,
    "--show",
    type=click.Choice(_SEVERITIES),
    default="low",
    help="Print findings of this severity or above, as text and Markdown.",
)
@option(
    Heading.OUTPUT,
    "--fail-on",
    type=click.Choice(_SEVERITIES),
    default="high",
    help="Exit 1 on findings of this severity or above, printed or not.",
)
@option(
    Heading.OUTPUT,
    "--only",
    type=click.Choice(["broken"]),
    shown_default="all",
    help="Only locations that are not or partly reused, the worst first, each with one edit.",
)
@option(
    Heading.OUTPUT,
    "--baseline",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    shown_default="none",
    help="Report nothing that this file accepts.",
)
@option(
    Heading.OUTPUT,
    "--write-baseline",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    shown_default="none",
    help="Write all that is found now into a file for --baseline, and exit 0.",
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
    output_format: str,
    show: str,
    fail_on: str,
    only: str | None,
    strict: bool,
    allow_empty: bool,
    baseline: Path | None,
    write_baseline: Path | None,
    explain: str | None,
    rules: bool,
    config_tests: tuple[str, ...],
    probes: tuple[ProbeSource, ...],
    **judging: Any,
) -> None:
    """Say whether an nginx configuration reuses its upstream connections, location by location.

    Reads files, folders, or standard input (-); an `nginx -T` dump too. Exit 1 where connections are not or
    only partly reused, or on findings at or above --fail-on; 2 if no location can be judged.
    """
    if rules or explain is not None:
        printing.echo(rules_report.format_rules() if explain is None else _explanation(explain), nl=False)
        return
    if not targets:
        raise click.UsageError("name a configuration: a file, a folder, or - for standard input")
    judged_by = JudgedBy.of(judging, _known())
    inputs = [read_target(target, may_be_empty=allow_empty) for target in targets]
    judged_by = with_probes(judged_by, probes, inputs)
    found = _check(inputs, judged_by, may_be_empty=allow_empty)
    judged_by.warn_of_unknown(found.upstreams)
    found.add(each for target in inputs for each in _refusals(*target, config_tests, judged_by))
    if write_baseline is not None:
        _write_baseline(found, write_baseline)
        return
    if baseline is not None:
        _accept(found, baseline)
    threshold, at_least = Severity[fail_on.upper()], Severity[show.upper()]
    shown = worst_first(found, threshold) if only is not None else found
    is_edited = only is not None or output_format == "markdown"
    repair = _repair(inputs, judged_by) if is_edited else None
    if output_format == "text":
        _print_text(shown, found, at_least, repair)
    elif output_format == "markdown":
        printing.echo(markdown.markdown(shown, at_least, repair), nl=False)
    else:
        printing.echo(_FORMATS[output_format](shown), nl=False)
    sys.exit(_exit_code(found, threshold, is_strict=strict, may_be_empty=allow_empty))


def _check(
    inputs: Sequence[tuple[str, str | None]], by: JudgedBy, *, may_be_empty: bool
) -> check.CheckResult:
    empty = check.CheckResult(tuple(by.versions), dict(by.versions))
    empty.assumptions = tuple(assumptions(by.settings))
    parts = [empty]
    for name, text in inputs:
        try:
            parts.append(
                check.check(
                    name,
                    by.versions,
                    root=by.root,
                    extra_files=by.extra_files,
                    settings=by.settings,
                    text=text,
                )
            )
        except NothingToJudgeError:
            if not may_be_empty:
                raise
    return check.CheckResult.merge(parts)


def _write_baseline(found: check.CheckResult, path: Path) -> None:
    wanted = Baseline.of(found, path.parent)
    if path.is_file() and path.stat().st_size:
        wanted.reasons |= Baseline.read(path).reasons
    accepted = wanted.to_json()
    try:
        path.write_text(json.dumps(accepted, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise write_error(path, error, "name another file with --write-baseline") from error
    count = len(accepted["findings"])
    printing.echo(f"{path}: accepts {units.plural(count, 'finding')}; --baseline {path} uses it")


def _accept(found: check.CheckResult, path: Path) -> None:
    stale = Baseline.read(path).accept(found)
    if stale:
        remedy = "if it was written for these versions, write it again, once what is new is mended"
        gone = f"{stale} accepted before, and not found for nginx {', '.join(found.versions)}"
        printing.echo_error(f"bench: {path}: {gone}; {remedy}")


def _repair(inputs: Sequence[tuple[str, str | None]], by: JudgedBy) -> fix.Repair:
    repair = fix.Repair()
    for name, text in inputs:
        repair = fix.fix(
            name,
            list(by.versions),
            root=by.root,
            extra_files=by.extra_files,
            settings=by.settings,
            text=text,
            repair=repair,
            may_leave_out=True,
        )
    return repair


def _print_text(
    shown: check.CheckResult, whole: check.CheckResult, at_least: Severity, repair: fix.Repair | None
) -> None:
    colorize = report.Colorizer(printing.has_colours(sys.stdout))
    width = shutil.get_terminal_size((report.WIDTH, 24)).columns
    text = report.format_check(shown, at_least, colorize, width=width, repair=repair, whole=whole)
    printing.echo_coloured(text)


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
    worst = found.worst()
    fails = (worst is not None and worst >= threshold) or any(each.fails for each in found.locations)
    dependent = sum(location.depends for location in found.locations)
    if dependent:
        text = f"bench: {dependent} of {len(found.locations)} answers depend on what is not known here"
        remedy = "" if fails else "; exit 1 by --strict" if is_strict else "; --strict makes it exit 1"
        printing.echo_error(text + remedy)
    return ExitCode.FINDINGS if fails or (dependent and is_strict) else ExitCode.OK


def _refusals(
    name: str, text: str | None, programs_requested: Sequence[str], by: JudgedBy
) -> Iterator[Finding]:
    """Yield what each of these nginx has against a configuration (`nginx -t`)."""
    if not programs_requested:
        return
    # It opens a lab, which the rest of this command has no use for.
    from bench.prove.nginx_process import run_config_test
    from bench.subjects import programs

    for program in dict.fromkeys(programs.find("nginx", where) for where in programs_requested):
        for model in check.load_models(name, by.root, by.extra_files, text):
            rejection = run_config_test(model, program)
            if rejection is not None:
                place = rejection.place or Place(model.configuration.files[0], 0)
                message = f"[emerg] {rejection.message} (nginx {program.version} -t, on a copy)"
                yield Finding("NX001", Severity.ERROR, place, message, versions=(program.version,))


def _known() -> KnownDirectives | None:
    """Return the directives of the installed nginx, if there is one that can be read."""
    program, version = installed_nginx(), installed_version()
    return KnownDirectives.of(Path(program), version) if program is not None and version is not None else None


def _explanation(rule_id: str) -> str:
    rule = CATALOGUE.get(rule_id) or CATALOGUE.get(rule_id.upper())
    if rule is None:
        raise click.UsageError(f"there is no rule {rule_id}; `bench check --rules` lists them")
    return rules_report.format_rule(rule)
