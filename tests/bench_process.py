"""The `bench` command as a process of its own, as people run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.lab import syscalls

TIMEOUT_S = 280
"""Only a command that hangs takes so long."""
ARGV = (sys.executable, "-m", "bench")
UNDRAWN_ARGV = (
    sys.executable,
    "-c",
    "from bench import cli; from bench.commands import print_run; "
    "print_run.draw_run = lambda done: None; cli.main()",
)
"""The same but for the picture of a run, which takes a third of the time of a short one."""


def run(
    *arguments: str | Path, cwd: Path | None = None, program: tuple[str, ...] = ARGV
) -> subprocess.CompletedProcess[str]:
    """Run `bench` to its end."""
    argv = [*program, *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, cwd=cwd)


_PR_SET_PDEATHSIG = 1


@contextmanager
def started(*arguments: str | Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start `bench`; it is killed at the end of the block, if it still runs, or with the tests.

    It heeds Ctrl-C also where the tests themselves are a background job, which a shell has ignore SIGINT.
    """
    argv = [*ARGV, *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    env = {**os.environ, **environment}
    with subprocess.Popen(argv, env=env, preexec_fn=heed_interrupts, **pipes) as process:  # noqa: PLW1509
        try:
            yield process
        finally:
            process.kill()


def heed_interrupts() -> None:
    """Have a process that is being started heed Ctrl-C, and end with the tests."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        syscalls.libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def trials(
    *arguments: str | Path, root: Path, program: tuple[str, ...] = UNDRAWN_ARGV
) -> list[dict[str, Any]]:
    """Run `bench run --json` and return its trials, those of short first.

    Whether they are valid is the machine's affair too.
    """
    done = run("run", "--json", "-o", root, *arguments, program=program)
    assert done.returncode in (0, 1, 4), done.stderr
    assert "Traceback" not in done.stderr
    answer = json.loads(done.stdout)
    found: list[dict[str, Any]] = answer["trials"]
    return sorted(found, key=lambda trial: (trial["mode"] != "short", trial["trial"]))


def codes(trial: dict[str, Any]) -> set[str]:
    """Return the warnings about `trial`, but for those that a busy machine gives rise to."""
    return {warning["code"] for warning in trial["warnings"]} - {
        "generator-saturated",
        "lab",
        "machine-shared",
        "repeated",
        "warm-up-short",
        "never-steady",
    }


def scenario(name: str, *arguments: str | Path, root: Path) -> dict[str, Any]:
    """Run `bench scenario run --json` and return its answer, with the trials in the order of its plan.

    Whether they are valid is the machine's affair.
    """
    done = run("scenario", "run", name, "--json", "-o", root, *arguments, program=UNDRAWN_ARGV)
    assert done.returncode in (0, 1, 4), done.stderr
    assert "Traceback" not in done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    variants = answer["plan"]["variants"]
    answer["trials"].sort(key=lambda trial: (variants.index(trial["variant"]), trial["trial"]))
    return answer
