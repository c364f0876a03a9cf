"""System calls that move a thread between namespaces, and whether an ordinary user may use them.

Python has `os.unshare` and `os.setns` from 3.12 on only, so that both go through ctypes here. Run as a script
(`python -I -S syscalls.py`) it makes each namespace that the lab needs, in a process of its own, since no
process leaves a user namespace again; it ends with 0, or with 1 and a line that names the step and the error.
Sources: unshare(2), setns(2), capabilities(7), user_namespaces(7), include/uapi/linux/sched.h.
"""

import ctypes
import os
import struct
import sys

CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_CAP_NET_ADMIN = 12
_CAP_SYS_ADMIN = 21
_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 2, 4

libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces; OSError where the kernel refuses."""
    check(libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace of type `kind` behind `fd`; OSError where it cannot."""
    check(libc.setns(fd, kind), "setns")


def enter_user_namespace() -> None:
    """Move this process of one thread into a user namespace where its user and group keep their ids."""
    uid, gid = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER)
    # user_namespaces(7): without rights outside, setgroups must be denied before gid_map is written.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            error.filename = f"/proc/self/{name}"
            raise


def may_make_namespaces() -> bool:
    """Return whether this process holds what network and PID namespaces need (as root does)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        effective = int(file.read().partition("CapEff:")[2].split()[0], 16)
    return bool(effective >> _CAP_NET_ADMIN & 1 and effective >> _CAP_SYS_ADMIN & 1)


def keep_rights() -> None:
    """Have what the calling thread starts keep the rights to make namespaces, though its user is not root.

    They are raised in the ambient set (capabilities(7)), which execve() does not clear. OSError where the
    thread has not got them.
    """
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    held = ctypes.create_string_buffer(24)
    check(libc.capget(header, held), "capget")
    sets = list(
        struct.unpack("=6I", held.raw)
    )  # effective, permitted and inheritable of 32 rights, and again
    sets[2] |= 1 << _CAP_NET_ADMIN | 1 << _CAP_SYS_ADMIN
    check(libc.capset(header, struct.pack("=6I", *sets)), "capset")
    for right in (_CAP_NET_ADMIN, _CAP_SYS_ADMIN):
        check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, right, 0, 0), "prctl")


def pass_no_rights() -> None:
    """Have what the calling thread starts be an ordinary user's again; the thread keeps what it has."""
    check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "prctl")


def count_threads() -> int:
    """Return how many threads this process has now, those of C libraries included."""
    return len(os.listdir("/proc/self/task"))


def check(result: int, name: str) -> int:
    """Return the result of the system call `name`; OSError where it failed."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def _try_namespaces() -> str | None:
    """Make a namespace of each kind; return the step that failed with its error, or None."""
    steps = (
        ("user namespace", enter_user_namespace),
        ("network namespace", lambda: unshare(CLONE_NEWNET)),
        ("PID namespace", lambda: unshare(CLONE_NEWPID)),
    )
    for name, step in steps:
        try:
            step()
        except OSError as error:
            return f"{error.filename or name}: {os.strerror(error.errno or 0)}"
    return None


if __name__ == "__main__" and (failure := _try_namespaces()) is not None:
    sys.stdout.write(failure + "\n")
    sys.exit(1)
