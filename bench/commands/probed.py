"""`--probe [UPSTREAM=]HOST:PORT|FILE`: what servers really do with idle connections, for a configuration.

A file is one that `bench probe --json` wrote. An address is probed now: nothing else here sends anything.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from bench.commands import printing
from bench.commands.judging import JudgedBy
from bench.commands.options import option
from bench.errors import PlanError
from bench.plan.flags import Heading
from bench.probe.advice import format_address, keeps_connections, spread_s
from bench.probe.model import ProbeResult
from bench.probe.target import parse_target
from nginx import check
from nginx.measured import MeasuredServer, split_address
from nginx.targets import TargetKind

_MOST_CHOICES = 20
"""As many as a line has room for."""
Input = tuple[str, str | None]
"""The name of a configuration and, for standard input, its text."""


@dataclass(frozen=True, slots=True)
class ProbeSource:
    """What was typed: whose servers it is about, and where the values come from."""

    upstream: str
    """Empty where the address decides."""
    source: str

    @property
    def typed(self) -> str:
        """The value of the option."""
        return f"{self.upstream}={self.source}" if self.upstream else self.source

    @property
    def path(self) -> Path | None:
        """The file to read; None for an address to probe."""
        return Path(self.source) if Path(self.source).is_file() else None

    @property
    def address(self) -> str:
        """HOST:PORT of what is to be probed; empty for a file."""
        if self.path is not None:
            return ""
        target = parse_target(self.source)
        return format_address(target.host, target.port)


class ProbeParameter(click.ParamType[ProbeSource]):
    """A server, by its address or URL, or a file; before it perhaps the upstream {} that it stands for."""

    name = "[UPSTREAM=]HOST:PORT|FILE"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return how the help calls the value."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ProbeSource:
        """Return what `value` names; a file of that whole name comes first."""
        if isinstance(value, ProbeSource):
            return value
        whole = ProbeSource("", str(value))
        upstream, equals, source = str(value).partition("=")
        if not equals or whole.path is not None or "://" in upstream:
            return self._checked(whole, param, ctx)
        if not upstream.strip():
            self.fail(f"{value!r} names no upstream before the =", param, ctx)
        return self._checked(ProbeSource(upstream.strip(), source), param, ctx)

    def _checked(
        self, found: ProbeSource, param: click.Parameter | None, ctx: click.Context | None
    ) -> ProbeSource:
        if found.upstream and not found.source:
            self.fail(f"{found.typed!r} names no server behind the =", param, ctx)
        if found.path is None:
            if found.source.startswith(("/", "./", "../")) or found.source.endswith(".json"):
                self.fail(
                    f"{found.typed!r}: there is no such file; write it with `bench probe --json`", param, ctx
                )
            try:
                parse_target(found.source)
            except PlanError as error:
                self.fail(f"{error}; or name a file of `bench probe --json`", param, ctx)
        return found


probe_option = option(
    Heading.BACKEND,
    "--probe",
    "probes",
    type=ProbeParameter(),
    multiple=True,
    shown_default="none",
    help="A server to measure now, or what `bench probe --json` wrote: its idle timeout counts (repeatable).",
)


def with_probes(by: JudgedBy, sources: Sequence[ProbeSource], inputs: Iterable[Input]) -> JudgedBy:
    """Return what a configuration is judged by, with what the sources say of its servers.

    Raises:
        PlanError: a file is no probe's, or no server of the configuration is meant.
    """
    if not sources:
        return by
    names, addresses = _servers(by, inputs)
    measured = []
    for each in sources:
        _refuse_stranger(each.upstream or each.address, each, names, addresses)
        found = _read(each, each.path) if each.path is not None else _probe(each.source)
        server = measured_server(found, each.upstream)
        _refuse_stranger(server.upstream or server.address, each, names, addresses)
        measured.append(server)
        _tell_unknown(found, server)
    return replace(by, settings=replace(by.settings, measured=tuple(measured)))


def _tell_unknown(found: ProbeResult, server: MeasuredServer) -> None:
    """Print that the idle timeout did not show, where a connection is kept."""
    if server.kept_s is not None:
        text = f"ended no connection within {server.kept_s:.3g} idle seconds: it does so later, or never"
        printing.echo_error(f"bench: {server.address} {text}")
    elif found.idle is None and not server.closes:
        text = "keeps connections, and for how long did not show; probe it again"
        printing.echo_error(f"bench: {server.address} {text}")


def measured_server(found: ProbeResult, upstream: str = "") -> MeasuredServer:
    """Return what a probe found out, as the check of a configuration takes it."""
    idle, address = found.idle, format_address(found.host, found.port)
    requests, says_last = found.max_requests, found.max_requests_announced
    server = MeasuredServer(address, upstream, requests=requests, says_last=says_last)
    if idle is None:
        return replace(server, closes=not keeps_connections(found))
    if idle.high_s is None:
        return replace(server, kept_s=idle.low_s)
    shown = f"{idle.low_s:.2f}..{idle.high_s:.2f} s"
    return replace(server, idle_s=idle.low_s, spread_s=spread_s(idle), idle=shown)


def _servers(by: JudgedBy, inputs: Iterable[Input]) -> tuple[list[str], list[str]]:
    """Return the names of the upstreams, and the addresses that are passed to."""
    names, addresses = dict[str, None](), dict[str, None]()
    for name, text in inputs:
        for model in check.load_models(name, by.root, by.extra_files, text):
            for upstream in sorted(model.upstreams, key=lambda each: each.directive.place):
                names[upstream.name] = None
                addresses |= dict.fromkeys(upstream.addresses)
            targets = (target for each in model.passes for target in each.targets)
            addresses |= {t.server: None for t in targets if t.kind is TargetKind.ADDRESS and t.is_known}
    return list(names), list(addresses)


def _refuse_stranger(wanted: str, given: ProbeSource, names: Sequence[str], addresses: Sequence[str]) -> None:
    """Raise PlanError unless an upstream or a server is called so; an empty name is none yet."""
    is_name = wanted.lower() in (name.lower() for name in names)
    if not wanted or is_name or split_address(wanted) in map(split_address, addresses):
        return
    choices = [*names, *addresses]
    more = f" and {len(choices) - _MOST_CHOICES} more" if len(choices) > _MOST_CHOICES else ""
    there = ", ".join(choices[:_MOST_CHOICES]) + more or "none"
    raise PlanError(
        f"--probe {given.typed}: nothing here passes to {wanted}; name whose server it is, as "
        f"{choices[0] if choices else 'UPSTREAM'}={given.source}; here are {there}"
    )


def _read(given: ProbeSource, path: Path) -> ProbeResult:
    try:
        return ProbeResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:  # also of JSON, and of UTF-8
        raise PlanError(
            f"--probe {given.typed}: cannot be read: {error}; write it anew with `bench probe --json`"
        ) from error


def _probe(source: str) -> ProbeResult:
    """Return what a probe finds out now."""
    # It opens connections, which the rest of these commands has no use for.
    from bench.probe.connection import make_contexts
    from bench.probe.limits import ProbeSettings
    from bench.probe.probing import probe
    from bench.report.probe import show_live

    target = parse_target(source)
    contexts = make_contexts() if target.is_tls else None
    with show_live(sys.stderr) as report:
        return probe(target, ProbeSettings(), contexts, report)
