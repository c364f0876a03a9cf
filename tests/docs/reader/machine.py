"""A machine of a reader: a shell with a network, files, programs and processes of its own.

It is made of namespaces (namespaces(7)), needs no root, and reaches nothing outside. All that was started in
it ends with it.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import needs

ROOT = Path(__file__).parents[3]
OTHERS = range(11, 15)
"""The last numbers of the addresses of other machines: 10.0.0.11 is in the network namespace m11."""
_EMPTY = ("/opt", "/run", "/srv", "/sys/kernel/tracing")
"""Folders of its own; without the kernel's events, which name no network namespace: others' would show."""
_SHELL = """
set -e
ip link set lo up
for folder in {empty}; do if [ -d "$folder" ]; then mount -t tmpfs none "$folder"; fi; done
ip link add eth0 type bridge
ip address add 10.0.0.1/24 dev eth0
ip link set eth0 up
for number in {others}; do
    ip netns add "m$number"
    ip link add "to$number" type veth peer name eth0 netns "m$number"
    ip link set "to$number" master eth0 up
    ip -n "m$number" address add "10.0.0.$number/24" dev eth0
    ip -n "m$number" link set eth0 up
    ip -n "m$number" link set lo up
done
for folder in /etc/nginx /var/log/nginx; do
    if [ -d "$folder" ]; then mount --bind "{folder}/$(basename $(dirname "$folder"))" "$folder"; fi
done
set +e -m
cd {folder}/home
while read -r step; do . "$step" < /dev/null; done
"""
"""Job control gives each command that goes on a process group of its own, and has it heed Ctrl-C."""
_LOOK_S = 0.02
_LOOK = b"TIME_WAIT"
"""What the first look of a watch shows."""


_UNSHARE = (
    *("setpriv", "--pdeathsig", "KILL"),  # all of it ends with the tests
    *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
_IN_USER_NAMESPACE = ("unshare", "--user", "sh", "-c", 'read -r mapped && exec "$@"', "sh")
"""Once the ids are mapped, what it executes has the rights of root over what is made in it, and no others."""


def need() -> None:
    """Skip the test that runs where no such machine can be made."""
    needs.need("bash", "ss")
    with running() as tried:
        if tried.run("true", 10.0).status != 0:
            needs.skip("namespaces")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left."""

    status: int | None
    """None: it never ended."""
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Going:
    """A command that goes on until it is ended."""

    number: int
    pid: int


