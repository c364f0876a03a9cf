"""`bench search`: the highest rate at which requirements hold."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bench.commands import print_run
from bench.commands.lab_choice import choose_stage
from bench.commands.options import (
    Amount,
    Count,
    FilePath,
    Rate,
    command,
    json_option,
    option,
    output_option,
    plan_options,
    quiet_option,
)
from bench.commands.plan import build_plan
from bench.errors import PlanError
from bench.plan import bounds
from bench.plan.flags import Heading

_SEARCHED = "is what is searched; leave it out, and set --from and --to"


@command("search")
@click.argument("plan_file", required=False, metavar="[FILE]", type=FilePath)
@option(
    Heading.RUN,
    "--require",
    multiple=True,
    metavar="CONDITION",
    shown_default="none",
    help="What must hold in a trial, as 'latency_ms.p99<20' (repeatable: all of them).",
)
@option(
    Heading.RUN,
    "--from",
    "low",
    type=Rate(1, bounds.MOST_PER_S),
    default=100,
    help="The lowest rate that is tried, in requests per second.",
)
@option(
    Heading.RUN,
    "--to",
    "high",
    type=Rate(1, bounds.MOST_PER_S),
    default=100_000,
    help="The highest rate that is tried.",
)
@option(
    Heading.RUN,
    "--within",
    type=Amount(0.01, 1),
    default=0.15,
    help="Width of the 95 % interval that ends the search, as a share of the rate.",
)
@option(Heading.RUN, "--most-trials", type=Count(4, 1000), default=40, help="Trials after which it ends.")
@plan_options
@output_option
@json_option
@quiet_option
def search_command(
    *,
    plan_file: Path | None,
    require: Sequence[str],
    low: float,
    high: float,
    within: float,
    most_trials: int,
    output: Path,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Find the highest rate at which requirements hold, with its interval.

    Each trial is an open loop at one rate; the next rate follows from what the trials before said. A rate
    holds where 98 % of it are served and every CONDITION is met: METRIC OP VALUE, in the metric's unit. Exit
    code 4 where no answer can be given.
    """
    if not require:
        raise PlanError("--require is missing; name what must hold, as --require 'latency_ms.p99<20'")
    if low >= high:
        raise PlanError(f"--from {low:g} is not below --to {high:g}; set them apart")
    if given["load__rate"] is not None:
        raise PlanError(f"--rate {given['load__rate']} {_SEARCHED}")
    if given["trials"] is not None:
        raise PlanError(f"--trials {given['trials']} has no effect here; leave it out, and set --most-trials")
    if plan_file is None and given["mode"] is None:
        given["mode"] = "keepalive"
    from bench.analysis.objective import Objective, parse
    from bench.analysis.rate_search import SearchRange

    for text in require:
        parse(text)
    sought = Objective(tuple(require), SearchRange(low, high, within, most_trials))
    baseline = build_plan(plan_file, given, {"load.rate": low})
    if len(baseline.modes) != 1:
        raise PlanError("--mode both has two answers; search for one: --mode keepalive or --mode short")
    open_stage = choose_stage([baseline])
    from bench.report.live import show_live
    from bench.sweep import search

    with show_live(sys.stderr, silent=quiet or as_json) as shown, open_stage(shown) as stage:
        done = search.perform(baseline.to_json(), sought, stage=stage, root=output, progress=shown)
    print_run.finish(done, as_json, quiet)
