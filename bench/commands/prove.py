"""`bench prove`: the verdict of `bench check` by traffic.

bench/prove proves; here are the flags, what is printed where, and the exit code.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench import lab
from bench.commands import printing
from bench.commands.judging import PerUpstream
from bench.commands.nginx_options import extra_files_option, read_target, root_option
from bench.commands.options import Count, Duration, command, lab_option, option
from bench.commands.server_kinds import kinds_option
from bench.errors import ExitCode, PlanError
from bench.plan.flags import Heading
from bench.prove import requests
from bench.prove.backend_kinds import check_kinds, limited_kinds
from bench.prove.inventory import build_inventory
from bench.subjects import programs
from bench.subjects.programs import Program
from nginx import check, versions
from nginx.fix import repair as fix
from nginx.loading import sources
from nginx.model import Model
from nginx.rules import CheckSettings, RuleContext

if TYPE_CHECKING:
    from bench.prove.testbed import ProofSettings

_REQUESTS = 8
_MANY_WORKERS, _MOST_WORKERS = 2, 4  # where their number is not known, and at all: each has pools of its own


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
    type=Count(2, _MOST_REQUESTS),
    shown_default=f"{_REQUESTS}; {_MOST_REQUESTS} for an upgrade",
    help="How many to send to each location, behind the one that finds it.",
)
@option(
    Heading.LOAD,
    "--client-http",
    default="auto",
    type=click.Choice(["auto", "1.1", "2"]),
    help="HTTP version of the clients; auto: 2 where a listener accepts it, else 1.1.",
)
@option(
    Heading.LOAD,
    "--concurrency",
    type=Count(2, _MOST_REQUESTS),
    shown_default="1",
    help="Requests in flight at once, over all workers.",
)
@option(
    Heading.PROXY,
    "--workers",
    type=Count(1),
    shown_default="worker_processes",
    help="Worker processes of nginx that share them.",
)
@option(Heading.LOAD, "--load", is_flag=True, help="Measure what it costs as it is and repaired.")
@option(
    Heading.LOAD,
    "--duration",
    "-d",
    default="2s",
    only_with="load",
    type=Duration(0.1, 600),
    help="The window of --load.",
)
@option(
    Heading.LOAD,
    "--pairs",
    default=3,
    only_with="load",
    type=Count(1, _MOST_REQUESTS),
    help="Windows of --load on each side.",
)
@option(
    Heading.LOAD,
    "--locations",
    default=1,
    only_with="load",
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
@kinds_option("How the servers behave", shown_default="a server that keeps everything open")
@option(
    Heading.BACKEND,
    "--backend-max-connections",
    multiple=True,
    type=PerUpstream(Count(1), "N"),
    shown_default="that of the kind",
    help="Connections that a server accepts (repeatable).",
)
@lab_option
@option(
    Heading.OUTPUT,
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    help="How to print the answer; markdown: for a pull request.",
)
def prove_command(
    *,
    file: str,
    root: Path | None,
    extra_files: tuple[Path, ...],
    programs_requested: tuple[str, ...],
    load: bool,
    output_format: str,
    **given: Any,
) -> None:
    """Run an nginx configuration in front of backends that count, and compare it with what check says.

    A copy runs in a lab, without root, with every address, file and log replaced; all changes are listed.
    With two --program, the old nginx and the new one, it ends in a sentence about the upgrade. Exit 1 if
    check and traffic disagree, if nginx rejects the copy, if nothing could be proven, if the servers leave
    clients with errors, or if a location begins to fail; 2 if the configuration cannot be read.
    """
    given["given"] = [requests.parse(text) for text in given["given"]]
    _check_close(given["backend_close"])
    name, text = _read(file)
    model = check.load_model(name, root, extra_files, text)
    # Before anything that starts threads: only a process of one thread can take the rights to a lab.
    given["lab_name"] = lab.choose(given["lab_name"])
    chosen = _programs(programs_requested)
    repaired = _repaired(name, root, extra_files, text, chosen) if load else {}
    is_upgrade = len(programs_requested) == len(chosen) == 2
    from bench.prove import load_test, runner, upgrade
    from bench.report.config import proof_answer

    settings = _settings(model, given, upgrade.REQUESTS if is_upgrade else _REQUESTS)
    found = proof_answer.ProofAnswer(file, settings.backend_close)
    found.proofs = [runner.prove(model, program, settings) for program in chosen]
    if is_upgrade:
        old, new = found.proofs
        found.upgrade = upgrade.prove_upgrade(model, old, new, chosen[1], settings)
    if load:
        wanted_load = load_test.LoadSettings(given["pairs"], given["duration"], given["locations"])
        found.costs = []
        for program, proof in zip(chosen, found.proofs, strict=True):
            models: load_test.Models = {"as it is": model, "repaired": repaired[program]}
            found.costs += load_test.costs(models, proof, program, settings, wanted_load)
    if output_format == "json":
        printing.echo_json(found.to_json())
    else:
        printing.echo(proof_answer.FORMATS[output_format](found), nl=False)
    sys.exit(ExitCode.OK if found.is_sound else ExitCode.FINDINGS)


def _settings(model: Model, given: Mapping[str, Any], count: int) -> "ProofSettings":
    """Return how a configuration is proven; `count` requests for each location unless others are given."""
    from bench.prove.testbed import ProofSettings

    like = limited_kinds(dict(given["backend_like"]), dict(given["backend_max_connections"]))
    check_kinds(build_inventory(model), like)
    judged_by = CheckSettings(workers=given["workers"], concurrency=given["concurrency"])
    context = RuleContext(model, versions.NEWEST, judged_by)
    return ProofSettings(
        lab=given["lab_name"],
        backend_close=given["backend_close"],
        client=given["client_http"],
        requests=given["count"] or count,
        given=given["given"],
        like=like,
        in_flight=max(1, context.per_worker),
        workers=min(_MOST_WORKERS, context.workers or _MANY_WORKERS),
    )


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
