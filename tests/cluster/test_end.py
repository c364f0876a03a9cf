"""However `bench cluster up` ends, `kill -9` included, nothing is left: no process, no file, no namespace.

A cage around it is the witness: a user namespace in which the kernel allows as many network namespaces as one
cluster needs, so that the next one starts only when none is left over.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.cluster import clusters

CAGE = """
import os, signal, subprocess, sys, tempfile, time, uuid
from pathlib import Path
import psutil
from bench.lab import syscalls

moments, marker, uid = sys.argv[1].split(), str(uuid.uuid4()), os.getuid()
syscalls.enter_user_namespace()
# Two hosts, the scheduler, and what is between them; an ordinary user tries first whether he may make one.
Path("/proc/sys/user/max_net_namespaces").write_text("4" if uid == 0 else "5")
scratch = tempfile.mkdtemp()
environment = {**os.environ, "BENCH_TEST": marker, "TMPDIR": scratch, "XDG_STATE_HOME": scratch + "/state"}
argv = [sys.executable, "-m", "bench", "cluster", "up", "--local", "2"]

def running():
    found = []
    for process in psutil.process_iter(["environ", "status"]):
        if (process.info["environ"] or {}).get("BENCH_TEST") == marker and process.info["status"] != "zombie":
            found.append(process)
    return found

def at_last(holds):
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

def start():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(argv, env=environment, **pipes)

def wait_until(up, moment):
    if moment == "ready":
        line = up.stdout.readline()
        return line == scratch + "/state/keepalive-bench/cluster/cluster.json\\n"
    # So many processes of it.
    return at_last(lambda: len(running()) >= int(moment) or up.poll() is not None) and up.poll() is None

for each in moments:
    moment, _, number = each.partition(":")
    while True:
        up = start()
        reached = wait_until(up, moment)
        up.send_signal(int(number))
        message = up.communicate()[1]
        # The kernel removes a namespace some time after its last process.
        if "No space left on device" not in message:
            break
    if not reached:
        sys.exit(f"{each}: not reached: {message}")
    if not at_last(lambda: not running()):
        sys.exit(f"{each}: still running: {[process.cmdline() for process in running()]}")
    left = [path for path in Path(scratch).rglob("*") if path.is_file() and path.name != "cluster.json"]
    if left or (number != "9" and list(Path(scratch).rglob("*.json"))):
        sys.exit(f"{each}: still there: {left}")
    if number != "9" and up.returncode != (0 if moment == "ready" else 130):
        sys.exit(f"{each}: ended with {up.returncode}: {message}")
subprocess.run(["rm", "-r", scratch], check=True)
"""


def find_left(user: dict[str, Any], moments: str) -> str:
    """Return what is still there after the cluster has ended at each of the moments; empty: nothing."""
    clusters.need()
    asked = [sys.executable, "-c", CAGE, moments]
    done = subprocess.run(asked, cwd=clusters.ROOT, capture_output=True, text=True, check=False, **user)
    return done.stderr if done.returncode else ""


def test_a_kill_leaves_nothing(user: dict[str, Any]) -> None:
    assert find_left(user, "ready:9") == ""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_end_at_any_step_leaves_nothing(user: dict[str, Any]) -> None:
    moments = "ready:15 1:9 2:9 3:9 4:9 5:9 ready:9 2:2 3:15 4:15 4:1 5:2 ready:1 ready:2 " * 2
    assert find_left(user, moments) == ""
