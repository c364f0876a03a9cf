"""`bench scenario`: the group of the commands of scenarios."""

import click

from bench.commands.lazy_group import HELP, LazyGroup

COMMANDS = {
    "list": "List the scenarios and the variants of each.",
    "run": "Run a scenario: each variant behind each subject, in turn.",
    "install": "Install the client of a real product, in an environment of its own.",
}


@click.group("scenario", cls=LazyGroup, table=COMMANDS, prefix="scenario_", context_settings=HELP)
def scenario_command() -> None:
    """Measure what long connections are used for, from polling to QUIC.

    `bench list`, `show`, `report` and `compare` take the runs of scenarios too.
    """
