"""A scope: this host, a namespace, a process, a container; what is not there is said in one line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError, LabError, PlanError
from bench.observe.sock_diag import LISTEN, SockDiag, socket_rows
from bench.watch import containers, processes
from bench.watch import scope as scope_module
from bench.watch.attribution import Attribution
from bench.watch.columns import socket_columns
from bench.watch.processes import Family, family_of_pid, held_sockets
from bench.watch.scope import open_scope
from tests import needs

pytestmark = needs.on_linux

SLEEPER = "import sys; print('ready', flush=True); sys.stdin.read()"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.readline()
child.kill()
child.wait()
print("ended", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """Return a process which prints the number of its child, and ends that when it reads a line."""
    argv = [sys.executable, "-c", PARENT]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_this_host_is_this_namespace_and_all_of_its_processes() -> None:
    with open_scope() as scope:
        assert (scope.name, scope.pids, scope.refresh()) == ("this host", None, ())
        assert scope.netns_inode == os.stat("/proc/self/ns/net").st_ino
        assert scope.is_alone()
        assert scope.call(lambda: 7) == 7


def test_a_process_comes_with_its_children_as_they_are_now(
    parent: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_REFRESH_S", 0.0)
    assert parent.stdin is not None
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    with open_scope(pid=parent.pid) as scope:
        assert scope.name.startswith(f"process {parent.pid} (python")
        assert scope.pids == frozenset((parent.pid, child))
        assert not scope.is_alone()
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "ended\n"
        assert scope.refresh() == ()
        assert scope.pids == frozenset((parent.pid,))
        parent.kill()
        parent.wait()
        (note,) = scope.refresh()
        assert "no such process is left" in note
        assert scope.pids == frozenset()


def test_a_process_that_ended_and_was_not_waited_for_is_none(
    parent: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_REFRESH_S", 0.0)
    assert parent.stdin is not None
    parent.stdin.write("\n")
    parent.stdin.flush()
    family = family_of_pid(parent.pid)
    parent.kill()
    os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{parent.pid}").exists()
    family.refresh()
    assert parent.pid not in family.pids
    with pytest.raises(PlanError, match="there is no such process"):
        family_of_pid(parent.pid)


def test_a_child_without_its_parent_still_belongs_to_it(
    parent: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_REFRESH_S", 0.0)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    family = family_of_pid(parent.pid)
    assert child in family.pids
    started = processes._start_time(child)
    parent.kill()
    parent.wait()
    # Its stdin is at an end now, so that it may have ended itself: it belongs as long as it runs.
    family.refresh()
    assert family.pids <= {child}
    assert processes._start_time(child) in (started, None)


def test_processes_are_found_by_the_name_of_their_program(parent: subprocess.Popen[str]) -> None:
    name = Path(f"/proc/{parent.pid}/exe").resolve().name
    with open_scope(process=name) as scope:
        assert scope.pids is not None
        assert parent.pid in scope.pids
        assert os.getpid() not in scope.pids or processes.name_of(os.getpid()) != name


def test_a_number_that_was_given_anew_is_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_REFRESH_S", 0.0)
    family = Family("it", [os.getpid()])
    monkeypatch.setattr(processes, "_start_time", lambda pid: -1)
    assert family.refresh() == ("it: no such process is left; its sockets in TIME_WAIT still are",)


def test_sockets_that_we_hold_are_ours() -> None:
    with socket.socket() as ours:
        inode = os.fstat(ours.fileno()).st_ino
        held = held_sockets([os.getpid(), 2**22 + 1])
    assert inode in held.inode.tolist()
    assert held.names == (processes.name_of(os.getpid()),)
    assert held.unreadable == 0


# -- what is not there


@pytest.mark.parametrize(
    ("flags", "kind", "words"),
    [
        ({"netns": "no-such"}, PlanError, "--netns no-such: there is no such network namespace; `ip netns`"),
        ({"netns": "/no/such"}, PlanError, "--netns /no/such: there is no such network namespace; `lsns"),
        ({"pid": 2**22 + 1}, PlanError, f"--pid {2**22 + 1}: there is no such process"),
        ({"process": "no-such-name"}, PlanError, "--process no-such-name: no process has this name"),
        ({"container": "-x"}, PlanError, "--container -x: no container has such a name"),
        ({"netns": "a", "pid": 1}, PlanError, "--netns and --pid: a watch looks at one thing"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    flags: dict[str, str | int], kind: type[BenchError], words: str
) -> None:
    with pytest.raises(kind) as raised:
        open_scope(**flags)  # type: ignore[arg-type]
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


def test_a_file_is_no_namespace(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(BenchError, match=f"--netns {path}: ") as raised:
        open_scope(netns=str(path))
    assert "no network namespace" in str(raised.value) or "use sudo" in str(raised.value)


# -- containers, by runtimes that are scripts


def runtime(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder which is all that PATH names."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", list(containers.RUNTIMES))
def test_a_runtime_is_asked_for_the_process_of_a_container(
    path: Path, name: str, parent: subprocess.Popen[str]
) -> None:
    runtime(path, name, f'echo "$@" > "{path}/asked"; echo {parent.pid}')
    with open_scope(container="web") as scope:
        assert scope.name == "container web"
        assert scope.pids is not None
        assert parent.pid in scope.pids
    assert (path / "asked").read_text().split() == [*" ".join(containers.RUNTIMES[name]).split(), "web"]


NO_DAEMON = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        # So answer podman 4.3.1, of a container that was created or has ended, and docker 28.2.2.
        ("echo 0", "--container web: it does not run; start it first"),
        (
            "echo 'Error: inspecting object: no such container web' >&2; exit 125",
            "--container web: docker: Error: inspecting object: no such container web; give the name or id",
        ),
        (f"echo; echo '{NO_DAEMON}' >&2; exit 1", f"--container web: docker: {NO_DAEMON}; "),
        ("echo 'no such container: web' >&2; exit 1", "--container web: docker: no such container: web; "),
        ("exit 7", "--container web: docker: exit code 7; "),
    ],
)
def test_a_container_that_does_not_run_is_said_so(path: Path, script: str, words: str) -> None:
    runtime(path, "docker", script)
    with pytest.raises(PlanError) as raised:
        open_scope(container="web")
    assert str(raised.value).startswith(words)


def test_without_a_runtime_the_remedy_is_a_process(path: Path) -> None:
    with pytest.raises(LabError, match=r"none of docker, podman, crictl is here .* --pid NUMBER"):
        open_scope(container="web")


def test_the_second_runtime_may_know_what_the_first_does_not(
    path: Path, parent: subprocess.Popen[str]
) -> None:
    runtime(path, "docker", f"echo; echo '{NO_DAEMON}' >&2; exit 1")
    runtime(path, "podman", f"echo {parent.pid}")
    with open_scope(container="web") as scope:
        assert scope.pids is not None
        assert parent.pid in scope.pids


@pytest.mark.parametrize(
    ("group", "is_it"),
    [
        ("0::/system.slice/docker-0123456789abcdef.scope", True),
        ("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-0123456789abcdef.scope", True),
        ("4:memory:/docker/0123456789abcdef\n0::/", True),
        ("0::/system.slice/docker-0123456789ffffff.scope", False),
        ("0::/machine.slice/libpod-0123456789abcdef.scope/container", True),
        ("0::/machine.slice/libpod-conmon-0123456789abcdef.scope", False),
        ("0::/user.slice/0123456789abcdef/below", False),
    ],
)
def test_control_groups_are_named_after_containers(group: str, is_it: bool) -> None:
    assert bool(containers.in_group("0123456789ab").search(group)) == is_it


# -- an ordinary user


@needs.unless(not os.access("/proc/1/fd", os.R_OK), "an ordinary user", "run the tests as one")
def test_of_a_process_of_root_an_ordinary_user_sees_less_and_is_told_so() -> None:
    with open_scope(pid=1) as scope:
        assert scope.netns_inode == os.stat("/proc/self/ns/net").st_ino
        whose = Attribution(scope)
        whose.read_processes()
        (note,) = whose.notes
    assert "their open files may not be read" in note
    assert "root would tell them apart" in note


@needs.unless(os.geteuid() != 0, "an ordinary user", "run the tests as one")
def test_a_namespace_that_may_not_be_looked_at_is_not_said_to_be_missing() -> None:
    with pytest.raises(LabError, match=r"^--netns /proc/1/ns/net: this user may not look at it; use sudo$"):
        open_scope(netns="/proc/1/ns/net")


@needs.unless(os.geteuid() != 0, "an ordinary user", "run the tests as one")
def test_an_ordinary_user_enters_no_namespace_of_others() -> None:
    with pytest.raises(LabError, match=r"--netns x: only root may enter another network"):
        scope_module._enter(Path("/proc/self/ns/net"), 0, "--netns x")


def test_the_user_of_a_process_is_the_one_that_its_sockets_have() -> None:
    assert processes.users_of([os.getpid(), 2**22 + 1]) == {os.geteuid()}
    diag = SockDiag()
    with socket.create_server(("127.0.0.1", 0)) as ours:
        inode = os.fstat(ours.fileno()).st_ino
        rows = np.concatenate([each.copy() for each in diag.replies((LISTEN,), socket_rows)])
    diag.close()
    sockets = socket_columns(rows)
    assert sockets.user[sockets.inode == inode].tolist() == [os.geteuid()]


LATE_PARENT = f"import sys; sys.stdin.readline()\n{PARENT}"


def test_a_process_that_began_since_the_last_look_belongs_to_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    argv = [sys.executable, "-c", LATE_PARENT]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        family = family_of_pid(parent.pid)
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write("\n")
        parent.stdin.flush()
        child = int(parent.stdout.readline())
        assert (family.pids, family.has(child)) == (frozenset((parent.pid,)), True)
        assert not family.has(os.getpid())
        with scope_module.Scope("it", os.stat("/proc/self/ns/net").st_ino, family=family) as scope:
            here = [str(parent.pid), str(child), "self"]
            monkeypatch.setattr(os, "listdir", lambda _: here)
            assert scope.is_alone()
            here.append(str(os.getpid()))
            assert not scope.is_alone()
        parent.kill()


@pytest.mark.parametrize("flag", ["netns", "process", "container"])
def test_a_scope_without_a_name_is_refused(flag: str) -> None:
    with pytest.raises(PlanError, match=rf"^--{flag} '': it is empty; name what is to be watched"):
        open_scope(**{flag: ""})  # type: ignore[arg-type]
