"""What `bench check` and `bench fix` judge a configuration by: nginx, its files, servers and load."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench import units
from bench.commands import printing
from bench.commands.nginx_options import extra_files_option, requested_versions, root_option
from bench.commands.options import Count, Decorated, option
from bench.commands.settings_file import settings_option
from bench.plan.flags import Heading
from nginx.idle_times import BACKEND_IDLE_S, FRONTS, Front
from nginx.known_directives import KnownDirectives
from nginx.rules import CATALOGUE, CheckSettings


class IdleTime(click.ParamType[float]):
    """A time, or the kind of a server whose usual timeout is known."""

    name = "TIME|KIND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds that `value` names."""
        return _idle_s(self, value, BACKEND_IDLE_S, param, ctx)


class FrontIdle(click.ParamType[Front]):
    """What is in front: a time, or the kind of a balancer whose usual timeout is known."""

    name = "TIME|KIND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Front:
        """Return the kind that `value` names, or one without a name that keeps so long."""
        if isinstance(value, Front):
            return value
        known = FRONTS.get(str(value).lower())
        return known or Front(_idle_s(self, value, FRONTS, param, ctx))


def _idle_s(
    kind: click.ParamType[Any],
    value: Any,
    known: Mapping[str, Any],
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> float:
    if str(value).lower() in known:
        return float(known[str(value).lower()])
    try:
        idle_s = units.duration_s(str(value))
    except ValueError:
        kind.fail(f"{value!r} is neither a time, as 20s, nor one of {', '.join(known)}", param, ctx)
    if idle_s <= 0:
        kind.fail(f"{value} is no time that a connection can idle; write a time above 0", param, ctx)
    return idle_s


class PerUpstream(click.ParamType[tuple[str, Any]]):
    """VALUE for all upstreams, or NAME=VALUE for one."""

    def __init__(self, inner: click.ParamType[Any], shown: str) -> None:
        self._inner = inner
        self.name = f"[UPSTREAM=]{shown}"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return how the help calls the value."""
        return self.name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Return the upstream's name, empty for all, and the value."""
        if isinstance(value, tuple):
            return value
        name, equals, inner = str(value).rpartition("=")
        if equals and not name.strip():
            self.fail(f"{value!r} names no upstream before the =", param, ctx)
        return name.strip(), self._inner.convert(inner, param, ctx)


class RulePattern(click.ParamType[tuple[str, str]]):
    """RULE, or RULE=PATTERN for the files that are meant."""

    name = "RULE[=FILES]"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return how the help calls the value."""
        return self.name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the rule's id and the pattern."""
        if isinstance(value, tuple):
            return value
        rule, equals, pattern = str(value).partition("=")
        named = next((each for each in CATALOGUE if each.lower() == rule.lower()), None)
        if named is None:
            self.fail(f"there is no rule {rule}; `bench check --rules` lists them", param, ctx)
        return named, pattern if equals else "*"


_JUDGING = (
    option(
        Heading.PROXY,
        "--nginx-version",
        metavar="VERSION[,...]",
        shown_default="installed (else oldest), newest",
        help="The nginx versions to judge for: numbers, oldest, installed, newest.",
    ),
    root_option,
    extra_files_option,
    option(
        Heading.PROXY,
        "--workers",
        type=Count(1),
        shown_default="worker_processes",
        help="Worker processes of nginx.",
    ),
    option(
        Heading.LOAD,
        "--concurrency",
        type=Count(1),
        shown_default="unknown",
        help="Requests in flight at the peak.",
    ),
    option(
        Heading.BACKEND,
        "--backend-idle",
        type=PerUpstream(IdleTime(), "TIME|KIND"),
        multiple=True,
        shown_default="unknown",
        help="Idle timeout of the servers: a time, or their kind, as node or puma (repeatable).",
    ),
    option(
        Heading.BACKEND,
        "--backend-max-connections",
        type=PerUpstream(Count(1), "N"),
        multiple=True,
        shown_default="unknown",
        help="Connections that a server accepts (repeatable).",
    ),
    option(
        Heading.OUTPUT,
        "--ignore",
        "ignored",
        type=RulePattern(),
        multiple=True,
        shown_default="none",
        help="Accept what a rule finds, everywhere or in some files: NK006 or 'NK006=legacy/*' (repeatable).",
    ),
    settings_option,
)


def judging_options(function: Decorated) -> Decorated:
    """Add what a configuration is judged by; it reaches the command as arguments for `JudgedBy.of`."""
    for each in reversed(_JUDGING):
        function = each(function)
    return function


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """What a configuration is judged by."""

    versions: Mapping[str, str]
    """The nginx versions, each with why it is judged."""
    root: Path | None
    extra_files: tuple[Path, ...]
    settings: CheckSettings

    @classmethod
    def of(cls, given: dict[str, Any], known: KnownDirectives | None = None) -> "JudgedBy":
        """Return what the options name; of two values for one upstream {} the last one counts."""
        idle_s, capacities = dict(given["backend_idle"]), dict(given["backend_max_connections"])
        settings = CheckSettings(
            workers=given["workers"],
            concurrency=given["concurrency"],
            backend_idle_s=idle_s.pop("", None),
            backend_max_connections=capacities.pop("", None),
            upstream_idle_s=idle_s,
            upstream_max_connections=capacities,
            front=given.get("front_idle"),
            ignored=tuple(given["ignored"]),
            known=known,
        )
        return cls(requested_versions(given["nginx_version"]), given["root"], given["extra_files"], settings)

    def warn_of_unknown(self, upstreams: Collection[str]) -> None:
        """Print which upstreams are given a value and are not there; names compare without case."""
        given = {*self.settings.upstream_idle_s, *self.settings.upstream_max_connections}
        for name in sorted(each for each in given if each.lower() not in upstreams):
            near = difflib.get_close_matches(name.lower(), upstreams, n=1)
            hint = f'; there is "{near[0]}"' if near else ""
            printing.echo_error(f'bench: no upstream {{}} is called "{name}", which is given a value{hint}')
