"""However `bench` ends, `kill -9` included, nothing is left: no process, no file, no namespace, so no veth.

A cage around the labs is the witness: a user namespace in which the kernel counts network
namespaces, so that as many as are allowed can be made again only when none is left over.
Zombies do not count as running: they wait for the system's own init, which alone may reap them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

DRIVER = """
import sys
from bench import lab
# Without enter() an ordinary user's roles on loopback hang together by a process group only.
if sys.argv[1] == "namespaces":
    lab.enter()
role = '''
import json, os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    if sys.argv[1] == "namespaces":
        os.setsid()
    signal.pause()
print(json.dumps({"event": "ready"}), flush=True)
at = 0
while True:
    # A role that writes until it dies: whoever removes its folder must outlast that.
    with open(os.path.join(sys.argv[2], str(at := (at + 1) % 100)), "w") as file:
        file.write("x")
    signal.sigtimedwait([], 0.001)
'''
for _ in range(2):
    print("opening", flush=True)
    with lab.open_lab(sys.argv[1]) as place:
        print("open", flush=True)
        argv = [sys.executable, "-I", "-S", "-c", role, sys.argv[1]]
        roles = [host.start([*argv, host.scratch(name)], name=name) for name, host in place.hosts.items()]
        print("started", flush=True)
        for role_ in roles:
            role_.wait_event("ready", 30)
        print("ready", flush=True)
        roles[0].kill()
        print("closing", flush=True)
    print("closed", flush=True)
"""

CAGE = """
import os, subprocess, sys, tempfile, threading, time, uuid
from pathlib import Path
import psutil
from bench.lab import syscalls

driver, lab, moments, marker = sys.argv[1], sys.argv[2], sys.argv[3].split(), f"BENCH_TEST={uuid.uuid4()}"
uid, gid = os.getuid(), os.getgid()
syscalls.unshare(syscalls.CLONE_NEWUSER)
for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
    Path("/proc/self", name).write_text(text)

def running():
    found = []
    for process in psutil.process_iter(["environ", "status"]):
        name, _, value = marker.partition("=")
        if (process.info["environ"] or {}).get(name) == value and process.info["status"] != "zombie":
            found.append(process.pid)
    return found

def at_last(holds):
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

def makes_a_namespace():
    def make():
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
        except OSError:
            return False
        return True
    if made := at_last(make):
        made_by.append(threading.current_thread())
    together.wait()

scratch = tempfile.mkdtemp()
name, _, value = marker.partition("=")
for moment in moments:
    word, _, lines = moment.partition(":")
    bench = subprocess.Popen([sys.executable, "-c", driver, lab], stdout=subprocess.PIPE, text=True,
                             env={**os.environ, name: value, "TMPDIR": scratch})
    for _ in range(int(lines or 1)):
        while (line := bench.stdout.readline().strip()) != word:
            assert line, f"the driver ended before it was {word}"
    bench.kill()
    bench.wait()
    bench.stdout.close()
    if not at_last(lambda: not running()):
        sys.exit(f"killed while {moment}: still running: {[psutil.Process(p).cmdline() for p in running()]}")
    if not at_last(lambda: not os.listdir(scratch)):
        sys.exit(f"killed while {moment}: still there: {os.listdir(scratch)}")
os.rmdir(scratch)

# What is left of the driver's own three counts too: three more only fit in when nothing is left.
Path("/proc/sys/user/max_net_namespaces").write_text("3")
made_by, together = [], threading.Barrier(3)
threads = [threading.Thread(target=makes_a_namespace) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if len(made_by) < 3:
    sys.exit(f"{3 - len(made_by)} network namespaces are left")
"""


def _kill(user: dict[str, Any], lab: str, moments: str) -> None:
    asked = [sys.executable, "-c", CAGE, DRIVER, lab, moments]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False, **user)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("lab", ["namespaces", "loopback"])
def test_a_kill_at_any_step_leaves_nothing(user: dict[str, Any], lab: str) -> None:
    _kill(user, lab, "opening open started ready closing closed opening:2")


@pytest.mark.long
@pytest.mark.timeout(600)  # 72 kills, and a machine may be busy
@pytest.mark.parametrize("lab", ["namespaces", "loopback"])
def test_many_kills_leave_nothing(user: dict[str, Any], lab: str) -> None:
    _kill(user, lab, "opening open started ready closing closed opening:2 ready:2 closing:2 " * 8)
