"""`bench ab`: two or more plans whose trials take turns, compared with the first."""

import re
import string
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bench.commands import print_run, printing
from bench.commands.answering import Answers
from bench.commands.lab_choice import choose_stage
from bench.commands.options import (
    FilePath,
    command,
    given_keys,
    json_option,
    option,
    output_option,
    overrides,
    plan_options,
    quiet_option,
)
from bench.commands.run_output import build_output
from bench.commands.stopping_options import MOST_BLOCKS, stopping, stopping_options, taken
from bench.errors import PlanError
from bench.plan import run_plan, toml
from bench.plan.ab_sides import AbSide, agreed_trials
from bench.plan.flags import FLAGS, Heading, Kind

_NEXT_SETTING = re.compile(r",(?=[a-z][a-z-]*=)")


@command("ab")
@click.argument("sides", nargs=-1, required=True, metavar="SIDE SIDE...")
@plan_options
@stopping_options
@option(
    Heading.OUTPUT,
    "--picture",
    metavar="FILE",
    type=FilePath,
    shown_default="compare, in the last run",
    help="The picture's path without its ending.",
)
@output_option
@json_option
@quiet_option
def ab_command(
    sides: Sequence[str], output: Path, picture: Path | None, as_json: bool, quiet: bool, **given: Any
) -> None:
    """Run two or more plans in one go, their trials in turn, and compare each with the first.

    A SIDE is a plan as TOML, the folder of a run, whose plan is taken, or settings laid over the flags, by
    the names of flags without dashes: bench ab subject=nginx@system subject=nginx@wheel,pool-idle=8 -d 2s.
    """
    rules = taken(given)
    if rules["until"] is not None and given["trials"] is None:
        given["trials"] = MOST_BLOCKS
    planned = _sides(sides, given)
    open_stage = choose_stage([side.plan for side in planned])
    from bench.analysis import claims
    from bench.experiment import ab
    from bench.report import comparison as report
    from bench.report.live import show_live

    stop = stopping(**rules, cases=len(planned))
    with show_live(sys.stderr, silent=quiet or as_json) as shown, open_stage(shown) as stage:
        runs = ab.perform(planned, stage, output, shown, stop)
    answers = Answers(runs, stop)
    directories = [run.directory for run in runs if run.directory is not None]
    saved, unsaved = None, None
    if answers.compared:
        stem = picture or Path(directories[-1]) / "compare"
        saved, unsaved = print_run.attempt(report.save, answers.compared, stem)
    if as_json:
        printing.echo_json(
            {
                "runs": [build_output(run) for run in runs],
                "comparisons": [each.to_json() for each in answers.compared],
                "conditions": [each.to_json() for each in answers.judged],
                "ended": answers.ended,
                "pictures": [str(path) for path in saved or ()],
            }
        )
    elif quiet:
        printing.echo("\n".join(directories))
        answers.print_unmet()
    else:
        answers.print()
        for name, paths in (("results", directories), ("picture", saved or ())):
            for path in paths:
                printing.echo(f"{name}: {path}")
    print_run.end(runs, unsaved, answers.end_after(claims.exit_code(runs)))


def _sides(specs: Sequence[str], given: dict[str, Any]) -> list[AbSide]:
    """Return the plans that the sides mean, with the flags that all share below or above their values."""
    if len(specs) < 2:
        raise PlanError(f"{specs[0]}: one side only; name a second one to compare it with")
    if len(specs) > len(string.ascii_lowercase):
        raise PlanError(f"{len(specs)} sides are more than {len(string.ascii_lowercase)}; name fewer")
    sides = [
        AbSide(label, _plan(spec, dict(given)))
        for label, spec in zip(string.ascii_lowercase, specs, strict=False)
    ]
    agreed_trials(sides)  # before anything starts
    return sides


def _plan(spec: str, given: dict[str, Any]) -> run_plan.Plan:
    path = Path(spec)
    if path.is_dir() or path.name == "run.jsonl":
        below = _plan_of_run(path)
    elif spec.endswith(".toml"):
        below = toml.load(path)
        run_plan.parse(below, spec)
    elif "=" in spec:
        flags = overrides(given, {})
        own = overrides(_settings(spec), flags)
        return run_plan.build(toml.merge(flags, own), [*given_keys(flags), *given_keys(own)])
    else:
        raise PlanError(
            f"{spec}: is no plan (.toml), no folder of a run, and no setting such as subject=nginx@wheel"
        )
    above = overrides(given, below)
    return run_plan.build(toml.merge(below, above), given_keys(above))


def _plan_of_run(path: Path) -> dict[str, Any]:
    from bench.runs import read

    run = read.read(path)
    if run.kind == "scenario":
        raise PlanError(f"{path}: is a run of the scenario {run.scenario}; bench ab runs the load generator")
    return {key: value for key, value in run.plan.items() if key != "seed"}


def _settings(spec: str) -> dict[str, Any]:
    """Return settings as the arguments that the same flags would give."""
    argv = []
    for setting in _NEXT_SETTING.split(spec):
        name, _, value = setting.partition("=")
        flag = next((flag for flag in FLAGS if flag.name == f"--{name.strip()}"), None)
        if flag is not None and flag.kind is Kind.SWITCH:
            if value not in ("true", "false"):
                raise PlanError(f"{spec}: {name} is true or false, not {value!r}")
            argv.append(flag.name if value == "true" else f"--no-{name.strip()}")
        else:
            argv += [f"--{name.strip()}", value]
    try:
        return dict(_FLAGS_ALONE.make_context("ab", argv).params)
    except click.ClickException as error:
        raise PlanError(f"{spec}: {error.format_message()}") from error


@command("flags")
@plan_options
def _FLAGS_ALONE(**_: Any) -> None:  # noqa: N802
    """Take the flags of a plan, and nothing else."""
