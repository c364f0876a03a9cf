"""What ties the roles' lives to ours: when `bench` ends, however it ends, no role is left behind.

Two kinds, one interface. A PID namespace holds whatever a role starts, daemons too. A process group
(systems without namespaces) holds all but a role that leaves its group (`setsid`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.errors import LabError
from bench.lab import syscalls

_INIT = Path(__file__).with_name("init.py")


class Lifeline:
    """The process that ends when we do (lab/init.py), and the way for roles to be born under it.

    States: open, ended. `end()` kills every role; the starter must reap its own children before
    `reap()`, since the kernel keeps a namespace's init until its last zombie is gone.
    """

    def __init__(self, init: subprocess.Popen[bytes], namespace: int | None) -> None:
        self._init = init
        self._namespace = namespace

    def join(self) -> None:
        """Have all that the calling thread starts from now on live and die with this lifeline.

        The thread cannot start threads any more (clone(2): CLONE_THREAD), only processes.
        """
        if self._namespace is not None:
            syscalls.setns(self._namespace, syscalls.CLONE_NEWPID)

    def birth(self) -> dict[str, Any]:
        """Return the arguments of Popen that put a new process under this lifeline."""
        if self._namespace is not None:
            return {"start_new_session": True}
        return {"process_group": self._init.pid}

    @property
    def is_namespace(self) -> bool:
        """Return whether roles are held by a PID namespace (each then leads a session of its own)."""
        return self._namespace is not None

    def end(self) -> None:
        """Kill every role that is left; returns before they are gone."""
        assert self._init.stdin is not None
        self._init.stdin.close()
        if self._namespace is None:
            with contextlib.suppress(ProcessLookupError):  # somebody else may have ended them all
                os.killpg(self._init.pid, signal.SIGKILL)
        else:
            self._init.kill()
            os.close(self._namespace)

    def reap(self) -> None:
        """Wait until the last role is gone."""
        self._init.wait()


def pid_namespace() -> Lifeline:
    """Return a lifeline made of a new PID namespace; OSError where that is not allowed."""
    # unshare(CLONE_NEWPID) marks the thread for good, so that a thread of its own does it.
    with ThreadPoolExecutor(1, thread_name_prefix="pid-namespace") as thread:
        init = thread.submit(_start_in_namespace).result()
    try:
        return Lifeline(init, os.open(f"/proc/{init.pid}/ns/pid", os.O_RDONLY))
    except OSError as error:
        init.kill()
        init.communicate()
        raise LabError(f"lab: the first process of a PID namespace ended at once: {error}") from error


def process_group() -> Lifeline:
    """Return a lifeline made of a process group: what systems without namespaces offer."""
    return Lifeline(_start(process_group=0), None)


def _start_in_namespace() -> subprocess.Popen[bytes]:
    syscalls.unshare(syscalls.CLONE_NEWPID)
    return _start(start_new_session=True)


def _start(**birth: Any) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-S", str(_INIT)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd="/", **birth)
