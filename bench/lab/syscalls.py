"""The two system calls that move a thread between namespaces, and what the caller may do with them.

Python has `os.unshare` and `os.setns` from 3.12 on only, so that both go through ctypes here.
Sources: unshare(2), setns(2), capabilities(7), include/uapi/linux/sched.h.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_CAP_NET_ADMIN = 12
_CAP_SYS_ADMIN = 21

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces; OSError as unshare(2) tells it."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace of type `kind` behind `fd`; OSError as setns(2) tells it."""
    _check(_libc.setns(fd, kind), "setns")


def _check(result: int, name: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def may_make_namespaces() -> bool:
    """Return whether this process holds what network and PID namespaces need (as root does)."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    return bool(effective >> _CAP_NET_ADMIN & 1 and effective >> _CAP_SYS_ADMIN & 1)


def threads() -> int:
    """Return how many threads this process has now, those of C libraries included."""
    return len(os.listdir("/proc/self/task"))
