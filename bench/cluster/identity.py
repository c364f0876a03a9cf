"""What code a process runs: roles of two versions would not measure the same."""

import hashlib
import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench import __version__
from bench.machine.describe import package_version

_PACKAGES = ("backends", "bench", "nginx", "proxy")


class Identity(NamedTuple):
    """The versions of what runs in one process."""

    bench: str
    sources: str
    """The first half of a SHA-256 over the names and contents of all source files."""
    python: str
    distributed: str | None

    def difference(self, other: "Identity") -> str:
        """Return in what `other` differs, in half a sentence; empty where it does not."""
        for name, ours, theirs in zip(self._fields, self, other, strict=True):
            if ours != theirs:
                what = "other sources of bench" if name == "sources" else f"{name} {theirs}"
                return f"{what}, and here it is {ours}"
        return ""


@cache
def identify() -> Identity:
    """Return the identity of this process."""
    python = ".".join(platform.python_version_tuple()[:2])
    return Identity(__version__, _digest(), python, package_version("distributed"))


def _digest() -> str:
    digest = hashlib.sha256()
    for package in _PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]
