"""The options of the commands that read nginx configurations, and the installed nginx."""

import subprocess
import sys
from pathlib import Path

import click

from bench.commands.options import option
from bench.errors import MissingProgramError
from nginx import versions
from nginx.errors import NginxConfigError, VersionError
from nginx.loading import sources

STANDARD_INPUT = "standard input"
READING = "Configuration"


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
                raise MissingProgramError(
                    "--nginx-version installed: nginx is not here; write oldest or a version"
                )
            return installed, f"installed as {installed_nginx()}{_newer_than_known(installed)}"
    return str(versions.parse(word)), "given" + _newer_than_known(word)


def _newer_than_known(version: str) -> str:
    is_known = versions.parse(version).is_known
    return "" if is_known else f", judged as {versions.NEWEST}, the newest known"


def installed_version() -> str | None:
    """Return the version of the installed nginx, or None if there is none."""
    program = installed_nginx()
    if program is None:
        return None
    try:
        done = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    try:
        return str(versions.parse(done.stderr))
    except VersionError:
        return None  # of a relative of nginx, whose versions are its own


def installed_nginx() -> str | None:
    """Return the path of the installed nginx: the system's, else the wheel's; None if there is neither."""
    from bench.subjects import programs

    return programs.locate("nginx")
