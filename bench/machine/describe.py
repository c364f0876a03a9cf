"""Describe the machine: the facts that a result needs to be comparable with another.

Reads files of the system; nothing here names the machine, its user or a path. What is missing on a
system is None.
"""

import os
import platform
import resource
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import __version__
from bench.machine.affinity import available_cores

SYSCTLS = (
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_max_syn_backlog",
    "net.core.somaxconn",
    "net.core.netdev_max_backlog",
    "net.netfilter.nf_conntrack_max",
)
_PACKAGES = ("uvloop", "httptools", "aiohttp")
SOFT_OPEN_FILES, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
"""The soft limit that this process was given: a run raises it, which makes no other machine of it."""


def describe() -> dict[str, Any]:
    """Return the machine as plain values, in the order in which the header of a run holds them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu_model": _cpu_model(),
        "cores": len(available_cores()),
        "memory_mib": _memory_mib(),
        "sysctls": {name: _sysctl(name) for name in SYSCTLS},
        "limits": {"open_files_soft": SOFT_OPEN_FILES, "open_files_hard": hard},
        "versions": _versions(),
        "git": _git(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu_model() -> str | None:
    for line in (read_text(Path("/proc/cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or None


def _memory_mib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2


def _sysctl(name: str) -> str | None:
    text = read_text(Path("/proc/sys") / name.replace(".", "/"))
    return None if text is None else " ".join(text.split())


def _versions() -> dict[str, str | None]:
    libc = " ".join(part for part in platform.libc_ver() if part)
    packages = {name: package_version(name) for name in _PACKAGES}
    return {"bench": __version__, "python": platform.python_version(), **packages, "libc": libc or None}


def package_version(name: str) -> str | None:
    """Return the version of an installed package; None where it is not here."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any]:
    """Return the commit that this code was checked out at; nothing of a checkout around an installed copy."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}
    commit = _output(["git", "-C", str(root), "rev-parse", "HEAD"])
    # Without optional locks it only looks: it would write its index anew, which a full disk cuts off.
    status = ["git", "--no-optional-locks", "-C", str(root), "status", "--porcelain", "--untracked-files=no"]
    # Runs that were made before are no change of what measures.
    changes = _output([*status, "--", ".", ":!results"])
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None  # no git, or a checkout of another user: the commit is unknown
    return done.stdout.strip()


def read_text(path: Path) -> str | None:
    """Return what a file of the system holds; None where it is absent, or not ours to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
