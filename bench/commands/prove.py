"""`bench prove`: the verdict of `bench check` by traffic.

The proving is bench/prove's; here are the flags, what is printed where, and the exit code.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bench import lab
from bench.commands.check import FINDINGS, MISUSE
from bench.errors import PlanError
from bench.plan import run_plan
from bench.prove import requests
from bench.subjects import programs
from bench.subjects.programs import Program
from nginx import check
from nginx.errors import NginxConfigError
from nginx.fix import repair as fix
from nginx.loading import sources
from nginx.model import Model

if TYPE_CHECKING:
    from bench.prove.nginx_process import ClientProtocol

_MOST_REQUESTS = 1000


@click.command("prove")
@click.argument("file", metavar="FILE|-")
@click.option(
    "--program",
    "asked",
    multiple=True,
    metavar="PATH|system|wheel",
    help="The nginx to run (repeatable) [each that is here].",
)
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), help="As for check.")
@click.option(
    "--with",
    "handed_over",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="As for check (repeatable).",
)
@click.option(
    "--request",
    "given",
    multiple=True,
    metavar="'METHOD /path Host: x'",
    help="A request that reaches a location, where none is found (repeatable).",
)
@click.option(
    "--requests",
    "count",
    default=8,
    show_default=True,
    type=click.IntRange(2, _MOST_REQUESTS),
    help="How many to send to each location.",
)
@click.option(
    "--backend-close",
    default="at-once",
    show_default=True,
    metavar="at-once|linger:MS|never",
    help="When backends close what they are told to close.",
)
@click.option(
    "--client",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "1.1", "2"]),
    help="The HTTP that clients speak; auto: 2 where a listener says so, else 1.1.",
)
@click.option("--lab", "lab_name", default="auto", show_default=True, type=click.Choice(run_plan.LABS))
@click.option("--load", is_flag=True, help="Measure what it costs beside its repaired self (bench fix).")
@click.option(
    "--duration",
    "-d",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.1, 600),
    help="Window of --load, seconds.",
)
@click.option("--pairs", default=3, show_default=True, type=click.IntRange(1), help="Windows of each side.")
@click.option(
    "--locations",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="How many locations --load measures, in the order of the text.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
def prove_command(
    *,
    file: str,
    asked: tuple[str, ...],
    root: Path | None,
    handed_over: tuple[Path, ...],
    given: tuple[str, ...],
    count: int,
    backend_close: str,
    client: str,
    lab_name: str,
    load: bool,
    duration: float,
    pairs: int,
    locations: int,
    as_json: bool,
) -> None:
    """Run an nginx configuration against backends that count, and hold what check says against it.

    A copy runs in a lab, without root, with every address, file and log replaced; what was changed is said.
    Exit 1 if check and traffic disagree, if nginx refuses the copy, or if nothing could be proven; 2 if the
    configuration cannot be read.
    """
    wanted = [requests.parse(text) for text in given]
    _check_close(backend_close)
    try:
        name, text = "standard input" if file == "-" else file, _text(file)
        model = check.load_model(name, root, handed_over, text)
        # Before anything that starts threads: only a process of one thread can take the rights to a lab.
        opened = lab.choose(lab_name)
        chosen = _programs(asked)
        repaired = _repaired(name, root, handed_over, text, chosen) if load else {}
    except NginxConfigError as error:
        click.echo(f"bench prove: {error}", err=True)
        sys.exit(MISUSE)
    from bench.prove import load_test, runner
    from bench.prove.testbed import ProofSettings
    from bench.report.config import load_test as load_report
    from bench.report.config import proof as report

    settings = ProofSettings(opened, backend_close, cast("ClientProtocol", client), count, wanted)
    found = [runner.prove(model, program, settings) for program in chosen]
    if not as_json:
        click.echo(report.format_proofs(found, backend_close), nl=False)
    wanted_load = load_test.LoadSettings(pairs, duration, locations)
    paid = [
        each
        for program, proof in zip(chosen, found, strict=True)
        if load
        for each in load_test.costs(
            {"as it is": model, "repaired": repaired[program]}, proof, program, settings, wanted_load
        )
    ]
    if as_json:
        proofs = [each.to_json() for each in found]
        click.echo(json.dumps(_answer(file, backend_close, proofs, [each.to_json() for each in paid])))
    elif load:
        click.echo(f"\n{load_report.format_costs(paid)}", nl=False)
    sys.exit(0 if all(each.is_sound for each in found) else FINDINGS)


def _answer(file: str, close: str, found: Sequence[object], paid: Sequence[object]) -> dict[str, object]:
    return {"file": file, "backend_close": close, "proofs": list(found), "load": list(paid)}


def _text(file: str) -> str | None:
    """Returns the text of what is no ordinary file, and so can be read once: standard input, a pipe."""
    if file == "-":
        return sources.decode(sys.stdin.buffer.read(), "standard input")
    return None if Path(file).is_file() or Path(file).is_dir() else sources.read_text(Path(file))


def _repaired(
    file: str, root: Path | None, handed_over: Sequence[Path], text: str | None, chosen: Sequence[Program]
) -> dict[Program, Model]:
    """Returns the configuration as `bench fix` would write it, for each nginx by itself."""
    found = {}
    for program in chosen:
        repair = fix.fix(file, [program.version], root=root, extra_files=handed_over, text=text)
        found[program] = check.load_model(file, root, handed_over, text, repair.after)
    return found


def _programs(asked: Sequence[str]) -> list[Program]:
    """Returns the programs that were asked for, or all that are here; PlanError where there is none."""
    if asked:
        return list(dict.fromkeys(programs.find("nginx", where) for where in asked))
    return programs.find_all("nginx") or [programs.find("nginx")]


def _check_close(close: str) -> None:
    if not re.fullmatch(r"at-once|never|linger:\d+(ms)?", close):
        raise PlanError(f"--backend-close {close!r} is not understood; write at-once, linger:5ms or never")
