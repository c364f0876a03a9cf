"""`bench run`: the trials of a plan, and what they show."""

import sys
from pathlib import Path
from typing import Any

import click

from bench.commands import print_run
from bench.commands.lab_choice import choose_stage
from bench.commands.options import FilePath, command, json_option, output_option, plan_options, quiet_option
from bench.commands.plan import build_plan
from bench.commands.stopping_options import stopping, stopping_options, taken, with_most_trials


@command("run")
@click.argument("plan_file", required=False, metavar="[FILE]", type=FilePath)
@plan_options
@stopping_options
@output_option
@json_option
@quiet_option
def run_command(plan_file: Path | None, output: Path, as_json: bool, quiet: bool, **given: Any) -> None:
    """Run the trials of a plan and compare its modes.

    FILE is a plan as TOML (`bench plan` prints one); flags win over it. SECONDS may be written 10, 10s,
    250ms or 2m.
    """
    rules = taken(given)
    planned = build_plan(plan_file, with_most_trials(plan_file, given, rules))
    open_stage = choose_stage([planned])
    from bench.experiment import run
    from bench.report.live import show_live

    stop = stopping(**rules, cases=len(planned.modes))
    with show_live(sys.stderr, silent=quiet or as_json) as shown, open_stage(shown) as stage:
        done = run.perform(planned, stage, output, shown, stop)
    print_run.finish(done, as_json, quiet, stop)
