"""Ctrl-C while a command is being imported ends it with 130 and without a word, whatever is imported then.

An import that takes long is played by one that waits: the witness says that the process is there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.commands import interruption
from tests import bench_process

HOLD = """
import importlib.abc, sys, time

class Hold(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {held!r}:
            print("there", flush=True)
            {how}

sys.meta_path.insert(0, Hold())
from bench.__main__ import main
sys.argv = ["bench", *{arguments!r}]
main()
"""
WAITS = "time.sleep(600)"
DEAF = """
            class Last:
                def __del__(self):
                    time.sleep(600)  # what an import frees runs code of its own, where nothing can be raised
            Last()
            time.sleep(600)
"""


def interrupted(held: str, *arguments: str, how: str = WAITS) -> tuple[int, str]:
    """Interrupt a command while it imports `held`; return its exit code and what it said on stderr."""
    source = HOLD.format(held=held, arguments=arguments, how=how.strip())
    argv = [sys.executable, "-c", source]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, preexec_fn=bench_process.heed_interrupts, **pipes) as process:  # noqa: PLW1509
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGINT)
        return process.wait(60), process.communicate()[1]


COMMANDS = [
    *(name for name in cli.COMMANDS if name not in ("scenario", "cluster")),
    "scenario.run",
    "cluster.up",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_while_a_command_is_imported(command: str) -> None:
    module = f"bench.commands.{command.replace('.', '_')}"
    assert interrupted(module, *command.split("."), "--help") == (130, "")


@pytest.mark.parametrize("how", [WAITS, DEAF])
@pytest.mark.parametrize("held", ["bench.cli", "click", "bench.commands.run"])
def test_wherever_the_import_is(held: str, how: str) -> None:
    assert interrupted(held, "run", "--help", how=how) == (130, "")


@pytest.mark.parametrize("held", ["bench.cluster.up", "bench.cluster.local", "bench.lab.hosts", "psutil"])
def test_while_it_imports_what_it_needs(held: str) -> None:
    code, said = interrupted(held, "cluster", "up", "--local", "2")
    assert (code, said.strip()) == (130, "")


def test_who_ignores_it_has_it_ignored() -> None:
    source = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + HOLD.format(
        held="bench.cli", arguments=["--version"], how="import signal; signal.raise_signal(signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.count("there")) == (0, "", 1)


def test_what_a_program_handles_itself_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(*_: object) -> None: ...

    before = signal.signal(signal.SIGINT, handle)
    try:
        with interruption.ended_at_once():
            assert signal.getsignal(signal.SIGINT) is handle
    finally:
        signal.signal(signal.SIGINT, before)


def test_afterwards_it_raises_as_ever() -> None:
    with interruption.ended_at_once():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_where_it_cannot_be_raised_it_comes_again() -> None:
    code, said = interrupted("bench.cluster.up", "cluster", "up", "--local", "2", how=DEAF)
    assert (code, said.strip()) == (130, "")


def test_anything_else_that_cannot_be_raised_is_told() -> None:
    source = """
import sys
from bench.commands import interruption
sys.unraisablehook = interruption.deliver_again
class Freed:
    def __del__(self): 1 / 0
Freed()
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert "ZeroDivisionError" in done.stderr


def test_the_script_that_pip_makes_begins_there() -> None:
    text = Path(os.path.dirname(cli.__file__), os.pardir, "pyproject.toml").read_text()
    assert text.count('"bench.__main__:main"') == 2
