"""Tries whether an ordinary user may make the lab's namespaces; run as a script (`python -I -S probe.py`).

Ends with 0 where all works; else with 1 and one line that names the step and the error. It tries in
a process of its own, since nobody leaves a user namespace again.
"""

import ctypes
import os
import sys

_STEPS = (("user", 0x10000000), ("network", 0x40000000), ("PID", 0x20000000))


def _try() -> str | None:
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    maps = (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"))
    for name, flag in _STEPS:
        if libc.unshare(flag) != 0:
            return f"{name} namespace: {os.strerror(ctypes.get_errno())}"
        for file, text in maps if name == "user" else ():
            try:
                with open(f"/proc/self/{file}", "w", encoding="ascii") as handle:
                    handle.write(text)
            except OSError as error:
                return f"/proc/self/{file}: {error.strerror}"
    return None


if __name__ == "__main__":
    failure = _try()
    if failure is not None:
        sys.stdout.write(failure + "\n")
        sys.exit(1)
