"""The lab's first process alone: when its pipe ends it ends its group and removes the folder, and no more."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.lab import supervisor

TIMEOUT_S = 60.0
INIT = Path(supervisor.__file__).with_name("init.py")


def test_what_the_roles_had_on_disk_goes_and_what_they_only_pointed_at_stays(tmp_path: Path) -> None:
    folder, outside = tmp_path / "scratch", tmp_path / "outside"
    (folder / "nginx-1" / "body" / "0").mkdir(parents=True)
    (folder / "nginx-1" / "body" / "0" / "file").write_text("x")
    outside.mkdir()
    (outside / "precious").write_text("x")
    (folder / "link").symlink_to(outside)
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    argv = [sys.executable, "-I", "-S", str(INIT), str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, process_group=0) as init:
        assert init.stdin is not None
        init.stdin.close()
        assert init.wait(TIMEOUT_S) == -9, "it ends with its group, and a child of it goes on"
        deadline_s = time.monotonic() + TIMEOUT_S
        while folder.exists() and time.monotonic() < deadline_s:
            """Until the child is done."""
    assert not folder.exists()
    assert (outside / "precious").exists()


NO_PROCESS_IS_LEFT = """
import errno, os, runpy, sys
def refuse():
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
os.fork = refuse
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def test_where_no_more_processes_are_allowed_it_ends_its_group_all_the_same(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", "-S", "-c", NO_PROCESS_IS_LEFT, str(INIT), str(tmp_path / "scratch")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0) as init:
        role = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, process_group=init.pid
        )
        with role:
            assert init.stdin is not None
            init.stdin.close()
            assert role.wait(TIMEOUT_S) == -9
        assert init.wait(TIMEOUT_S) == -9
        assert init.stderr is not None
        assert init.stderr.read() == b""
