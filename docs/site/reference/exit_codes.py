"""The page about exit codes, from the help of `bench` and the errors that end with each."""

from __future__ import annotations

import re

from bench import errors
from bench.cli import bench
from bench.errors import BenchError, ExitCode
from docs.site import markdown

_HEAD = """\
# Exit codes

All commands end with one of these. Errors are one line on stderr: the thing, the value, the remedy.

"""
_LINE = re.compile(r"^\s+(\d+)\s+(\S.*)$", flags=re.MULTILINE)


def build() -> str:
    """Return the page; LookupError where the help states other codes than there are."""
    stated = {int(code): text for code, text in _LINE.findall(bench.epilog or "")}
    if set(stated) != set(ExitCode):
        raise LookupError(f"the help of bench states {sorted(stated)}, ExitCode has {sorted(ExitCode)}")
    rows = [(str(int(code)), f"`{code.name}`", stated[code], _format_errors(code)) for code in ExitCode]
    return _HEAD + markdown.format_table(("code", "name", "meaning", "errors"), rows)


def _format_errors(code: ExitCode) -> str:
    kinds = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BenchError)
    ]
    return ", ".join(
        f"`{kind.__name__}`" for kind in kinds if kind.exit_code is code and kind is not BenchError
    )
