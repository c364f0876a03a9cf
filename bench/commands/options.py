"""The flags that say where an answer goes, the same for every command that has them."""

from __future__ import annotations

from pathlib import Path

import click

output_flag = click.option(
    "-o",
    "--output",
    default="results",
    type=click.Path(path_type=Path, file_okay=False),
    help="Results folder.",
)
json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
