"""Labs are opened in processes of their own: a user namespace wants a process with one thread. Fixtures."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import needs

ROOT = Path(__file__).parents[1]

Drive = Callable[..., Any]


def _user(name: str) -> dict[str, Any]:
    """Return the arguments of Popen that start a process as `name`; none: as ourselves."""
    if name == "ourselves":
        return {}
    if os.getuid() != 0:
        needs.skip("root", "it tries what an ordinary user sees as well")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        needs.skip(f"a user {name}", "adduser --system")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _can_open(user: dict[str, Any]) -> None:
    code = "from bench.lab import namespaces; print(namespaces.available() or '', end='')"
    asked = [sys.executable, "-c", code]
    try:
        found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False, **user)
    except PermissionError:
        needs.skip("a Python for every user", "apt install python3-venv, make clean")
    if found.returncode != 0:
        needs.skip("a checkout that every user can read", "chmod, or another folder")
    if found.stdout:
        needs.skip("namespaces")


@pytest.fixture(params=["ourselves", "nobody"], scope="session")
def user(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return how to start a process as a user who may open the namespaces lab."""
    started_as = _user(request.param)
    _can_open(started_as)
    return started_as


@pytest.fixture
def drive(user: dict[str, Any]) -> Drive:
    """Return a function that runs Python source as the user, and returns the JSON that it prints."""

    def run(source: str, *args: str) -> Any:
        asked = [sys.executable, "-W", "default", "-c", source, *args]
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False, **user)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr
        return json.loads(done.stdout)

    return run
