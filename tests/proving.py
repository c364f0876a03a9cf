"""`bench prove` in the tests: with each nginx that is here, as a command and as a function."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import bench_process
import needs
from bench.prove import runner
from bench.prove.proof import Outcome, Proof
from bench.prove.runner import Settings
from bench.subjects import programs
from bench.subjects.programs import Program
from prove.configurations import model


@cache
def here() -> dict[str, Program]:
    """Returns the nginx programs that are here, by version."""
    return {program.version: program for program in programs.found("nginx")}


needs_nginx = needs.program("nginx")


def proof(text: str, version: str, **settings: Any) -> Proof:
    """Proves a text on this machine's own addresses, which takes a fraction of a second."""
    return runner.prove(model(text), here()[version], Settings(lab="loopback", **settings))


def outcome(text: str, version: str, **settings: Any) -> Outcome:
    """Proves a text whose last location is what matters."""
    found = proof(text, version, **settings)
    assert found.refusal is None, found.refusal
    return found.outcomes[-1]


def command(*arguments: str | Path, code: int | None = 0) -> dict[str, Any]:
    """Runs `bench prove --json` and returns its answer; `code` None: whether it succeeds does not matter."""
    done = bench_process.run("prove", "--json", *arguments)
    assert done.returncode in ((0, 1) if code is None else (code,)), (done.stdout, done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
