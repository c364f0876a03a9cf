"""`bench sweep`: trials in every cell of a grid of plan keys, and where each curve bends."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bench.commands import print_run
from bench.commands.lab_choice import choose_stage
from bench.commands.options import (
    FilePath,
    command,
    json_option,
    option,
    output_option,
    parameter,
    plan_options,
    plan_type,
    quiet_option,
)
from bench.commands.plan import build_plan
from bench.errors import PlanError
from bench.plan import grid as grids
from bench.plan.flags import FLAGS, Heading


@command("sweep")
@click.argument("plan_file", required=False, metavar="[FILE]", type=FilePath)
@option(
    Heading.RUN,
    "--vary",
    multiple=True,
    metavar="KEY=VALUE,...",
    shown_default="none",
    help="A plan key, by its flag's name or its path, and its values (repeatable: a grid).",
)
@option(
    Heading.RUN,
    "--resume",
    metavar="DIR",
    type=FilePath,
    not_with=("vary", "workers", *map(parameter, FLAGS), "output"),
    shown_default="none; a new one is begun",
    help="Go on with the sweep in DIR, whose plan and grid it has.",
)
@plan_options
@output_option
@json_option
@quiet_option
def sweep_command(
    *,
    plan_file: Path | None,
    vary: Sequence[str],
    resume: Path | None,
    output: Path,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Measure every cell of a grid of plan keys, and say where each curve bends.

    All cells share the plan: FILE and the flags of `bench run`; the mode is keepalive unless it is given.
    Trials come in random order. `--vary pool-idle=0,1,2,4,8,16 --vary connections=16,64`
    """
    from bench.runs import read

    begun = None
    if resume is None:
        plan, grid = _plan_and_grid(plan_file, vary, given)
    elif plan_file is not None:
        raise PlanError(f"--resume has a plan already; leave {plan_file} out")
    else:
        begun = read.read(resume)
        if begun.kind != "sweep":
            raise PlanError(f"--resume {resume}: it is no sweep, but a {begun.kind}; name the folder of one")
        if begun.objective:
            raise PlanError(f"--resume {resume}: a search is not resumed; begin a new one")
        plan, grid = begun.plan, grids.Grid.of(begun.grid)
    open_stage = choose_stage([planned for _, planned in grids.plans(plan, grid)])
    from bench.report.live import show_live
    from bench.sweep import run as sweeps

    with show_live(sys.stderr, silent=quiet or as_json) as shown, open_stage(shown) as stage:
        sweep = sweeps.prepare(plan, grid, stage)
        if begun is None:
            done = sweeps.perform(sweep, stage, output, shown)
        else:
            done = sweeps.resume(sweep, begun, stage, shown)
    print_run.finish(done, as_json, quiet)


def _plan_and_grid(
    plan_file: Path | None, vary: Sequence[str], given: dict[str, Any]
) -> tuple[dict[str, Any], grids.Grid]:
    """Return what the cells share, as plain values, and the grid; the plan of each cell is checked."""
    if not vary:
        raise PlanError("--vary is missing; name a key and its values, as --vary pool-idle=0,1,2,4,8")
    axes = [_axis(text) for text in vary]
    if plan_file is None and given["mode"] is None and "mode" not in [axis.key for axis in axes]:
        given["mode"] = "keepalive"
    grid = grids.check(axes)
    baseline = build_plan(plan_file, given, grid.cells()[0]).to_json()
    grids.plans(baseline, grid)
    return baseline, grid


def _axis(text: str) -> grids.Axis:
    """Return the axis that `--vary TEXT` names, its values as the flag of its key reads them."""
    name, equals, values = text.partition("=")
    if not equals or not name.strip() or not values.strip():
        raise PlanError(f"--vary {text!r} is not KEY=VALUE,VALUE,...; write pool-idle=0,1,2,4,8")
    try:
        flag = grids.flag_of(name.strip())
        kind = plan_type(flag)
        read = [kind.convert(each.strip(), None, None) for each in values.split(",")]
        return grids.Axis(flag.key, tuple(grids.normal(flag.key, each) for each in read))
    except PlanError as error:
        raise PlanError(f"--vary {text}: {error}") from error
    except click.BadParameter as error:
        raise PlanError(f"--vary {text}: {error.message}") from error
