"""A file system that this process alone can reach: mounted nowhere, gone when its descriptor is closed.

The descriptor of fsmount(2) is the root of a mount that is part of no namespace's tree. So no list of mounts
shows it, and the kernel drops it with the last descriptor, also when the process is killed.
Sources: fsopen(2), fsconfig(2), fsmount(2); Linux 5.2 or newer.
"""

import ctypes
import os
from pathlib import Path

from bench.lab import syscalls

# include/uapi/asm-generic/unistd.h: since 424 the numbers are those of every architecture but Alpha.
_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 430, 431, 432
# include/uapi/linux/mount.h
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6
_MOUNT_ATTR_NOSUID_NODEV_NOEXEC = 2 | 4 | 8


def open_detached(file_system: str) -> int:
    """Return a descriptor of the root of a detached mount; OSError where the kernel has none or refuses.

    ENODEV: it does not know `file_system`. ENOSYS: it is too old. EPERM: CAP_SYS_ADMIN is missing.
    """
    context = _call(_SYS_FSOPEN, "fsopen", file_system.encode(), _FSOPEN_CLOEXEC)
    try:
        _call(_SYS_FSCONFIG, "fsconfig", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return _call(_SYS_FSMOUNT, "fsmount", context, _FSMOUNT_CLOEXEC, _MOUNT_ATTR_NOSUID_NODEV_NOEXEC)
    finally:
        os.close(context)


def path_of(descriptor: int) -> Path:
    """Return a path of this process that leads to what a descriptor refers to."""
    return Path(f"/proc/self/fd/{descriptor}")


def _call(number: int, name: str, *arguments: int | bytes | None) -> int:
    given = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    return syscalls.check(syscalls.libc.syscall(ctypes.c_long(number), *given), name)
