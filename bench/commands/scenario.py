"""`bench scenario`: the group of the commands of scenarios."""

from __future__ import annotations

import click

from bench.commands.lazy_group import HELP, LazyCommand, LazyGroup

COMMANDS = {
    "list": LazyCommand(
        "bench.commands.scenario_list:list_scenarios", "List the scenarios and the variants of each."
    ),
    "run": LazyCommand(
        "bench.commands.scenario_run:run_scenario",
        "Run a scenario: each variant behind each subject, in turn.",
    ),
    "install": LazyCommand(
        "bench.commands.scenario_install:install_environment",
        "Install the client of a real product, in an environment of its own.",
    ),
}


@click.group("scenario", cls=LazyGroup, table=COMMANDS, context_settings=HELP)
def scenario() -> None:
    """Measure what long connections are used for, from polling to QUIC.

    `bench list`, `show`, `report` and `compare` take the runs of scenarios too.
    """
