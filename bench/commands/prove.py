"""`bench prove`: the verdict of `bench check` by traffic.

bench/prove proves; here are the flags, what is printed where, and the exit code.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bench import lab
from bench.commands import printing
from bench.commands.nginx_options import extra_files_option, read_target, root_option
from bench.commands.options import Count, Duration, command, json_option, lab_option, option
from bench.errors import ExitCode, PlanError
from bench.plan.flags import Heading
from bench.prove import requests
from bench.subjects import programs
from bench.subjects.programs import Program
from nginx import check
from nginx.fix import repair as fix
from nginx.loading import sources
from nginx.model import Model

if TYPE_CHECKING:
    from bench.prove.nginx_process import ClientProtocol

_MOST_REQUESTS = 1000


@command("prove")
@click.argument("file", metavar="FILE|-")
@root_option
@extra_files_option
@option(
    Heading.PROXY,
    "--program",
    "programs_requested",
    multiple=True,
    metavar="PATH|system|wheel",
    shown_default="each that is here",
    help="The nginx to run (repeatable).",
)
@option(
    Heading.LOAD,
    "--request",
    "given",
    multiple=True,
    metavar="'METHOD /path Host: x'",
    shown_default="derived",
    help="A request to try first for each location (repeatable).",
)
@option(
    Heading.LOAD,
    "--requests-per-location",
    "count",
    default=8,
    type=Count(2, _MOST_REQUESTS),
    help="How many to send to each location.",
)
@option(
    Heading.LOAD,
    "--client-http",
    default="auto",
    type=click.Choice(["auto", "1.1", "2"]),
    help="HTTP version of the clients; auto: 2 where a listener accepts it, else 1.1.",
)
@option(Heading.LOAD, "--load", is_flag=True, help="Measure what it costs as it is and repaired.")
@option(Heading.LOAD, "--duration", "-d", default="2s", type=Duration(0.1, 600), help="The window of --load.")
@option(
    Heading.LOAD, "--pairs", default=3, type=Count(1, _MOST_REQUESTS), help="Windows of --load on each side."
)
@option(
    Heading.LOAD,
    "--locations",
    default=1,
    type=Count(1, _MOST_REQUESTS),
    help="How many locations --load measures, in the order of the text.",
)
@option(
    Heading.BACKEND,
    "--backend-close",
    default="at-once",
    metavar="HOW",
    help="How a backend closes: at-once, linger:5ms, never.",
)
@lab_option
@json_option
def prove_command(
    *,
    file: str,
    programs_requested: tuple[str, ...],
    root: Path | None,
    extra_files: tuple[Path, ...],
    given: tuple[str, ...],
    count: int,
    backend_close: str,
    client_http: str,
    lab_name: str,
    load: bool,
    duration: float,
    pairs: int,
    locations: int,
    as_json: bool,
) -> None:
    """Run an nginx configuration in front of backends that count, and compare it with what check says.

    A copy runs in a lab, without root, with every address, file and log replaced; all changes are listed.
    Exit 1 if check and traffic disagree, if nginx rejects the copy, or if nothing could be proven; 2 if the
    configuration cannot be read.
    """
    wanted = [requests.parse(text) for text in given]
    _check_close(backend_close)
    name, text = _read(file)
    model = check.load_model(name, root, extra_files, text)
    # Before anything that starts threads: only a process of one thread can take the rights to a lab.
    opened = lab.choose(lab_name)
    chosen = _programs(programs_requested)
    repaired = _repaired(name, root, extra_files, text, chosen) if load else {}
    from bench.prove import load_test, runner
    from bench.prove.testbed import ProofSettings
    from bench.report.config import load_test as load_report
    from bench.report.config import proof as report

    settings = ProofSettings(opened, backend_close, cast("ClientProtocol", client_http), count, wanted)
    found = [runner.prove(model, program, settings) for program in chosen]
    if not as_json:
        printing.echo(report.format_proofs(found, backend_close), nl=False)
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
        proofs, load_tests = [each.to_json() for each in found], [each.to_json() for each in paid]
        answer = {"file": file, "backend_close": backend_close, "proofs": proofs, "load": load_tests}
        printing.echo_json(answer)
    elif load:
        printing.echo(f"\n{load_report.format_costs(paid)}", nl=False)
    sys.exit(ExitCode.OK if all(each.is_sound for each in found) else ExitCode.FINDINGS)


def _read(file: str) -> tuple[str, str | None]:
    """Return the name of a configuration, and its text if it can be read but once: standard input, a pipe."""
    name, text = read_target(file)
    if text is None and not Path(file).is_file() and not Path(file).is_dir():
        text = sources.read_text(Path(file))
    return name, text


def _repaired(
    file: str, root: Path | None, extra_files: Sequence[Path], text: str | None, chosen: Sequence[Program]
) -> dict[Program, Model]:
    """Return the configuration as `bench fix` would write it, for each nginx by itself."""
    found = {}
    for program in chosen:
        repair = fix.fix(file, [program.version], root=root, extra_files=extra_files, text=text)
        found[program] = check.load_model(file, root, extra_files, text, repair.after)
    return found


def _programs(requested: Sequence[str]) -> list[Program]:
    """Return the programs that were requested, or all that are here; PlanError where there is none."""
    if requested:
        return list(dict.fromkeys(programs.find("nginx", where) for where in requested))
    return programs.find_all("nginx") or [programs.find("nginx")]


def _check_close(close: str) -> None:
    if not re.fullmatch(r"at-once|never|linger:\d+(ms)?", close):
        raise PlanError(f"--backend-close {close!r} is not valid; write at-once, linger:5ms or never")
