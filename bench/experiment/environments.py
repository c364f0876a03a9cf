"""Virtual environments of real clients, whose pins would clash with ours, or which are larger than ours.

An environment is in the user's cache. The command `bench scenario install NAME` makes it once; no run makes
one by itself. Roles in it import our `bench` and `backends`, and nothing else of ours. Wheels
only, but for named packages of pure Python that come as source alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import PlanError, RoleError
from bench.lab import Host

_READY = "ready"
_INSTALL_TIMEOUT_S = 900.0
_OURS = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment and what is in it. States: missing, ready (the file `ready` is written last)."""

    name: str
    packages: tuple[str, ...]
    """What is installed, each with its version."""
    sources: tuple[str, ...] = ()
    """Packages without wheels, of pure Python, so that no compiler is needed."""

    @property
    def directory(self) -> Path:
        """Return where it is, or is to be: another list of packages, or another Python, has another place."""
        content = "\n".join((*self.packages, *self.sources, sys.version)).encode()
        return _cache() / f"{self.name}-{hashlib.sha256(content).hexdigest()[:12]}"

    @property
    def python(self) -> str:
        """Return its interpreter."""
        return str(self.directory / "bin" / "python")

    @property
    def is_met(self) -> bool:
        """Return whether it is ready."""
        return (self.directory / _READY).is_file()

    @property
    def label(self) -> str:
        """Return what it is, as it is named where it is missing."""
        return self.packages[0]

    @property
    def remedy(self) -> str:
        """Return the one command that makes it."""
        return f"bench scenario install {self.name}"

    def install(self, report: Callable[[str], None]) -> Path:
        """Make it, unless it is ready, and return where it is; RoleError where pip cannot."""
        if self.is_met:
            report(f"{self.name} is installed in {self.directory}")
            return self.directory
        report(f"installing {', '.join(self.packages)} into {self.directory}")
        if self.sources:
            report(f"wheels only, but for these of pure Python, which have none: {', '.join(self.sources)}")
        shutil.rmtree(self.directory, ignore_errors=True)  # what an interrupted try left
        venv.create(self.directory, with_pip=True)
        self._pip()
        (self.directory / _READY).touch()
        return self.directory

    def _pip(self) -> None:
        only = ["--only-binary", ":all:", *(["--no-binary", ",".join(self.sources)] if self.sources else [])]
        argv = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *only]
        try:
            done = subprocess.run(
                [*argv, *self.packages],
                capture_output=True,
                text=True,
                check=False,
                timeout=_INSTALL_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise RoleError("pip", f"did not install {self.name} within {_INSTALL_TIMEOUT_S:g} s") from error
        if done.returncode != 0:
            last = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise RoleError("pip", f"cannot install {self.name}", last[-1] if last else done.stderr[-200:])

    def inhabit(self, host: Host) -> dict[str, str]:
        """Return the variables of a role in it: a home that goes with the lab, and two packages of ours."""
        home = host.scratch(self.name)
        for package in ("bench", "backends"):
            (home / package).symlink_to(_OURS / package)
        return {
            **os.environ,
            "HOME": str(home),
            "PYTHONPATH": str(home),
            "PYTHONSAFEPATH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def _cache() -> Path:
    """Return our folder in the user's cache (XDG Base Directory Specification)."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "keepalive-bench"


_UVLOOP = "uvloop==0.23.0"
_NACOS_SOURCES = (
    "alibabacloud-darabonba-array",
    "alibabacloud-darabonba-map",
    "alibabacloud-darabonba-signature-util",
    "alibabacloud-darabonba-string",
    "alibabacloud-endpoint-util",
    "alibabacloud-tea-xml",
)
NACOS = Environment("nacos", ("nacos-sdk-python==2.0.11", _UVLOOP), _NACOS_SOURCES)
ROCKETMQ = Environment("rocketmq", ("rocketmq-python-client==5.1.2", _UVLOOP))
DUBBO = Environment("dubbo", ("apache-dubbo==3.0.0b1", _UVLOOP), ("apache-dubbo",))
EVERY = (NACOS, ROCKETMQ, DUBBO)


def find(name: str) -> Environment:
    """Return the environment called `name`; PlanError where there is none."""
    for each in EVERY:
        if each.name == name:
            return each
    raise PlanError(f"environment {name!r} is not one of {', '.join(each.name for each in EVERY)}")
