"""Read the facts of a machine: limits, settings, programs, packages. Judges nothing, changes nothing."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.experiment.definition import Need
from bench.experiment.environments import Environment
from bench.lab import landlock, namespaces, sysctl
from bench.machine import cgroup
from bench.machine.affinity import available_cores
from bench.machine.describe import SOFT_OPEN_FILES, package_version, read_text
from bench.scenarios import catalogue
from bench.scenarios.client import browser
from bench.subjects import programs


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What was read of the machine; absent keys and None: this system does not expose it."""

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
    requirements: "Sequence[Requirement]" = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """What some variants of scenarios need."""

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
class OptionalProgram:
    """A program that some commands and flags need."""

    name: str
    purpose: str
    """The flags or the command that need it."""
    version_arguments: tuple[str, ...] = ()
    """The arguments that make it print its version; none where nothing does."""
    wheel: str = ""
    """The package from PyPI that brings it."""


PROGRAMS = (
    *(
        OptionalProgram(name, f"--subject {name}", (source.version_flag,), source.wheel or "")
        for name, source in programs.SOURCES.items()
    ),
    OptionalProgram("wrk", "--second-opinion wrk", ("-v",)),
    OptionalProgram("hey", "--second-opinion hey"),
    OptionalProgram("ab", "--second-opinion ab", ("-V",)),
    OptionalProgram("h2load", "--second-opinion h2load", ("--version",)),
    OptionalProgram("chromium", "--set browser=true in push and stream", ("--version",)),
)

_VERSION = re.compile(r"\d+\.\d+(\.\d+)*")


def parse_version(text: str) -> str:
    """Return the first number with a dot in the output of a program, or nothing."""
    found = _VERSION.search(text)
    return found.group() if found else ""


def read_facts() -> MachineFacts:
    """Read all that the checks need; some programs are started for their version."""
    return MachineFacts(
        platform=sys.platform,
        is_root=hasattr(os, "getuid") and os.getuid() == 0,
        namespaces_refused=namespaces.available(),
        landlock=landlock.abi_version(),
        file_limits=_file_limits(),
        cores=len(available_cores()),
        load_1min=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        sysctls={key: text for key in _SYSCTLS if (text := read_text(sysctl.path(key))) is not None},
        cgroup=cgroup.limits(),
        programs={program.name: _program(program) for program in PROGRAMS},
        packages={"python": platform.python_version(), **{name: package_version(name) for name in _PACKAGES}},
        requirements=_requirements(),
    )


def _requirements() -> tuple[Requirement, ...]:
    """Return what the variants of the scenarios need, each once, with all scenarios that need it."""
    needs = [
        (need, scenario.name)
        for scenario in map(catalogue.load, catalogue.NAMES)
        for variant in scenario.variants
        for need in variant.needs
    ]
    needs += [(browser.NEED, "--set browser=true")]
    users: dict[str, list[str]] = {}
    for need, name in needs:
        users.setdefault(need.label, []).append(name)
    unique = {need.label: need for need, _ in needs}
    return tuple(_requirement(need, ", ".join(dict.fromkeys(users[label]))) for label, need in unique.items())


def _requirement(need: Need | Environment, purpose: str) -> Requirement:
    name, _, pinned = need.label.partition("==")
    version = pinned or package_version(name) or ""
    return Requirement(name, version if need.is_met else None, purpose, need.remedy)


def _file_limits() -> tuple[int, int]:
    if sys.platform == "win32":
        return 512, 512
    import resource  # noqa: PLC0415 - not on every system

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 30
    return (most if SOFT_OPEN_FILES == resource.RLIM_INFINITY else SOFT_OPEN_FILES), (
        most if hard == resource.RLIM_INFINITY else hard
    )


def _program(program: OptionalProgram) -> str | None:
    """Return where a program is and its version, and that of its wheel; None where there is neither."""
    places = [os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
    path = shutil.which(program.name, path=os.pathsep.join(places))
    wheel_version = package_version(program.wheel) if program.wheel else None
    found = [] if path is None else [f"{_version(path, program.version_arguments)} ({path})".strip()]
    if wheel_version is not None:
        found.append(f"{wheel_version} (wheel {program.wheel})")
    return "; ".join(found) or None


def _version(path: str, arguments: tuple[str, ...]) -> str:
    if not arguments:
        return ""
    try:
        done = subprocess.run(
            [path, *arguments], capture_output=True, text=True, errors="replace", check=False, timeout=10
        )
    except subprocess.TimeoutExpired:
        return ""  # it is there, and that is what counts
    return parse_version(done.stdout + done.stderr)
