"""The `bench` command in this process, from its arguments to its exit code."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench import cli


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left."""

    exit_code: int
    stdout: str
    stderr: str


def run(*arguments: str | Path, stdin: str | bytes = "") -> Done:
    """Run `bench` with these arguments; whatever this process is called, it is called `bench`."""
    typed = io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin)
    code: Any = 0
    with (
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
        patch.object(sys, "stdin", io.TextIOWrapper(typed, encoding="utf-8")),
        patch.object(sys, "argv", ["started-otherwise", *map(str, arguments)]),
    ):
        try:
            cli.main()
        except SystemExit as exited:
            code = exited.code or 0
    return Done(int(code), out.getvalue(), err.getvalue())
