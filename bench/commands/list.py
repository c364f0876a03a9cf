"""`bench list`: the runs of a folder of results."""

from pathlib import Path

from bench.commands import printing
from bench.commands.options import command, json_option, output_option


@command("list")
@output_option
@json_option
def list_command(output: Path, as_json: bool) -> None:
    """List the runs of a folder of results, the newest last."""
    from bench.report.run import text
    from bench.runs import read

    listed = read.runs(output)
    if as_json:
        printing.echo_json([each.to_json() for each in listed])
        return
    printing.echo(text.format_list(listed, output), nl=False)
