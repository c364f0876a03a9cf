"""`bench scenario install`: the client of a real product, for a variant that needs it."""

import click

from bench.commands import printing
from bench.commands.options import command


@command("install")
@click.argument("name", metavar="NAME")
def install_command(name: str) -> None:
    """Install the client of a real product, in an environment of its own.

    NAME is that of the environment; `bench scenario list` names the variants that need one.
    """
    from bench.experiment import environments

    environments.find(name).install(printing.echo)
