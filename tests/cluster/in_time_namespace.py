"""Run a command in a time namespace: `python in_time_namespace.py OFFSET_NS COMMAND...` (time_namespaces(7)).

Only children of the process that unshares are in the new namespace, so that this one waits for the command,
and passes on the signal that ends it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

CLONE_NEWTIME = 0x80
CLONE_NEWUSER = 0x10000000


def main(offset_ns: int, command: list[str]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWTIME) and libc.unshare(CLONE_NEWUSER | CLONE_NEWTIME):
        raise OSError(ctypes.get_errno(), "unshare")
    seconds, nanoseconds = divmod(offset_ns, 1_000_000_000)
    offsets = "".join(f"{clock} {seconds} {nanoseconds}\n" for clock in ("monotonic", "boottime"))
    Path("/proc/self/timens_offsets").write_text(offsets, encoding="ascii")
    child = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())
    return child.wait()


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), sys.argv[2:]))
