"""`bench incident`: what people write into nginx.conf, beside other proxies."""

import sys
from pathlib import Path

from bench.commands import print_run, printing
from bench.commands.options import Count, Duration, command, lab_option, option, output_option
from bench.errors import ExitCode
from bench.plan import bounds
from bench.plan.flags import Heading


@command("incident")
@option(Heading.RUN, "--trials", default=3, type=Count(1), help="Trials of each configuration.")
@option(
    Heading.LOAD,
    "--duration",
    "-d",
    default="3s",
    type=Duration(0.1, 86_400),
    help="The window that is measured.",
)
@lab_option
@output_option
def incident_command(trials: int, duration: float, lab_name: str, output: Path) -> None:
    """Measure what people write into nginx.conf, beside HAProxy, Envoy and Caddy.

    Before and since nginx 1.29.7, which keeps upstream connections by default.
    """
    bounds.check_length(f"--trials {trials}", trials, duration)
    from bench import lab

    opened = lab.choose(lab_name)
    from bench import incident as incidents
    from bench.analysis import claims
    from bench.report import style
    from bench.report.live import show_live
    from bench.report.run import incident as report

    here, absent = incidents.present(list(incidents.entrants()))
    print_run.print_damage(absent)
    if not here:
        sys.exit(ExitCode.ENVIRONMENT)
    with show_live(sys.stderr, silent=False) as shown:
        runs = incidents.perform(here, trials, duration, lab_name=opened, root=output, progress=shown)
    directories = [done.directory for done in runs if done.directory is not None]
    unsaved = None
    if any(done.trials for done in runs):
        printing.echo(report.format_tables(runs), nl=False)
    if directories:
        stem = Path(directories[0], report.PICTURE)
        saved, unsaved = print_run.attempt(style.save_figure, stem, report.draw, runs)
        printing.echo(f"\nresults: {', '.join(directories)}")
        if saved is not None:
            printing.echo(f"picture: {saved[0]}")
    print_run.end(runs, unsaved, claims.exit_code(runs))
