"""The commands: one short function each. The only prints, the only catch-all, the exit codes.

Exit: 0 fine; 1 an invalid run or a condition not met; 2 misuse; 3 the environment failed;
130 interrupted. stdout carries the answer, stderr the talk; with --json stdout is JSON only.
Heavy libraries are imported in the command that needs them: `bench --help` answers at once.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench import __version__
from bench.commands.compare import compare
from bench.commands.options import json_flag, output_flag
from bench.commands.plan_options import Amount, overrides, plan_flags
from bench.errors import BenchError
from bench.plan import run_plan, toml

if TYPE_CHECKING:
    from bench.runs.record import Run

INVALID = 1
ENVIRONMENT = 3
INTERRUPTED = 130
MOST = 10**9
"""Of anything that is reckoned with: no host serves a thousand million requests a second."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="bench")
def bench() -> None:
    """Measure what connection reuse behind a reverse proxy is worth, and prove that it happens.

    Start with `bench run`: it shows short upstream connections beside keep-alive ones, within a minute.
    """


@bench.command()
@click.argument("plan_file", required=False, metavar="[PLAN.toml]", type=click.Path(path_type=Path))
@plan_flags
@output_flag
@json_flag
@click.option("--quiet", "-q", is_flag=True, help="No live line, no table: only where the results are.")
def run(plan_file: Path | None, output: Path, as_json: bool, quiet: bool, **given: Any) -> None:
    """Run the trials of a plan and compare its modes."""
    asked = _plan(plan_file, given)
    from bench import lab

    # Before anything that starts threads: only a process of one thread can take the rights to a lab.
    lab_name = lab.choose("loopback" if asked.subject.target else asked.lab)
    from bench.experiment import run as runs
    from bench.report.live import show_live

    with show_live(sys.stderr, silent=quiet or as_json) as shown:
        done = runs.perform(asked, lab_name, output, shown)
    _draw(done)
    if as_json:
        click.echo(json.dumps(done.to_json()))
    elif quiet:
        click.echo(done.directory)
    else:
        _report(done)
    sys.exit(_verdict(done))


@bench.command()
@click.option("--trials", default=3, show_default=True, type=click.IntRange(1), help="Trials of each.")
@click.option(
    "--duration",
    "-d",
    default=3.0,
    show_default=True,
    type=Amount(0, MOST, min_open=True),
    help="Window, seconds.",
)
@click.option("--lab", "lab_name", default="auto", show_default=True, type=click.Choice(run_plan.LABS))
@output_flag
def incident(trials: int, duration: float, lab_name: str, output: Path) -> None:
    """Measure what people write into nginx.conf before and since 1.29.7, beside HAProxy, Envoy and Caddy."""
    from bench import lab

    opened = lab.choose(lab_name)
    from bench import incident as staged
    from bench.report.live import show_live
    from bench.report.run import incident as report

    here, absent = staged.present(list(staged.entrants()))
    _complain(absent)
    if not here:
        sys.exit(ENVIRONMENT)
    with show_live(sys.stderr, silent=False) as shown:
        runs = staged.perform(here, trials, duration, lab_name=opened, root=output, progress=shown)
    directories = [done.directory for done in runs if done.directory is not None]
    if directories:
        click.echo(report.format_tables(runs), nl=False)
        picture, _ = report.save(runs, Path(directories[0]) / report.PICTURE)
        click.echo(f"\nresults: {', '.join(directories)}\npicture: {picture}")
    if any(done.interrupted for done in runs):
        sys.exit(INTERRUPTED)


@bench.command("plan")
@click.argument("plan_file", required=False, metavar="[PLAN.toml]", type=click.Path(path_type=Path))
@plan_flags
@json_flag
def show_plan(plan_file: Path | None, as_json: bool, **given: Any) -> None:
    """Print the plan that `bench run` would follow with the same arguments, each default written out."""
    asked = _plan(plan_file, given)
    click.echo(json.dumps(asked.to_json()) if as_json else run_plan.to_toml(asked), nl=as_json)


