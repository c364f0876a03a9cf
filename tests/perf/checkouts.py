"""Our own code as it was: another checkout of it, to be measured beside the code that runs this."""

from __future__ import annotations

import subprocess
from argparse import ArgumentTypeError
from functools import cache
from pathlib import Path

from tests.perf.stage import PYTHON


def path(text: str) -> Path:
    """Return the folder of a checkout, absolute."""
    folder = Path(text).resolve()
    for package in ("proxy", "bench"):
        if not (folder / package / "__main__.py").is_file():
            raise ArgumentTypeError(f"{text} is no checkout of this project: it has no {package}/__main__.py")
    return folder


def python(checkout: Path | None) -> list[str]:
    """Return the start of the command line that runs a module of `checkout`, or of the code at hand."""
    # `-m` looks where it is started first, before what PYTHONPATH and our environment name.
    return [PYTHON] if checkout is None else ["env", "-C", str(checkout), f"PYTHONPATH={checkout}", PYTHON]


def commit(checkout: Path) -> str:
    """Return the name of the commit of a checkout, shortened; its folder's where there is no git."""
    argv = ["git", "-C", str(checkout), "rev-parse", "--short=7", "HEAD"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    return said.stdout.strip() or checkout.name


@cache
def knows(word: str, checkout: Path | None = None) -> bool:
    """Return whether the help of a checkout's proxy has a word, such as a flag."""
    argv = [*python(checkout), "-m", "proxy", "--help"]
    return word in subprocess.run(argv, capture_output=True, text=True, check=True).stdout
