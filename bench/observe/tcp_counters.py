"""The kernel's TCP counters of a host, from /proc/net/{snmp,netstat,sockstat}.

The files are opened once, in the host's namespace, and read again and again by pread, wherever the
reader lives. `time_wait` is a gauge: the kernel counts FIN-WAIT-2 in its time-wait table with it
(net/ipv4/tcp_minisocks.c, tcp_time_wait), so that reported counts come from sock_diag.py.
Names: RFC 4022 (TCP-MIB) for snmp, include/uapi/linux/snmp.h for netstat.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

_FILES = ("snmp", "netstat", "sockstat")
_READ_BYTES = 1 << 14


class Counters(NamedTuple):
    """One reading of a host: first the four counters, which only grow, then the gauges."""

    active_opens: int = 0
    passive_opens: int = 0
    resets: int = 0
    """Connections that went from ESTABLISHED or CLOSE-WAIT to CLOSED at once."""
    listen_overflows: int = 0
    established: int = 0
    """In ESTABLISHED or CLOSE-WAIT now, IPv4 and IPv6."""
    time_wait: int = 0

    @property
    def connected(self) -> int:
        """Return the sockets with a peer, but for those that are being opened or closed right now."""
        return self.time_wait + self.established

    def since(self, base: "Counters") -> "Counters":
        """Return this reading with its counters counted from `base`."""
        grown = (now - then for now, then in zip(self[:4], base[:4], strict=True))
        return Counters._make([*grown, *self[4:]])


_TCP = (b"ActiveOpens", b"PassiveOpens", b"EstabResets", b"CurrEstab")
_EXTENDED = (b"ListenOverflows",)
_SOCKETS = (b"tw",)


def find_columns(text: bytes, protocol: bytes, names: Sequence[bytes]) -> list[int]:
    """Return the columns of the values called `names` on the line of `protocol`.

    In /proc/net/snmp and netstat the line before the values names them; in sockstat each name stands
    before its value. ValueError where one is missing.
    """
    lines = [line.split() for line in text.splitlines() if line.startswith(protocol + b":")]
    shift = 2 - len(lines)
    return [lines[0].index(name) + shift for name in names]


def values(text: bytes, protocol: bytes, columns: Sequence[int]) -> list[int]:
    """Return the numbers in `columns` of the last line of `protocol`."""
    start = text.rfind(b"\n" + protocol + b":") + 1
    words = text[start : text.index(b"\n", start)].split()
    return [int(words[column]) for column in columns]


class CounterFiles:
    """The three files of the namespace in which this is made; OSError where the system has none.

    States: open, closed. A reading costs a tenth of a millisecond, as much again with `netstat`.
    """

    def __init__(self) -> None:
        self._fds = [os.open(f"/proc/thread-self/net/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in _FILES]
        snmp, netstat, sockstat = (_read(fd) for fd in self._fds)
        # The kernel never reorders a running system's columns.
        self._tcp = find_columns(snmp, b"Tcp", _TCP)
        self._extended = find_columns(netstat, b"TcpExt", _EXTENDED)
        self._sockets = find_columns(sockstat, b"TCP", _SOCKETS)

    def read(self, last: Counters | None = None) -> Counters:
        """Return the counters now; with `last` its listen overflows are kept, which halves the cost."""
        snmp, netstat, sockstat = self._fds
        active, passive, resets, established = values(_read(snmp), b"Tcp", self._tcp)
        (time_wait,) = values(_read(sockstat), b"TCP", self._sockets)
        if last is None:
            (overflows,) = values(_read(netstat), b"TcpExt", self._extended)
        else:
            overflows = last.listen_overflows
        return Counters(active, passive, resets, overflows, established, time_wait)

    def close(self) -> None:
        """Close the files, which hold the namespace."""
        while self._fds:
            os.close(self._fds.pop())


def _read(fd: int) -> bytes:
    return os.pread(fd, _READ_BYTES, 0)
