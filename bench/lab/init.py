"""The process that kills every role when `bench` ends; run as a script (`python -I -S init.py FOLDER`).

Its standard input is a pipe that only `bench` holds open: when `bench` closes the lab it closes the
pipe, and however it ends, `kill -9` included, the kernel does; then the read below returns.

- As the first process of a PID namespace it kills the rest of the namespace, and what is being started there
  ends with it (pid_namespaces(7)).
- Without such a namespace it leads the process group that every role joins, and kills that.

Then it removes FOLDER, where the roles may have files: no other process may be left to do it. It imports
nothing of the package, so that it starts within milliseconds.
"""

import os
import signal
import sys
import time
from collections.abc import Callable


def kill_all() -> None:
    """Kill every role; without a PID namespace that includes this process, and a child goes on."""
    if os.getpid() == 1:
        try:
            os.kill(-1, signal.SIGKILL)  # everything in the namespace but its init (kill(2))
        except ProcessLookupError:
            return  # there is none
        return
    group = os.getpgrp()
    try:
        is_child = os.fork() == 0
    except OSError:  # as many processes as are allowed: then the folder stays, and the next lab removes it
        os.killpg(group, signal.SIGKILL)
        return
    if is_child:
        os.setsid()
        os.killpg(group, signal.SIGKILL)
        return
    # As long as this process lives, no other group gets its number.
    while True:
        signal.pause()


def remove(folder: str) -> None:
    """Remove `folder`, for a second at the most: what was killed may still be writing into it."""
    for _ in range(100):
        # By hand: shutil takes longer to import than this takes, and there are two seconds for all.
        for place, folders, files in os.walk(folder, topdown=False):
            for name in files:
                attempt(os.unlink, os.path.join(place, name))
            for name in folders:
                attempt(os.rmdir, os.path.join(place, name))
                attempt(os.unlink, os.path.join(place, name))  # a link to a folder is listed among them
        attempt(os.rmdir, folder)
        if not os.path.lexists(folder):
            return
        time.sleep(0.01)


def attempt(remove: Callable[[str], None], path: str) -> None:
    """Call `remove` on `path`, which may be gone, or not empty any more: then there is another turn."""
    try:
        remove(path)
    except OSError:
        return


if __name__ == "__main__":
    # An ignored SIGCHLD has the kernel reap orphans that come to us (POSIX, sigaction()).
    for ignored in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(0, 512):
        pass
    kill_all()
    remove(sys.argv[1])
