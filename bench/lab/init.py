"""The process whose end takes every role along; run as a script of its own (`python -I -S init.py`).

Its standard input is a pipe that only `bench` holds open: however `bench` ends, `kill -9` included,
the kernel closes the pipe, and the read below returns.

- As the first process of a PID namespace it need only end: the kernel kills the rest of the
  namespace with it (pid_namespaces(7)).
- Without such a namespace it leads the process group that every role is born into, and kills that.

It imports nothing of the package, so that it starts within milliseconds.
"""

import os
import signal

if __name__ == "__main__":
    # An ignored SIGCHLD has the kernel reap orphans that come to us (POSIX, sigaction()).
    for ignored in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(0, 512):
        pass
    # Within a PID namespace SIGKILL does not reach its init, so that this line does no harm there.
    os.killpg(0, signal.SIGKILL)
