"""Landlock: the kernel restricts what a host's programs write and which TCP ports they use.

A second line behind whatever makes a program harmless; it needs no rights, and programs cannot leave it.
Sources: landlock(7), include/uapi/linux/landlock.h.
"""

import os
import struct
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from bench.lab.syscalls import check, libc

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

_WRITE_FILE = 1 << 1
# Removing and making of every kind (bits 4 to 12), linking and moving (13, ABI 2), truncating (14, ABI 3).
_MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
_SINCE = ((2, 1 << 13), (3, 1 << 14))
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
NETWORK_SINCE = 4
"""The version of the interface that first knows of ports."""


def abi_version() -> int:
    """Return the version of Landlock's interface that this kernel has, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)))


def restrict(folder: Path, binds: Iterable[int], connects: Iterable[int]) -> bool:
    """Restrict the calling thread, and what it starts, to writing below `folder` and to these TCP ports.

    Return whether the kernel does all of that; an old one may not know of ports, or of Landlock. Reading is
    not restricted. OSError where the kernel refuses.
    """
    version = abi_version()
    if version == 0:
        return False
    write_access = _WRITE_FILE | _MAKE_AND_REMOVE | sum(bit for since, bit in _SINCE if version >= since)
    network = _BIND_TCP | _CONNECT_TCP if version >= NETWORK_SINCE else 0
    attributes = struct.pack("=QQ", write_access, network)[: 16 if network else 8]
    with ExitStack() as stack:
        ruleset = _checked(libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
        stack.callback(os.close, ruleset)
        for path, access in ((folder, write_access), (Path(os.devnull), _WRITE_FILE)):
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
            stack.callback(os.close, opened)
            _add(ruleset, _PATH_BENEATH, struct.pack("=Qi", access, opened))
        for access, ports in ((_BIND_TCP, binds), (_CONNECT_TCP, connects)):
            for port in ports if network else ():
                _add(ruleset, _NET_PORT, struct.pack("=QQ", access, port))
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    return bool(network)


def _add(ruleset: int, kind: int, rule: bytes) -> None:
    _checked(libc.syscall(_ADD_RULE, ruleset, kind, rule, 0))


def _checked(result: int) -> int:
    return check(result, "landlock")
