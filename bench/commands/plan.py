"""`bench plan`: the plan of a run, each default written out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bench.commands import printing
from bench.commands.options import FilePath, command, given_keys, json_option, overrides, plan_options
from bench.plan import effects, grid, run_plan, toml


@command("plan")
@click.argument("plan_file", required=False, metavar="[FILE]", type=FilePath)
@plan_options
@json_option
def plan_command(plan_file: Path | None, as_json: bool, **given: Any) -> None:
    """Print the plan that `bench run` follows with the same arguments, as TOML.

    Each default is written out; a plan of TOML goes in as FILE. The plan of a scenario: `bench scenario run
    NAME --dry-run`.
    """
    planned = build_plan(plan_file, given).to_json()
    if as_json:
        printing.echo_json(planned)
    else:
        printing.echo(toml.to_toml(planned), nl=False)


def build_plan(
    path: Path | None, given: dict[str, Any], varied: Mapping[str, Any] | None = None
) -> run_plan.Plan:
    """Return the plan at `path`, or the default one, with the flags of `given` laid over it.

    `varied` are keys with the value that each has first, which is laid over both.
    """
    below = {} if path is None else toml.load(path)
    run_plan.parse(below, str(path))  # so that what is wrong in a file is told by its name
    above = overrides(given, below)
    named = [*effects.given_in(below, run_plan.Plan()), *given_keys(above)]
    return run_plan.build(grid.apply(toml.merge(below, above), varied or {}), named)
