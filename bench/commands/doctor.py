"""`bench doctor`: what this machine can measure."""

import dataclasses

from bench.commands import printing
from bench.commands.options import command, json_option


@command("doctor")
@json_option
def doctor_command(as_json: bool) -> None:
    """Show what this machine can measure, and what to change."""
    from bench import doctor as examination
    from bench.report.run import text

    checks = examination.examine()
    if as_json:
        printing.echo_json([dataclasses.asdict(check) for check in checks])
    else:
        printing.echo(text.format_checks(checks), nl=False)
