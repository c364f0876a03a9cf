"""Why there is no tracing, in a line that says what would change it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.watch.tracefs import refusal
from tests import needs

ROOT = Path(__file__).parents[2]

TRY = """
from bench.watch.tracefs import Tracefs, TracingError
try:
    Tracefs()
except TracingError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("number", "uid", "said"),
    [
        (errno.EACCES, 1000, "the kernel's tracing is for root only"),
        (errno.EPERM, 1000, "the kernel's tracing is for root only"),
        (errno.EPERM, 0, "the kernel refuses tracing also to root (lockdown, or a container)"),
        (errno.EROFS, 0, "tracefs is mounted read-only, as in a container; watch from its host"),
        (errno.ENODEV, 0, "this kernel has no tracefs, or one that is too old"),
        (errno.ENOSYS, 0, "this kernel has no tracefs, or one that is too old"),
        (errno.ENOMEM, 0, "tracefs: Cannot allocate memory"),
    ],
)
def test_each_refusal_has_its_reason(
    number: int, uid: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert str(refusal(OSError(number, os.strerror(number)))) == said


@needs.on_linux
def test_an_ordinary_user_is_told_that_it_needs_root() -> None:
    user: dict[str, Any] = (
        {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRY], cwd=ROOT, capture_output=True, text=True, check=False, **user
        )
    except (PermissionError, KeyError, LookupError):
        needs.skip("a Python for every user", "apt install python3-venv, make clean")
    assert "root only" in done.stdout or "no tracefs" in done.stdout, done.stderr
