"""The kernel's TCP counters of a host, from /proc/net/{snmp,netstat,sockstat}.

The files are opened once, in the host's namespace, and read again and again by pread, wherever the
reader lives. `time_wait` is a gauge: the kernel counts FIN-WAIT-2 in its time-wait table with it
(net/ipv4/tcp_minisocks.c, tcp_time_wait), so that counts that are quoted come from sockets.py.
Names: RFC 4022 (TCP-MIB) for snmp, include/uapi/linux/snmp.h for netstat.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

_FILES = ("snmp", "netstat", "sockstat")
_READ_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class Counters:
    """One reading of a host. Opens, resets and listen counters only grow; the rest are gauges."""

    active_opens: int
    passive_opens: int
    attempt_fails: int
    established_resets: int
    """Connections that went from ESTABLISHED or CLOSE-WAIT to CLOSED at once."""
    resets_sent: int
    listen_overflows: int
    listen_drops: int
    established: int
    """In ESTABLISHED or CLOSE-WAIT now, IPv4 and IPv6."""
    time_wait: int
    orphans: int

    def since(self, base: Counters) -> Counters:
        """Return this reading with what only grows counted from `base`."""
        grown = {name: getattr(self, name) - getattr(base, name) for name in _GROWING}
        return dataclasses.replace(self, **grown)


_GROWING = (
    "active_opens",
    "passive_opens",
    "attempt_fails",
    "established_resets",
    "resets_sent",
    "listen_overflows",
    "listen_drops",
)

_TCP = ("ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets", "OutRsts", "CurrEstab")
_EXTENDED = ("ListenOverflows", "ListenDrops")


def pick(text: str, protocol: str, names: Sequence[str]) -> list[int]:
    """Return the values called `names` of `protocol` in /proc/net/snmp or netstat.

    There each protocol has a line of names and then one of values. ValueError where a name is missing.
    """
    start = 0 if text.startswith(protocol + ":") else text.index(f"\n{protocol}:") + 1
    known, values = (line.split() for line in text[start:].split("\n", 2)[:2])
    return [int(values[known.index(name)]) for name in names]


def pick_sockstat(text: str, names: Sequence[str]) -> list[int]:
    """Return the gauges called `names` of TCP in /proc/net/sockstat: names and values in turn on one line."""
    words = text[text.index("TCP:") :].split("\n", 1)[0].split()
    return [int(words[words.index(name) + 1]) for name in names]


def parse(snmp: str, netstat: str, sockstat: str) -> Counters:
    """Return the counters that the texts of the three files hold."""
    active, passive, fails, resets, sent, established = pick(snmp, "Tcp", _TCP)
    overflows, drops = pick(netstat, "TcpExt", _EXTENDED)
    time_wait, orphans = pick_sockstat(sockstat, ("tw", "orphan"))
    return Counters(
        active_opens=active,
        passive_opens=passive,
        attempt_fails=fails,
        established_resets=resets,
        resets_sent=sent,
        listen_overflows=overflows,
        listen_drops=drops,
        established=established,
        time_wait=time_wait,
        orphans=orphans,
    )


class CounterFiles:
    """The three files of the namespace in which this is made; OSError where the system has none."""

    def __init__(self) -> None:
        self._fds: list[int] = []
        for name in _FILES:
            self._fds.append(os.open(f"/proc/thread-self/net/{name}", os.O_RDONLY | os.O_CLOEXEC))

    def read(self) -> Counters:
        """Return the counters now; about a tenth of a millisecond."""
        snmp, netstat, sockstat = (os.pread(fd, _READ_BYTES, 0).decode("ascii") for fd in self._fds)
        return parse(snmp, netstat, sockstat)

    def close(self) -> None:
        """Close the files, which hold the namespace."""
        while self._fds:
            os.close(self._fds.pop())
