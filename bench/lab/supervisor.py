"""The supervisor of a lab's roles: when `bench` ends, however it ends, no role and no file is left behind.

Two kinds, one interface. A PID namespace holds whatever a role starts, daemons too. A process group
(systems without namespaces) holds all but a role that leaves its group (`setsid`).
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import LabError
from bench.lab import syscalls
from bench.lab.scratch_folder import ScratchFolder, new_path

_INIT = Path(__file__).with_name("init.py")


_REMEDY = "set TMPDIR to one that is yours and has room"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write files to `folder`, which `scratch()` returned, for a block; LabError where the system refuses."""
    try:
        yield
    except OSError as error:
        raise LabError(f"lab: no file can be written to {folder}: {error.strerror}; {_REMEDY}") from error


class Supervisor:
    """The process that kills every role when `bench` ends (lab/init.py), and how roles start under it.

    States: open, ended. `end()` kills every role; the starter must reap its own children before
    `reap()`, since the kernel keeps a namespace's init until its last zombie is gone.
    """

    def __init__(self, init: subprocess.Popen[bytes], folder: Path, namespace: int | None) -> None:
        self._init = init
        self._folder = ScratchFolder(folder)
        self._namespace = namespace

    def join(self) -> None:
        """Put all that the calling thread starts from now on under this supervisor.

        The thread cannot start threads any more (clone(2): CLONE_THREAD), only processes.
        """
        if self._namespace is not None:
            syscalls.setns(self._namespace, syscalls.CLONE_NEWPID)

    def popen_arguments(self) -> dict[str, Any]:
        """Return the arguments of Popen that put a new process under this supervisor."""
        if self._namespace is not None:
            return {"start_new_session": True}
        return {"process_group": self._init.pid}

    @property
    def is_namespace(self) -> bool:
        """Return whether roles are held by a PID namespace (each then leads a session of its own)."""
        return self._namespace is not None

    def scratch(self, name: str) -> Path:
        """Return a new, empty folder for the files of a role called `name`; `reap()` removes it."""
        try:
            return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder.make()))
        except OSError as error:
            raise LabError(
                f"lab: no folder can be made in {self._folder.path.parent}: {error.strerror}; {_REMEDY}"
            ) from error

    def end(self) -> None:
        """Have every role that is left killed; return before they are gone."""
        assert self._init.stdin is not None
        if self._namespace is not None:
            os.close(self._namespace)
        self._init.stdin.close()

    def reap(self) -> None:
        """Wait until the last role is gone, and remove what the roles had on disk."""
        self._init.wait()
        # The init does it too, in case we are killed at this very moment.
        self._folder.remove()


def strongest() -> Supervisor:
    """Return a supervisor made of a PID namespace where those are allowed, else of a process group."""
    if sys.platform == "linux" and syscalls.may_make_namespaces():
        return pid_namespace()
    return process_group()


def pid_namespace() -> Supervisor:
    """Return a supervisor made of a new PID namespace; OSError where that is not allowed."""
    # unshare(CLONE_NEWPID) marks the thread for good, so that a thread of its own does it.
    folder = new_path()
    with ThreadPoolExecutor(1, thread_name_prefix="pid-namespace") as thread:
        init = thread.submit(_start_in_namespace, folder).result()
    try:
        return Supervisor(init, folder, os.open(f"/proc/{init.pid}/ns/pid", os.O_RDONLY))
    except OSError as error:
        init.kill()
        init.communicate()
        raise LabError(f"lab: the first process of a PID namespace ended at once: {error}") from error


def process_group() -> Supervisor:
    """Return a supervisor made of a process group: what systems without namespaces offer."""
    folder = new_path()
    return Supervisor(_start(folder, process_group=0), folder, None)


def _start_in_namespace(folder: Path) -> subprocess.Popen[bytes]:
    syscalls.unshare(syscalls.CLONE_NEWPID)
    return _start(folder, start_new_session=True)


def _start(folder: Path, **arguments: Any) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-S", str(_INIT), str(folder.absolute())]
    try:
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd="/", **arguments)
    except OSError as error:
        raise LabError(
            f"lab: its first process cannot be started: {error.strerror}; `ulimit -a` shows the limits, raise"
            " those of open files (-n) and processes (-u)"
        ) from error
