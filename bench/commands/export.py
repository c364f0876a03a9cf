"""`bench export`: the figures of a run for other programs, and for the summary page of a CI job."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands import print_run, printing
from bench.commands.options import FilePath, command, option
from bench.commands.run_metrics import metrics_of
from bench.errors import PlanError
from bench.plan.flags import Heading

if TYPE_CHECKING:
    from bench.analysis.run_figures import RunFigures
    from bench.runs.record import RunRecord

_FORMATS = ("csv", "openmetrics", "markdown")


@command("export")
@click.argument("run", metavar="RUN", type=FilePath)
@option(
    Heading.OUTPUT,
    "--format",
    "-f",
    "output_format",
    type=click.Choice(_FORMATS),
    default="markdown",
    help="csv: a row for each figure; openmetrics: gauges; markdown: a page for a job's summary.",
)
@option(
    Heading.OUTPUT, "--trials", "each_trial", is_flag=True, help="With csv: a row for each trial instead."
)
@option(
    Heading.OUTPUT,
    "-o",
    "--output",
    metavar="FILE",
    type=FilePath,
    shown_default="standard output",
    help="Where to write it.",
)
def export_command(run: Path, output_format: str, each_trial: bool, output: Path | None) -> None:
    """Export a run: medians with their 95 % intervals, and what each figure is worth.

    A figure that is void, or an average over the cliff, has a standing and no median.
    """
    from bench.analysis import run_figures
    from bench.report import saving
    from bench.runs import read

    if each_trial and output_format != "csv":
        raise PlanError(f"--trials has no effect beside --format {output_format}; write --format csv")
    done = read.read(run)
    print_run.print_damage(done.damage)
    text = _format(done, run_figures.summarize(done, metrics_of(done)), output_format, each_trial)
    if output is None:
        printing.echo_data(text)
    else:
        saving.save(output, text.encode())
        printing.echo(f"{output_format}: {output}")


def _format(done: "RunRecord[Any]", figures: "RunFigures", output_format: str, each_trial: bool) -> str:
    if output_format == "csv":
        from bench.report.export import csv

        return csv.format_trials(done, metrics_of(done)) if each_trial else csv.format_figures(figures)
    if output_format == "openmetrics":
        from bench.report.export import openmetrics

        return openmetrics.format_figures(done, figures)
    return _format_markdown(done, figures)


def _format_markdown(done: "RunRecord[Any]", figures: "RunFigures") -> str:
    from bench.report.export import markdown
    from bench.report.run import finding, incident, machines, tables
    from bench.report.run import text as run_text
    from bench.report.scenario import text as scenario_text
    from bench.report.sweep import text as sweep_text
    from bench.report.watch import recorded
    from bench.scenarios import catalogue

    if done.kind == "scenario":
        scenario = catalogue.load(done.scenario)
        table, title = scenario_text.build_table(scenario, done), scenario.title
        sentence = scenario_text.summarize(scenario, done)
        refused = scenario_text.summarize_refusals(done)
        warnings = [*refused, *scenario_text.summarize_warnings(done)]
    elif done.kind == "watch":
        title, sentence = recorded.format_title(done), recorded.summarize(done)
        warnings, table = recorded.summarize_limits(done), recorded.build_table(done)
    elif done.kind == "sweep":
        title, sentence = sweep_text.format_title(done), " ".join(sweep_text.conclude(done))
        warnings, table = sweep_text.summarize_warnings(done), sweep_text.build_table(done)
    else:
        shown = incident if len(done.subjects) > 1 else finding
        title, sentence = shown.format_title(done), shown.summarize(done)
        warnings = run_text.summarize_warnings(done)
        table = incident.build_table(done) if len(done.subjects) > 1 else tables.build_result_table(done)
    lines, by_machine = [*warnings, *machines.list_notes(done), *done.damage], machines.build_tables(done)
    return markdown.format_run(title, figures.verdict, sentence, table, lines, machines=by_machine)
