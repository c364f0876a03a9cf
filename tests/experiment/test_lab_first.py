"""Each command takes the rights to its lab while its process has one thread: no more may enter one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs

WATCHED = """
import os, sys
from bench import cli, lab

def choose(name):
    threads = len(os.listdir("/proc/self/task"))
    print(f"threads: {threads}")
    sys.exit(threads != 1)

lab.choose = choose
sys.argv = ["bench", *sys.argv[1:]]
cli.main()
"""
CONFIGURATION = "server { listen 80; location / { proxy_pass http://127.0.0.1:9; } }\n"


@needs.on_linux
@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("ab", "mode=short", "mode=keepalive"),
        ("sweep", "--vary", "pool-idle=1,2"),
        ("search", "--require", "latency_ms.p99<20"),
        ("incident",),
        ("tour",),
        ("prove", "nginx.conf"),
        ("scenario", "run", "push"),
        ("scenario", "run", "plan.toml"),
    ],
    ids=" ".join,
)
def test_no_thread_runs_before_the_lab_is_chosen(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(CONFIGURATION)
    (tmp_path / "plan.toml").write_text('scenario = "stream"\n')
    argv = [sys.executable, "-c", WATCHED, *arguments]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "threads: 1\n"), done.stderr
