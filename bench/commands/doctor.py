"""`bench doctor`: what this machine can measure."""

import dataclasses
import json

import click

from bench.commands.options import command, json_option


@command("doctor")
@json_option
def doctor_command(as_json: bool) -> None:
    """Show what this machine can measure, and what to change."""
    from bench import doctor as examination
    from bench.report.run import text

    checks = examination.examine()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks]))
    else:
        click.echo(text.format_checks(checks), nl=False)
