"""The options of the commands that read nginx configurations, and the installed nginx."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bench import units
from bench.commands.options import Count, Decorated, option
from bench.commands.settings_file import settings_option
from bench.errors import PlanError
from bench.plan.flags import Heading
from nginx import versions
from nginx.errors import NginxConfigError
from nginx.idle_times import BACKEND_IDLE_S, FRONTS, Front
from nginx.loading import sources
from nginx.rules import CheckSettings

STANDARD_INPUT = "standard input"
READING = "Configuration"


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


root_option = option(
    READING,
    "--root",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    shown_default="the file system's",
    help="Where the absolute paths of includes lie.",
)
extra_files_option = option(
    READING,
    "--with",
    "extra_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    shown_default="none",
    help="An include, or the main file, that lies elsewhere (repeatable).",
)
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
    settings_option,
)


def judging_options(function: Decorated) -> Decorated:
    """Add what `bench check` and `bench fix` judge a configuration by: nginx, its files, and the load."""
    for each in reversed(_JUDGING):
        function = each(function)
    return function


def check_settings(
    backend_idle: Sequence[tuple[str, float]],
    backend_max_connections: Sequence[tuple[str, int]],
    **others: Any,
) -> CheckSettings:
    """Return the settings that the options name; of two values for one upstream {} the last one counts."""
    idle_s, capacities = dict(backend_idle), dict(backend_max_connections)
    return CheckSettings(
        backend_idle_s=idle_s.pop("", None),
        backend_max_connections=capacities.pop("", None),
        upstream_idle_s=idle_s,
        upstream_max_connections=capacities,
        **others,
    )


def read_target(target: str, *, may_be_empty: bool = False) -> tuple[str, str | None]:
    """Return the name of a target and, for standard input, its text.

    NginxConfigError where the name is empty, as that of an unset shell variable, or nothing is to be read.
    """
    if not target:
        raise NginxConfigError('""', 0, "is no name; name a file, a folder, or - for standard input")
    if target != "-":
        return target, None
    if sys.stdin is None:  # it was closed
        raise NginxConfigError(STANDARD_INPUT, 0, "is closed; name a file")
    raw = sys.stdin.buffer.read(sources.LARGEST_BYTES + 1)
    if len(raw) > sources.LARGEST_BYTES:
        raise NginxConfigError(STANDARD_INPUT, 0, f"is larger than {sources.LARGEST_BYTES >> 20} MiB")
    text = sources.decode(raw, STANDARD_INPUT)
    if not text.strip().strip("\ufeff") and not may_be_empty:
        remedy = "run `nginx -T` as root, which prints nothing where it may not read a file"
        raise NginxConfigError(STANDARD_INPUT, 0, f"is empty; {remedy}")
    return STANDARD_INPUT, text


def requested_versions(given: str | None) -> dict[str, str]:
    """Return the versions that `--nginx-version` names, each with why it is judged.

    By default the installed nginx and the newest; without an installed one the oldest that is supported, so
    that a configuration passes only if it is right on each of them.
    """
    if given is None:
        given = f"{'oldest' if installed_version() is None else 'installed'},newest"
    found: dict[str, list[str]] = {}
    for word in given.split(","):
        version, why = _requested(word.strip())
        found.setdefault(version, []).append(why)
    return {version: ", ".join(reasons) for version, reasons in found.items()}


def _requested(word: str) -> tuple[str, str]:
    match word:
        case "oldest":
            return str(versions.OLDEST_SUPPORTED), "the oldest supported, Debian 12's"
        case "newest":
            return str(versions.NEWEST), "the newest known"
        case "installed":
            installed = installed_version()
            if installed is None:
                raise PlanError(
                    "--nginx-version installed: there is no nginx here; write oldest or a version"
                )
            return installed, "installed" + _newer_than_known(installed)
    return word, "given" + _newer_than_known(word)


def _newer_than_known(version: str) -> str:
    is_known = versions.parse(version).is_known
    return "" if is_known else f", judged as {versions.NEWEST}, the newest known"


def installed_version() -> str | None:
    """Return the version of the nginx in the path (or in /usr/sbin), or None if there is none."""
    program = installed_nginx()
    if program is None:
        return None
    try:
        done = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"nginx/([\d.]+)", done.stderr)
    return str(versions.parse(match[1])) if match else None


def installed_nginx() -> str | None:
    """Return the path of the installed nginx, or None if there is none."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/local/sbin:/usr/sbin")
