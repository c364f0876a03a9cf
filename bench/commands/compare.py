"""`bench compare`: the modes of one run, or runs, held against each other."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import json_flag

if TYPE_CHECKING:
    from bench.analysis.sides import Side

INVALID = 1


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN[:MODE]...")
@click.option("--fail-on", multiple=True, metavar="CONDITION", help="As 'requests_per_s<0.95'.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The picture's path without its ending."
)
@json_flag
def compare(runs: Sequence[str], fail_on: Sequence[str], output: Path | None, as_json: bool) -> None:
    """Compare the modes of one run, or two or more runs; the first is what the others are held against.

    A condition names a metric and bounds its ratio to the first side, or with abs: its own value; where it
    holds the command fails (exit 1): --fail-on 'requests_per_s<0.95' --fail-on 'abs:errors>0'.
    """
    from bench.analysis import compare as comparing
    from bench.analysis import gate, sides
    from bench.report.run import picture, text

    conditions = [gate.condition(text_) for text_ in fail_on]
    picked = sides.pick(runs)
    compared = [comparing.compare(each) for each in picked]
    failed = [said for comparison in compared for said in gate.failures(conditions, comparison)]
    pictures = [str(picture.save(each, _picture(output, each, len(picked)))[0]) for each in picked]
    if as_json:
        answers = [comparison.to_json() for comparison in compared]
        click.echo(json.dumps({"comparisons": answers, "pictures": pictures, "failed": failed}))
    else:
        for comparison, drawn in zip(compared, pictures, strict=True):
            click.echo(text.comparison(comparison), nl=False)
            click.echo(f"picture: {drawn}\n")
    for said in failed:
        click.echo(f"bench: {said}", err=True)
    sys.exit(INVALID if failed else 0)


def _picture(output: Path | None, sides: Sequence[Side], comparisons: int) -> Path:
    """Return where a comparison's picture goes, without its ending: beside the last run unless told."""
    stem = output or Path(str(sides[-1].run.directory)) / "compare"
    return stem if comparisons == 1 else stem.with_name(f"{stem.name}-{sides[0].mode}")
