"""`bench schema`: the JSON Schema of what a command prints."""

import json
from collections.abc import Sequence

import click

from bench.commands import printing
from bench.commands.options import command
from bench.errors import PlanError


@command("schema")
@click.argument("name", nargs=-1, metavar="[COMMAND]...")
def schema_command(name: Sequence[str]) -> None:
    """Print the JSON Schema of what a command prints.

    With --json or --format json, that is; without a COMMAND these commands are named. `results/schema.json`
    is the schema of a line of run.jsonl.
    """
    from bench.commands import json_output

    asked = " ".join(name)
    if not asked:
        printing.echo("\n".join(json_output.OUTPUTS))
    elif asked in json_output.OUTPUTS:
        printing.echo(json.dumps(json_output.schema(asked), indent=2))
    else:
        raise PlanError(f"{asked!r} prints no JSON; {', '.join(json_output.OUTPUTS)} do")
