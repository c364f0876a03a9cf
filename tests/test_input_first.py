"""Each command judges what it was given before it looks for programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_PROGRAMS = """
import shutil, sys
from bench import cli
from bench.subjects import programs

shutil.which = lambda *arguments, **options: None
programs.find_spec = lambda package: None
sys.argv = ["bench", *sys.argv[1:]]
cli.main()
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "/nowhere.conf"), "/nowhere.conf"),
        (("fix", "/nowhere.conf"), "/nowhere.conf"),
        (("prove", "/nowhere.conf"), "/nowhere.conf"),
        (("incident", "-d", "-1"), "-1"),
        (("run", "--subject", "nghttpx", "--mode", "short"), "has no way to close"),
        (("run", "--second-opinion", "wrk", "--target", "http://:80/"), "names no host"),
        (
            (
                "run",
                "--second-opinion",
                "wrk",
                "--subject",
                "nghttpx",
                "--mode",
                "keepalive",
                "--pool-max",
                "1",
            ),
            "bounds connections",
        ),
        (("scenario", "run", "migration", "--variant", "quic", "--subject", "nginx"), "no HTTP/3"),
        (("scenario", "run", "http2", "--subject", "nginx", "--set", "streams=[0]"), "streams"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_input_is_judged_first(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", WITHOUT_PROGRAMS, *arguments]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stderr, "not here" in done.stderr) == (2, True, False), done.stderr
