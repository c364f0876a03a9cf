"""`bench scenario list`: the scenarios and their variants."""

from bench.commands import printing
from bench.commands.options import command


@command("list")
def list_command() -> None:
    """List the scenarios and the variants of each."""
    from bench.report.scenario import text
    from bench.scenarios import catalogue

    printing.echo(text.format_catalogue(catalogue.load_all()), nl=False)
