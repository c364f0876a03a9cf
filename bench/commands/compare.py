"""`bench compare`: two or more runs of one kind, or the cases of one, figure by figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands import print_run, printing
from bench.commands.options import FilePath, command, json_option, option
from bench.commands.run_metrics import metrics_of
from bench.plan.flags import Heading

if TYPE_CHECKING:
    from bench.analysis.sides import Selected


@command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN[:CASE]...")
@option(
    Heading.OUTPUT,
    "--fail-on",
    multiple=True,
    metavar="CONDITION",
    shown_default="none",
    help="Exit 1 where it holds, 4 where that cannot be told (repeatable).",
)
@option(
    Heading.OUTPUT,
    "-o",
    "--output",
    metavar="FILE",
    type=FilePath,
    shown_default="compare, in the last RUN",
    help="The picture's path without its ending, or a page: FILE.html.",
)
@json_option
def compare_command(runs: Sequence[str], fail_on: Sequence[str], output: Path | None, as_json: bool) -> None:
    """Compare two or more runs of one kind, or the modes of one run; the first is the baseline.

    A CASE selects a part of a run: short or keepalive; of a scenario, a VARIANT or VARIANT@SUBJECT; of a
    recording of a watch, a hop.

    A condition names a metric and bounds its ratio to the first side, or with abs: its own value:
    --fail-on 'cpu_us_per_request.proxy>1.05' --fail-on 'abs:errors>0'. The interval decides: the command ends
    with 1 where all of it is beyond the bound, with 0 where none of it is, and else with 4.
    """
    from bench.analysis import compare as comparing
    from bench.analysis import conditions, sides
    from bench.report import comparison as report
    from bench.report import comparison_page as page

    parsed = [conditions.parse(text) for text in fail_on]
    picked = [select(spec) for spec in runs]
    matched = sides.match(picked)
    known = metrics_of(picked[0].sides[0].run)
    compared = [comparing.compare(each, known) for each in matched]
    judged = conditions.judge(parsed, *compared)
    stem = output or Path(str(matched[0][-1].run.directory)) / "compare"
    saved, unsaved = print_run.attempt(page.save if stem.suffix == ".html" else report.save, compared, stem)
    drawn = [str(path) for path in saved or ()]
    if as_json:
        answers = [each.to_json() for each in compared]
        gates = [each.to_json() for each in judged]
        printing.echo_json({"comparisons": answers, "pictures": drawn, "conditions": gates})
    else:
        printing.echo(report.text(compared), nl=False)
        for path in drawn:
            printing.echo(f"{'report' if path.endswith('.html') else 'picture'}: {path}")
        printing.echo(report.format_verdicts(judged), nl=False)
    print_run.end([], unsaved, conditions.exit_code(judged))


def select(spec: str) -> "Selected":
    """Read RUN or RUN:CASE and return the sides that it means; a folder may have a colon in its name."""
    from bench.analysis import sides
    from bench.runs import read, timeline

    path, case = Path(spec), ""
    # A hop has colons in its name, too: the longest folder that there is counts.
    parts = spec.split(":")
    for end in range(len(parts) - 1, 0, -1):
        head = ":".join(parts[:end])
        if head and not path.exists() and Path(head).exists():
            path, case = Path(head), ":".join(parts[end:])
    return sides.select(spec, read.read(path), timeline.read(path), case)
