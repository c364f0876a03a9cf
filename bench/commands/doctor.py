"""`bench doctor`: what this machine can measure, and what those of a cluster can."""

import dataclasses
from typing import TYPE_CHECKING

from bench.commands import printing
from bench.commands.lab_choice import enter_cluster
from bench.commands.options import command, json_option, option
from bench.plan.flags import Heading

if TYPE_CHECKING:
    from bench.cluster.survey import ClusterSurvey


@command("doctor")
@option(
    Heading.CLUSTER,
    "--scheduler",
    metavar="ADDRESS|FILE",
    shown_default="this machine",
    help="Survey the workers of Dask's scheduler, named by its address or by the file of `bench cluster up`.",
)
@option(
    Heading.CLUSTER,
    "--data-interface",
    metavar="NAME",
    only_with="scheduler",
    shown_default="the addresses of the workers",
    help="Network interface whose addresses the roles are to use: the paths between them are tried.",
)
@json_option
def doctor_command(scheduler: str | None, data_interface: str | None, as_json: bool) -> None:
    """Show what this machine can measure, and what to change.

    With --scheduler it says so of each machine of a cluster, and how far its clock is from ours, whether each
    reaches each over the data addresses, and what differs between them. Each worker listens on one port of
    its data address meanwhile.
    """
    if scheduler is not None:
        _survey(scheduler, data_interface, as_json)
        return
    from bench import doctor as examination
    from bench.report.run import text

    checks = examination.examine()
    if as_json:
        printing.echo_json([dataclasses.asdict(check) for check in checks])
    else:
        printing.echo(text.format_checks(checks), nl=False)


def _survey(scheduler: str, data_interface: str | None, as_json: bool) -> None:
    enter_cluster(scheduler)
    from bench.cluster import connection, survey, survey_json

    with connection.connect(scheduler) as cluster:
        found = survey.survey(cluster, data_interface)
    if as_json:
        printing.echo_json(survey_json.to_json(found))
    else:
        printing.echo(format_survey(found), nl=False)


def format_survey(found: "ClusterSurvey") -> str:
    """Return what is printed of a survey."""
    from bench.cluster import survey_rows as rows
    from bench.report.html import Table
    from bench.report.run import text

    machines = [rows.describe_machine(each) for each in found.machines]
    paths = [rows.describe_paths(each) for each in found.machines if each.paths]
    return text.format_survey(
        f"scheduler {found.scheduler}, workers: {len(machines)}",
        [Table(rows.MACHINE_COLUMNS, machines), Table(rows.PATH_COLUMNS, paths)],
        rows.list_sections(found),
    )
