"""The options of the commands that read nginx configurations, and the installed nginx."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from bench.commands.options import Count, Decorated, option
from bench.plan.flags import Heading
from nginx import check, versions
from nginx.errors import NginxConfigError
from nginx.loading import sources
from nginx.rules.sizing import BACKEND_IDLE_S

STANDARD_INPUT = "standard input"
READING = "Configuration"


class IdleTime(click.ParamType[float]):
    """Seconds, or the kind of a server whose usual timeout is known."""

    name = "SECONDS|KIND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds that `value` names."""
        if isinstance(value, str) and value.lower() in BACKEND_IDLE_S:
            return BACKEND_IDLE_S[value.lower()]
        try:
            idle_s = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither seconds nor one of {', '.join(BACKEND_IDLE_S)}", param, ctx)
        if not 0 < idle_s < float("inf"):
            self.fail(f"{value} is no time that a connection can idle; write seconds above 0", param, ctx)
        return idle_s


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
        shown_default="installed, newest known",
        help="The nginx versions to judge for.",
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
        type=IdleTime(),
        shown_default="unknown",
        help="Idle timeout of a server: seconds, or its kind, as node or puma.",
    ),
)


def judging_options(function: Decorated) -> Decorated:
    """Add what `bench check` and `bench fix` judge a configuration by: nginx, its files, and the load."""
    for each in reversed(_JUDGING):
        function = each(function)
    return function


def read_target(target: str) -> tuple[str, str | None]:
    """Return the name of a target and, for standard input, its text."""
    if target != "-":
        return target, None
    if sys.stdin is None:  # it was closed
        raise NginxConfigError(STANDARD_INPUT, 0, "is closed; name a file")
    raw = sys.stdin.buffer.read(sources.LARGEST_BYTES + 1)
    if len(raw) > sources.LARGEST_BYTES:
        raise NginxConfigError(STANDARD_INPUT, 0, f"is larger than {sources.LARGEST_BYTES >> 20} MiB")
    return STANDARD_INPUT, sources.decode(raw, STANDARD_INPUT)


def requested_versions(given: str | None) -> list[str]:
    """Return the versions that `--nginx-version` names, by default the installed one and the newest."""
    if given is not None:
        return [version.strip() for version in given.split(",")]
    installed = installed_version()
    return list(dict.fromkeys([*([installed] if installed else []), check.NEWEST]))


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