class Machine:
    """A running machine; its shell takes one command after the other."""

    def __init__(self, folder: Path, shell: subprocess.Popen[bytes], answers: tuple[int, int]) -> None:
        self.home = folder / "home"
        """Where the commands are typed."""
        self._folder = folder
        self._shell = shell
        self._answers, self._answering = answers
        self._steps = 0

    def run(self, line: str, timeout_s: float) -> Outcome:
        """Run a command line to its end."""
        number = self._step(line, 'eval "$line" > {out} 2> {err}; echo "$?" >&{answering}')
        return self._outcome(number, self._answer(timeout_s))

    def show(self, line: str, key: bytes, timeout_s: float) -> Outcome:
        """Run a command line on a terminal, and press a key once it shows a look of a watch."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(ours, (40, 100))
        name = os.ttyname(theirs)
        try:
            terminal = f'TERM=xterm eval "$line" < {name} > {name} 2>&1'
            self._step(line, f'{terminal}; echo "$?" >&{{answering}}')
            shown = _read_until_look(ours, timeout_s)
            os.write(ours, key)
            status = self._answer(timeout_s, ours)
            return Outcome(status, shown.decode(errors="replace"), "")
        finally:
            os.close(ours)
            os.close(theirs)

    def start(self, line: str, is_ready: str, timeout_s: float = 60.0) -> Going:
        """Start a command line that goes on, and wait until the command `is_ready` ends with 0.

        It finds the files with what the line has printed in the variables `shown` and `told` (stderr).
        """
        number = self._step(line, 'eval "$line" > {out} 2> {err} & echo "$!" >&{answering}')
        pid = self._answer(timeout_s)
        assert pid is not None, line
        files = f"shown={self._file(number, 'out')}; told={self._file(number, 'err')}"
        waiting = f"{files}; until {is_ready}; do kill -0 {pid} || break; sleep {_LOOK_S}; done; {is_ready}"
        assert self.run(waiting, timeout_s).status == 0, f"{line}: {self._read(number, 'err')}"
        return Going(number, pid)

    def end(self, going: Going, timeout_s: float = 60.0) -> Outcome:
        """End a command that goes on, as Ctrl-C does."""
        self._step("", f'kill -INT -- -{going.pid}; wait {going.pid}; echo "$?" >&{{answering}}')
        return self._outcome(going.number, self._answer(timeout_s))

    def _step(self, line: str, how: str) -> int:
        """Have the shell do with a line what `how` says; what the line sets in the shell stays."""
        self._steps += 1
        number = self._steps
        typed, script = self._file(number, "line"), self._file(number, "sh")
        typed.write_text(line)
        filled = how.format(
            out=self._file(number, "out"), err=self._file(number, "err"), answering=self._answering
        )
        script.write_text(f"line=$(< {typed})\n{filled}\n")
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{script}\n".encode())
        self._shell.stdin.flush()
        return number

    def _answer(self, timeout_s: float, terminal: int | None = None) -> int | None:
        """Return the number that the shell answers; None where it takes too long. What is shown is read."""
        deadline_s, answer = time.monotonic() + timeout_s, b""
        watched = [self._answers] if terminal is None else [self._answers, terminal]
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select(watched, [], [], max(0.0, deadline_s - time.monotonic()))
            if not ready or self._shell.poll() is not None:
                return None
            if terminal in ready:
                os.read(watched[-1], 1 << 16)
            if self._answers in ready:
                answer += os.read(self._answers, 1)
        return int(answer)

    def _outcome(self, number: int, status: int | None) -> Outcome:
        return Outcome(status, self._read(number, "out"), self._read(number, "err"))

    def _read(self, number: int, kind: str) -> str:
        file = self._file(number, kind)
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def _file(self, number: int, kind: str) -> Path:
        return self._folder / "steps" / f"{number}.{kind}"


def _read_until_look(terminal: int, timeout_s: float) -> bytes:
    """Return what a terminal shows until there is a look, or for as long as that may take."""
    deadline_s, shown = time.monotonic() + timeout_s, b""
    while _LOOK not in shown and (left_s := deadline_s - time.monotonic()) > 0:
        ready, _, _ = select.select([terminal], [], [], left_s)
        shown += os.read(terminal, 1 << 16) if ready else b""
    return shown


@contextmanager
def running(*, has_others: bool = False) -> Iterator[Machine]:
    """Run a machine until the end of the block, with others in its network or none; its files are gone then.

    Its interface eth0 has 10.0.0.1.
    """
    # A short path: addresses of Unix sockets below it have a bound (unix(7)).
    with tempfile.TemporaryDirectory(prefix="reader-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for each in ("home", "steps", "tmp", "etc", "log", "user", "packages"):
            (folder / each).mkdir()
        reading, writing = os.pipe()
        others = " ".join(map(str, OTHERS)) if has_others else ""
        script = _SHELL.format(others=others, empty=" ".join(_EMPTY), folder=folder)
        with (folder / "shell.err").open("wb") as errors:
            shell = subprocess.Popen(
                [*_IN_USER_NAMESPACE, *_UNSHARE, "bash", "-c", script],
                env=_environment(folder),
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                pass_fds=[writing],
            )
        try:
            _map_ids(shell)
            yield Machine(folder, shell, (reading, writing))
        finally:
            shell.kill()
            shell.wait()
            assert shell.stdin is not None
            shell.stdin.close()
            os.close(reading)
            os.close(writing)


def _map_ids(shell: subprocess.Popen[bytes]) -> None:
    """Give the process in the new user namespace its ids: all of root's, or ours as those of root."""
    proc = Path(f"/proc/{shell.pid}")
    while shell.poll() is None and os.readlink(proc / "ns/user") == os.readlink("/proc/self/ns/user"):
        time.sleep(_LOOK_S)
    is_root = os.geteuid() == 0
    with contextlib.suppress(OSError):  # then its first command fails
        if not is_root:
            (proc / "setgroups").write_text("deny")
        for name, own in (("uid_map", os.geteuid()), ("gid_map", os.getegid())):
            (proc / name).write_text(f"0 0 {1 << 16}" if is_root else f"0 {own} 1")
        assert shell.stdin is not None
        shell.stdin.write(b"mapped\n")
        shell.stdin.flush()


def _environment(folder: Path) -> dict[str, str]:
    """Return the variables of the shell: `bench` is in PATH, and measures for a moment (quick/)."""
    programs = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
    return {
        "HOME": str(folder / "user"),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join(programs),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).with_name("quick")), str(folder / "packages")]),
        # There is no network: what pip installs finds its packages in the environment (typing_page.py).
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # an option that says no: 0 is yes
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