@bench.command("list")
@output_flag
@json_flag
def list_runs(output: Path, as_json: bool) -> None:
    """List the runs of a results folder, the newest last."""
    from bench.report.run import text
    from bench.report.scenario import text as scenario_text
    from bench.runs import read

    listed = read.runs(output)
    if as_json:
        click.echo(json.dumps([each.to_json() for each in listed]))
    else:
        scenarios = [each for each in listed if each.run and each.run.kind == "scenario"]
        found = [each for each in listed if each not in scenarios]
        if found or not scenarios:
            click.echo(text.format_list(found, output), nl=False)
        click.echo(scenario_text.format_list(scenarios), nl=False)


@bench.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@json_flag
def show(run_directory: Path, as_json: bool) -> None:
    """Show one run again: its table and what it says."""
    from bench.commands import scenario
    from bench.runs import read

    done = read.read(run_directory)
    _complain(done.damage)
    if done.kind == "scenario":
        scenario.show(done, as_json)
        return
    if as_json:
        click.echo(json.dumps(done.to_json()))
    else:
        _report(done)


@bench.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="FILE.html", type=click.Path(path_type=Path), help="Default: RUN/report.html."
)
def report(run_directory: Path, output: Path | None) -> None:
    """Write one HTML file about a run, to hand to a colleague: it carries all it shows, and loads nothing."""
    from bench.commands import scenario
    from bench.report import html
    from bench.report.run import page
    from bench.runs import read

    done = read.read(run_directory)
    _complain(done.damage)
    if done.kind == "scenario":
        click.echo(f"report: {scenario.write_page(done, output)}")
        return
    written = output or Path(str(done.directory)) / "report.html"
    html.save(page.build_page(done), written)
    click.echo(f"report: {written}")


