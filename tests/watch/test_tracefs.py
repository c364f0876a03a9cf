"""An instance of tracing: found or mounted unseen, and nothing of it stays behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.watch import detached_mount, tracefs
from bench.watch.tracefs import Tracefs, TraceInstance, TracingError

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("may_trace")

HOLD = """
import sys
from bench.watch.tracefs import Tracefs, TraceInstance
from bench.watch.socket_events import SocketEvents
tracefs = Tracefs()
instance = TraceInstance(tracefs, 4096)
SocketEvents.of(tracefs).enable(instance)
print(instance.path.name, flush=True)
sys.stdin.read()
"""
UNMOUNTED = """
import os, subprocess
from bench.lab import syscalls
from bench.watch.tracefs import Tracefs, TraceInstance
syscalls.unshare(0x00020000)  # CLONE_NEWNS
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
while (mounted := [line.split()[1] for line in open("/proc/self/mounts") if line.split()[2] == "tracefs"]):
    subprocess.run(["umount", mounted[-1]], check=True)
tracefs = Tracefs()
instance = TraceInstance(tracefs, 4096)
print(instance.path.name, "tracefs" in open("/proc/self/mounts").read(), instance.path.is_dir())
name = instance.path
instance.close()
print(name.exists(), str(tracefs.root).startswith("/proc/self/fd/"))
tracefs.close()
"""


def names(root: Path) -> set[str]:
    return {path.name for path in (root / "instances").iterdir()}


def start(source: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", source], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def found() -> Tracefs:
    return Tracefs()


def test_an_instance_is_there_until_it_is_closed(found: Tracefs) -> None:
    instance = TraceInstance(found, 4096)
    name = instance.path.name
    assert name in names(found.root)
    instance.close()
    assert name not in names(found.root)
    instance.close()
    found.close()


def test_two_instances_of_one_process_are_apart(found: Tracefs) -> None:
    one, other = TraceInstance(found, 4096), TraceInstance(found, 4096)
    assert one.path != other.path
    one.close()
    assert other.path.is_dir()
    other.close()
    found.close()


def test_an_instance_goes_with_its_interpreter(found: Tracefs) -> None:
    with start(HOLD) as process:
        name = first_line(process)
        assert name in names(found.root)
        process.communicate("", timeout=60)
    assert process.returncode == 0
    assert name not in names(found.root)


def test_the_next_start_removes_what_a_killed_one_left(found: Tracefs) -> None:
    with start(HOLD) as process:
        name = first_line(process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    left = found.root / "instances" / name
    assert left.is_dir()
    # free_buffer: nothing is recorded any more, and no memory kept but a page or two.
    assert (left / "tracing_on").read_text().strip() == "0"
    assert int((left / "buffer_size_kb").read_text().split()[0]) <= 8
    TraceInstance(found, 4096).close()
    assert name not in names(found.root)


def test_what_a_living_process_has_is_left_alone(found: Tracefs) -> None:
    with start(HOLD) as process:
        name = first_line(process)
        assert name not in tracefs.remove_stale(found.root)
        assert name in names(found.root)
        process.communicate("", timeout=60)


def test_what_others_made_is_left_alone(found: Tracefs) -> None:
    other = found.root / "instances" / f"bench-watch-of-another-{os.getpid()}"
    other.mkdir()
    try:
        TraceInstance(found, 4096).close()
        assert other.is_dir()
    finally:
        other.rmdir()


@pytest.mark.usefixtures("may_mount")
def test_without_a_mount_it_is_mounted_where_nobody_sees_it(tmp_path: Path) -> None:
    nothing = tmp_path / "mounts"
    nothing.write_text("proc /proc proc rw 0 0\n")
    before = Path("/proc/self/mounts").read_text()
    found = Tracefs(nothing)
    assert found.root.parent == Path("/proc/self/fd")
    instance = TraceInstance(found, 4096)
    assert instance.path.is_dir()
    assert Path("/proc/self/mounts").read_text() == before
    instance.close()
    assert not instance.path.exists()
    found.close()
    assert not found.root.exists()


@pytest.mark.usefixtures("may_mount")
def test_it_traces_in_a_mount_namespace_that_has_no_tracefs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNMOUNTED], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    name, *said = done.stdout.split()
    assert said == ["False", "True", "False", "True"]
    assert name.startswith("bench-watch-")


def test_an_event_that_this_kernel_does_not_have_is_named(found: Tracefs) -> None:
    with pytest.raises(TracingError, match="this kernel has no event sock:no_such_event"):
        found.format("sock/no_such_event")
    instance = TraceInstance(found, 4096)
    with pytest.raises(TracingError, match="this kernel has no event sock:no_such_event"):
        instance.enable("sock/no_such_event", "a==1")
    instance.close()
    found.close()


@pytest.mark.usefixtures("may_mount")
def test_a_file_system_that_the_kernel_does_not_know_is_an_error() -> None:
    with pytest.raises(OSError, match="fsopen") as caught:
        detached_mount.open_detached("no such file system")
    assert caught.value.errno == errno.ENODEV
