"""`bench scenario`: the flags, what is printed where, and the exit codes of the long-connection scenarios.

What the scenarios are is bench/scenarios/; they are imported only by the command that needs them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import json_flag, output_flag
from bench.errors import PlanError
from bench.plan import run_plan, toml

if TYPE_CHECKING:
    from bench.experiment.definition import Scenario
    from bench.runs.record import ScenarioRun

INVALID = 1
INTERRUPTED = 130


def _plan_flags(command: Any) -> Any:
    """Add the flags that a scenario's plan can be given."""
    for add in reversed(
        (
            click.argument("name", metavar="NAME|PLAN.toml"),
            click.option(
                "--subject",
                "subjects",
                multiple=True,
                metavar="NAME[@PROGRAM]",
                help="Behind which proxy, or `direct` (repeatable; `all` takes every one that fits).",
            ),
            click.option(
                "--variant", "variants", multiple=True, metavar="WAY", help="Only this way (repeatable)."
            ),
            click.option("--trials", type=int, help="Trials of each case; they take turns."),
            click.option("--lab", type=click.Choice(run_plan.LABS), help="As for `bench run`."),
            click.option(
                "--set",
                "given",
                multiple=True,
                metavar="KEY=VALUE",
                help="A setting of the scenario; `bench scenario plan NAME` lists them (repeatable).",
            ),
        )
    ):
        command = add(command)
    return command


@click.group("scenario")
def scenario_command() -> None:
    """Measure what long connections are used for: polling to QUIC, and the systems that live on them."""


@scenario_command.command("list")
def list_scenarios() -> None:
    """List the scenarios and the ways that each compares."""
    from bench.report.scenario import text as report
    from bench.scenarios import catalogue

    click.echo(report.catalogue(catalogue.load_all()), nl=False)


@scenario_command.command("install")
@click.argument("name", metavar="NAME")
def install_environment(name: str) -> None:
    """Install what a way needs in an environment of its own: the client of a real product."""
    from bench.experiment import environments

    environments.find(name).install(click.echo)


@scenario_command.command("plan")
@_plan_flags
@json_flag
def show_plan(as_json: bool, **given: Any) -> None:
    """Print the plan that `bench scenario run` would follow, each default written out."""
    from bench.plan import scenario_plan as plans

    values = _values(**given)
    asked = plans.build(_scenario(values), values).to_json()
    click.echo(json.dumps(asked) if as_json else toml.to_toml(asked), nl=as_json)


@scenario_command.command("run")
@_plan_flags
@output_flag
@json_flag
@click.option("--quiet", "-q", is_flag=True, help="No live line, no table: only where the results are.")
def run_scenario(output: Path, as_json: bool, quiet: bool, **given: Any) -> None:
    """Run a scenario: each way of doing it, behind each subject, in turn."""
    from bench import lab

    # Before the scenario, whose imports start threads: only a process of one can take the rights to a lab.
    values = _values(**given)
    lab_name = lab.choose(str(values.get("lab", "auto")))
    from bench.experiment import scenario_run as runs
    from bench.plan import scenario_plan as plans
    from bench.report.live import watch

    scenario = _scenario(values)
    asked = plans.build(scenario, values)

    with watch(sys.stderr, silent=quiet or as_json) as shown:
        done = runs.perform(scenario, asked, lab_name, output, shown)
    picture = draw(scenario, done)
    if as_json:
        click.echo(json.dumps(done.to_json()))
    elif quiet:
        click.echo(done.directory)
    else:
        tell(scenario, done, picture)
    sys.exit(verdict(done))


@scenario_command.command("show")
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@json_flag
def show_run(run_directory: Path, as_json: bool) -> None:
    """Show one run of a scenario again: its table, its sentence, and its picture drawn anew."""
    from bench.runs import read

    done = read.read(run_directory)
    for line in done.damage:
        click.echo(f"bench: {line}", err=True)
    if done.kind != "scenario":
        raise PlanError(f"{run_directory}: is no run of a scenario; `bench show` shows it")
    show(done, as_json)


def show(done: ScenarioRun, as_json: bool) -> None:
    """Print a stored run: its table, its sentence, and its picture drawn anew; or all of it as JSON."""
    from bench.scenarios import catalogue

    if as_json:
        click.echo(json.dumps(done.to_json()))
        return
    scenario = catalogue.load(done.scenario)
    tell(scenario, done, draw(scenario, done))


def write_page(done: ScenarioRun, output: Path | None) -> Path:
    """Write the page of a stored run, by default into its folder; return where it is."""
    from bench.report import html
    from bench.report.scenario import page, picture
    from bench.scenarios import catalogue

    scenario = catalogue.load(done.scenario)
    drawn = picture.as_svg(scenario, done) if done.trials else None
    written = output or Path(str(done.directory)) / "report.html"
    html.save(page.build_page(scenario, done, drawn), written)
    return written


def draw(scenario: Scenario, done: ScenarioRun) -> Path | None:
    """Draw the run's picture into its folder, where there is something to draw; return where it is."""
    from bench.report.scenario import picture

    if not done.trials or done.directory is None:
        return None
    return picture.save(scenario, done, Path(done.directory, picture.PICTURE))[0]


def tell(scenario: Scenario, done: ScenarioRun, picture: Path | None) -> None:
    """Print the run's table and its sentence."""
    from bench.report.scenario import text as report

    click.echo(report.result(scenario, done, picture), nl=False)


def verdict(done: ScenarioRun) -> int:
    """Return the exit code of a run."""
    if done.interrupted:
        return INTERRUPTED
    return 0 if done.trials and all(trial.valid for trial in done.trials) else INVALID


def _values(
    *,
    name: str,
    subjects: tuple[str, ...],
    variants: tuple[str, ...],
    trials: int | None,
    lab: str | None,
    given: tuple[str, ...],
) -> dict[str, Any]:
    """Return the values of a plan, as they were given: a file's, with the flags laid over them."""
    below = toml.load(Path(name)) if name.endswith(".toml") else {"scenario": name}
    if not isinstance(below.get("scenario"), str):
        raise PlanError(f'{name}: names no scenario; write scenario = "push" at its top')
    flags = {"subjects": subjects, "variants": variants, "trials": trials, "lab": lab}
    above: dict[str, Any] = {key: value for key, value in flags.items() if value not in (None, ())}
    above["settings"] = dict(map(_setting, given))
    return toml.merge(below, above)


def _scenario(values: dict[str, Any]) -> Scenario:
    """Return the scenario that `values` name, whose subjects take the place of `all` in them."""
    from bench.scenarios import catalogue

    scenario = catalogue.load(values["scenario"])
    subjects = values.get("subjects")
    if isinstance(subjects, list | tuple) and "all" in subjects:
        values["subjects"] = scenario.subjects
    return scenario


def _setting(text: str) -> tuple[str, Any]:
    """Return KEY=VALUE as a key and the value that TOML would read."""
    import tomllib

    key, separator, value = text.partition("=")
    if not separator or not key:
        raise PlanError(f"--set {text!r} is not KEY=VALUE; `bench scenario plan NAME` lists the keys")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value  # a bare word is a text
