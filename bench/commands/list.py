"""`bench list`: the runs of a folder of results."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench.commands.options import command, json_option, output_option


@command("list")
@output_option
@json_option
def list_runs(output: Path, as_json: bool) -> None:
    """List the runs of a folder of results, the newest last."""
    from bench.report.run import text
    from bench.report.scenario import text as scenario_text
    from bench.runs import read, read_scenario

    found, scenarios = read.runs(output), read_scenario.runs(output)
    if as_json:
        outlines = [*map(read.outline, found), *map(read_scenario.outline, scenarios)]
        click.echo(json.dumps(outlines))
        return
    if found or not scenarios:
        click.echo(text.listing(found, output), nl=False)
    click.echo(scenario_text.listing(scenarios), nl=False)
