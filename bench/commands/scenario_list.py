"""`bench scenario list`: the scenarios and their variants."""

import click

from bench.commands.options import command


@command("list")
def list_command() -> None:
    """List the scenarios and the variants of each."""
    from bench.report.scenario import text
    from bench.scenarios import catalogue

    click.echo(text.format_catalogue(catalogue.load_all()), nl=False)
