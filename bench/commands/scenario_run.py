"""`bench scenario run`: a scenario's plan, followed or printed."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands import print_run, printing
from bench.commands.options import command, json_option, option, output_option, quiet_option
from bench.commands.stopping_options import MOST_BLOCKS, stopping, stopping_options, taken
from bench.errors import PlanError
from bench.plan import toml
from bench.plan.flags import Heading
from bench.plan.run_plan import LABS

if TYPE_CHECKING:
    from bench.experiment.definition import Scenario


@command("run")
@click.argument("name", metavar="NAME|FILE")
@option(
    Heading.RUN,
    "--variant",
    "variants",
    keys=["variants"],
    multiple=True,
    metavar="NAME",
    shown_default="all",
    help="Only this variant (repeatable).",
)
@option(
    Heading.RUN,
    "--trials",
    keys=["trials"],
    type=int,
    metavar="N",
    shown_default="1",
    help="Trials of each case; they take turns.",
)
@option(
    Heading.RUN,
    "--seed",
    type=int,
    metavar="N",
    shown_default="drawn anew, and recorded",
    help="Of the random order of the trials.",
)
@option(
    Heading.RUN,
    "--set",
    "settings",
    keys=["settings"],
    multiple=True,
    metavar="KEY=VALUE",
    shown_default="the scenario's own",
    help="A setting of the scenario; --dry-run lists them (repeatable).",
)
@option(
    Heading.RUN,
    "--dry-run",
    is_flag=True,
    not_with=["quiet", "output"],
    help="Print the plan as TOML, and run nothing.",
)
@option(
    Heading.PROXY,
    "--subject",
    "subjects",
    keys=["subjects", "subject.program"],
    multiple=True,
    metavar="NAME[@PROGRAM]",
    shown_default="the scenario's own",
    help="Behind which proxy, or `direct` (repeatable; `all` takes every one that fits).",
)
@option(
    Heading.LAB,
    "--lab",
    keys=["lab"],
    type=click.Choice(LABS),
    shown_default="auto",
    help="Network namespaces (exact), or this machine's loopback.",
)
@stopping_options
@output_option
@json_option
@quiet_option
def run_command(output: Path, as_json: bool, quiet: bool, dry_run: bool, **given: Any) -> None:
    """Run a scenario: each variant behind each subject, in turn.

    NAME is one of `bench scenario list`; FILE is a plan as TOML (--dry-run prints one); flags win over it.
    """
    rules = taken(given)
    values = _values(**given)
    if rules["until"] is not None:
        values.setdefault("trials", MOST_BLOCKS)
    if dry_run:
        written = _scenario(values).plan(values).to_json()
        printing.echo(json.dumps(written) if as_json else toml.to_toml(written), nl=as_json)
        return
    from bench import lab

    # Before the scenario, whose imports start threads: only a process of one can take the rights to a lab.
    lab_name = lab.choose(str(values.get("lab", "auto")))
    from bench.analysis import metrics
    from bench.experiment import scenario_run as runs
    from bench.report.live import show_live

    scenario = _scenario(values)
    planned = scenario.plan(values)
    known = metrics.of_columns((column.key, column.unit) for column in scenario.columns)
    stop = stopping(**rules, cases=len(planned.cases), known=known)
    with show_live(sys.stderr, silent=quiet or as_json) as shown:
        done = runs.perform(scenario, planned, lab_name, output, shown, stopping=stop)
    print_run.finish(done, as_json, quiet, stop)


def _values(*, name: str, settings: tuple[str, ...], **flags: Any) -> dict[str, Any]:
    """Return the values of a plan, as they were given: a file's, with the flags laid over them."""
    below = toml.load(Path(name)) if name.endswith(".toml") else {"scenario": name}
    if not isinstance(below.get("scenario"), str):
        raise PlanError(f'{name}: names no scenario; write scenario = "push" at its top')
    above = {key: value for key, value in flags.items() if value not in (None, ())}
    if settings:
        above["settings"] = dict(map(_setting, settings))
    return toml.merge(below, above)


def _scenario(values: dict[str, Any]) -> "Scenario":
    """Return the scenario that `values` name, whose subjects take the place of `all` in them."""
    from bench.scenarios import catalogue

    scenario = catalogue.load(values["scenario"])
    subjects = values.get("subjects")
    if isinstance(subjects, list | tuple) and "all" in subjects:
        values["subjects"] = scenario.subjects
    return scenario


def _setting(text: str) -> tuple[str, Any]:
    """Return KEY=VALUE as a key and the value that TOML would read."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise PlanError(f"--set {text!r} is not KEY=VALUE; --dry-run lists the keys")
    try:
        return key, toml.parse(f"value = {value}")["value"]
    except ValueError:
        return key, value  # a bare word is a text
