"""CPU and memory of a process tree: nothing that its members used is lost when they end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.observe import process_tree
from bench.observe.process_tree import Memory, ProcessTree
from tests import needs

PRELUDE = """
import os, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
def say(word):
    os.write(1, word.encode() + b"\\n")
def hear():
    os.read(0, 1)
"""


class Role:
    """A Python process that goes on by one step at each command."""

    def __init__(self, source: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PRELUDE + source],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def hear(self, word: str) -> None:
        """Wait until the role says `word`."""
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline().decode() == word + "\n"

    def go_on(self) -> None:
        """Let the role take its next step."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(b".")


@pytest.fixture
def roles() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(roles: ExitStack, source: str) -> Role:
    role = Role(source)
    roles.enter_context(role.popen)
    roles.callback(role.popen.kill)
    return role


def test_the_cpu_of_one_process_is_counted(roles: ExitStack) -> None:
    """Held against what the process says of itself; beyond that it only says so, and waits."""
    role = start(
        roles, "say(str(time.process_time())); hear(); burn(0.2); say(str(time.process_time())); hear()"
    )
    assert role.popen.stdout is not None
    own = float(role.popen.stdout.readline())
    tree = ProcessTree(role.popen.pid)
    assert own <= tree.cpu_s() < own + 0.1
    role.go_on()
    own = float(role.popen.stdout.readline())
    assert own <= tree.cpu_s() < own + 0.1


@pytest.mark.parametrize("waits", [True, False])
def test_a_child_that_ends_takes_nothing_along(roles: ExitStack, waits: bool) -> None:
    reap = "os.wait()" if waits else "pass"
    role = start(
        roles,
        f"""
if not {waits}:
    import signal
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
say("up"); hear()
if os.fork() == 0:
    burn(0.2); say("burnt"); hear()
    os._exit(0)
{reap}
children = f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children"
while open(children).read(): pass
say("reaped"); time.sleep(600)
""",
    )
    role.hear("up")
    tree = ProcessTree(role.popen.pid)
    role.go_on()
    role.hear("burnt")
    tree.refresh()
    alive = tree.cpu_s()
    assert len(tree.pids) == 2
    role.go_on()
    role.hear("reaped")
    tree.refresh()
    assert len(tree.pids) == 1
    assert tree.cpu_s() >= alive >= 0.2


def test_a_child_that_came_and_went_between_two_looks_is_counted(roles: ExitStack) -> None:
    role = start(
        roles,
        """
say("up"); hear()
if os.fork() == 0:
    burn(0.2)
    os._exit(0)
os.wait(); say("reaped"); hear()
""",
    )
    role.hear("up")
    tree = ProcessTree(role.popen.pid)
    before = tree.cpu_s()
    role.go_on()
    role.hear("reaped")
    tree.refresh()
    assert tree.cpu_s() - before >= 0.19  # the kernel tells of ended children in ticks of 10 ms


def test_what_a_tree_used_stays_when_all_of_it_has_ended(roles: ExitStack) -> None:
    role = start(roles, "burn(0.1); say('burnt'); hear()")
    role.hear("burnt")
    tree = ProcessTree(role.popen.pid)
    before = tree.cpu_s()
    role.popen.kill()
    role.popen.wait()
    tree.refresh()
    assert tree.pids == []
    assert tree.cpu_s() >= before >= 0.1
    assert tree.memory() == Memory(0.0, 0.0)


def test_a_tree_that_never_was_used_nothing(roles: ExitStack) -> None:
    role = start(roles, "")
    role.popen.wait()
    tree = ProcessTree(role.popen.pid)
    assert (tree.pids, tree.cpu_s(), tree.run_queue_wait_s()) == ([], 0, None)


def test_memory_is_that_of_the_whole_tree(roles: ExitStack) -> None:
    role = start(
        roles,
        """
if os.fork() == 0:
    kept = bytearray(os.urandom(40 << 20))
    say("kept"); hear()
else:
    os.wait()
""",
    )
    role.hear("kept")
    memory = ProcessTree(role.popen.pid).memory()
    assert memory.rss_mib > 40
    assert memory.uss_mib is not None
    assert 40 < memory.uss_mib <= memory.rss_mib
    assert memory.mib == memory.uss_mib


def test_memory_that_is_known_in_part_is_unknown() -> None:
    assert Memory(1.0, 1.0) + Memory(2.0, 1.5) == Memory(3.0, 2.5)
    assert (Memory(1.0, 1.0) + Memory(2.0, None)).uss_mib is None
    assert Memory(2.0, None).mib == 2.0


def test_each_core_has_its_idle_time() -> None:
    idle = process_tree.idle_s()
    assert list(idle) == list(range(len(idle)))
    assert all(seconds > 0 for seconds in idle.values())


@needs.on_linux
def test_the_wait_in_the_run_queue_only_grows(roles: ExitStack) -> None:
    role = start(roles, "say('up'); hear(); burn(0.1); say('burnt'); hear()")
    role.hear("up")
    tree = ProcessTree(role.popen.pid)
    before = tree.run_queue_wait_s()
    role.go_on()
    role.hear("burnt")
    after = tree.run_queue_wait_s()
    assert before is not None
    assert after is not None
    assert after >= before >= 0


def test_ksoftirqd_is_found_among_the_kernels_threads_alone() -> None:
    threads = [path for path in Path("/proc").glob("[0-9]*/comm") if _is_ksoftirqd(path)]
    seconds = process_tree.ksoftirqd_s()
    assert (seconds is None) == (not threads)
    if seconds is not None:
        assert process_tree.ksoftirqd_s() >= seconds > 0  # type: ignore[operator]


def _is_ksoftirqd(comm: Path) -> bool:
    try:
        return comm.read_text().startswith("ksoftirqd/")
    except OSError:
        return False