@bench.command(
    "check",
    short_help="Tell what an nginx configuration really does with its upstream connections.",
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def check_configuration(arguments: tuple[str, ...]) -> None:
    """Hand over to bench/commands/check.py, whose model of nginx is imported only here."""
    from bench.commands.check import check_command

    check_command.main(list(arguments), prog_name="bench check", standalone_mode=False)


@bench.command(
    "fix",
    short_help="Make an nginx configuration reuse its upstream connections.",
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def fix_configuration(arguments: tuple[str, ...]) -> None:
    """Hand over to bench/commands/fix.py, for the same reason."""
    from bench.commands.fix import fix_command

    fix_command.main(list(arguments), prog_name="bench fix", standalone_mode=False)


@bench.command(
    "prove",
    short_help="Run an nginx configuration and hold what check says against it.",
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def prove_configuration(arguments: tuple[str, ...]) -> None:
    """Hand over to bench/commands/prove.py, for the same reason."""
    from bench.commands.prove import prove_command

    prove_command.main(list(arguments), prog_name="bench prove", standalone_mode=False)


@bench.command(
    "scenario",
    short_help="Measure what long connections are used for, from polling to QUIC.",
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def scenario(arguments: tuple[str, ...]) -> None:
    """Hand over to bench/commands/scenario.py, for the same reason."""
    from bench.commands.scenario import scenario_command

    scenario_command.main(list(arguments), prog_name="bench scenario", standalone_mode=False)


@bench.command()
@click.option(
    "--step",
    "steps",
    multiple=True,
    metavar="NAME",
    help="Only this step: incident, or the name of a scenario (repeatable).",
)
@click.option("--lab", "lab_name", default="auto", show_default=True, type=click.Choice(run_plan.LABS))
@output_flag
def tour(steps: tuple[str, ...], lab_name: str, output: Path) -> None:
    """Run a short form of everything, from short connections to QUIC, and write one page about it."""
    from bench import lab

    opened = lab.choose(lab_name)
    from datetime import UTC, datetime

    from bench import tour as touring
    from bench.machine import describe
    from bench.report import html
    from bench.report import tour as report
    from bench.report.live import show_live

    names = [toml.chosen("--step", step, touring.NAMES) for step in steps] or list(touring.NAMES)
    started = datetime.now(UTC)
    root = output / f"{started:%Y%m%dT%H%M%SZ}-tour"
    taken: list[touring.Step] = []
    with show_live(sys.stderr, silent=False) as shown:
        for step in touring.take(names, opened, root, shown):
            taken.append(step)
            click.echo(f"{report.format_step(step)}\n")
    root.mkdir(parents=True, exist_ok=True)
    html.save(
        report.build_page(taken, describe.describe(), started.isoformat(timespec="seconds")),
        root / "tour.html",
    )
    click.echo(f"report: {root / 'tour.html'}")
    if any(step.interrupted for step in taken):
        sys.exit(INTERRUPTED)
    sys.exit(0 if any(step.problem is None for step in taken) else ENVIRONMENT)


@bench.command()
@click.argument("rate", type=Amount(0, MOST, min_open=True), metavar="REQUESTS_PER_S")
@click.option(
    "--ports", type=click.IntRange(16, 64512), default=28_232, show_default=True, help="Port range."
)
@click.option("--addresses", type=click.IntRange(1, MOST), default=1, help="Source addresses of the proxy.")
@click.option("--destinations", type=click.IntRange(1, MOST), default=1, help="Backend addresses or ports.")
@click.option("--per-connection", type=Amount(1, MOST), default=1, help="Requests per connection.")
@json_flag
def ceiling(
    *, rate: float, ports: int, addresses: int, destinations: int, per_connection: float, as_json: bool
) -> None:
    """Reckon when a proxy that closes first runs out of ports, and which remedy moves that how far.

    Reckoned, not measured: try a remedy with `bench run --mode short --rate ...` and its flag.
    """
    from bench.analysis import ceiling as reckoning
    from bench.report.run import text

    here = reckoning.ceiling(ports, addresses, destinations)
    found = reckoning.remedies(rate, ports, addresses, destinations, per_connection)
    if as_json:
        click.echo(json.dumps([remedy.to_json() for remedy in found]))
    else:
        click.echo(text.format_ceiling(here, rate / per_connection, found), nl=False)


@bench.command()
@json_flag
def doctor(as_json: bool) -> None:
    """Tell what this machine can measure, and what to change."""
    from bench import doctor as examining
    from bench.report.run import text

    checks = examining.examine()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks]))
    else:
        click.echo(text.format_checks(checks), nl=False)


bench.add_command(compare)


def main() -> None:
    """Run the command line; every failure ends as one line and an exit code."""
    try:
        bench.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(_misuse(error), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("bench: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except BenchError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        click.echo(f"bench: {where}{error.strerror or error}", err=True)
        sys.exit(ENVIRONMENT)


def _misuse(error: click.ClickException) -> str:
    """Return in one line what click found wrong with the command line."""
    context = getattr(error, "ctx", None)
    command = "bench" if context is None else context.command_path
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{command}: {message[0].lower()}{message[1:]}; `{command} --help` says what there is"


def _plan(path: Path | None, given: dict[str, Any]) -> run_plan.Plan:
    below = toml.load(path) if path is not None else {}
    return run_plan.build(toml.merge(below, overrides(given)))


def _draw(done: Run) -> None:
    """Draw the run's picture into its folder, where there is something to draw."""
    from bench.report.run import picture

    if done.trials and done.directory is not None:
        picture.save_run(Path(done.directory))


def _report(done: Run) -> None:
    from bench.report.run import incident as incident_report
    from bench.report.run import picture, text

    stem, told = picture.PICTURE, text.format_run
    if len(done.subjects) > 1:
        stem, told = incident_report.PICTURE, incident_report.format_run
    drawn = Path(done.directory or ".", f"{stem}.png")
    click.echo(told(done, drawn if drawn.exists() else None), nl=False)


def _complain(damage: Sequence[str]) -> None:
    for line in damage:
        click.echo(f"bench: {line}", err=True)


def _verdict(done: Run) -> int:
    if done.interrupted:
        return INTERRUPTED
    return 0 if done.trials and all(trial.valid for trial in done.trials) else INVALID
