"""The kernel's counters and settings of a network namespace, as far as connections go.

All files are opened once, in the namespace, and read again and again by pread, whichever thread reads.
Names: RFC 4022 for /proc/net/snmp, include/uapi/linux/snmp.h for netstat; net/netfilter/
nf_conntrack_standalone.c. What a kernel does not have, or does not show to an ordinary user, is None.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from bench.observe.tcp_counters import find_columns, values
from bench.watch.model import HostFlow, HostState

T = TypeVar("T")

_READ_BYTES = 1 << 16
_SYSCTLS = {
    "port_range": "net/ipv4/ip_local_port_range",
    "reserved": "net/ipv4/ip_local_reserved_ports",
    "max_time_wait": "net/ipv4/tcp_max_tw_buckets",
    "reuse": "net/ipv4/tcp_tw_reuse",
    "conntrack": "net/netfilter/nf_conntrack_count",
    "max_conntrack": "net/netfilter/nf_conntrack_max",
}
_TCP = {
    "active_opens": b"ActiveOpens",
    "passive_opens": b"PassiveOpens",
    "attempt_fails": b"AttemptFails",
    "estab_resets": b"EstabResets",
    "out_resets": b"OutRsts",
}
_EXTENDED = {
    "listen_overflows": b"ListenOverflows",
    "listen_drops": b"ListenDrops",
    "time_wait_overflows": b"TCPTimeWaitOverflow",
    "time_wait_reused": b"TWRecycled",
    "aborts_on_data": b"TCPAbortOnData",
    "time_wait_came": b"TW",
}
_CONNTRACK_DROPS = ("drop", "early_drop")
"""Packets that found the table full, and connections that had to leave it for others."""


class Reading(NamedTuple):
    """One reading: what only grows, by its name in HostFlow, and what there is."""

    grown: Mapping[str, int]
    state: HostState

    @property
    def time_wait_came(self) -> int | None:
        """Return how many sockets came to TIME_WAIT since the namespace was made.

        The kernel counts them as they come, whatever their counter's name says (inet_twsk_schedule).
        """
        return self.grown.get("time_wait_came")

    def since(self, before: "Reading") -> HostFlow:
        """Return how the counters grew; a counter that both do not have is None."""
        grown = {
            name: max(0, now - before.grown[name])
            for name, now in self.grown.items()
            if name in before.grown and name != "time_wait_came"
        }
        return HostFlow(**grown)


class NamespaceCounters:
    """The counters of the namespace in which this is made. States: open, closed.

    OSError where the system has none of the three files that count.
    """

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}
        try:
            for name in ("snmp", "netstat", "sockstat"):
                self._fds[name] = _open(f"/proc/thread-self/net/{name}")
        except OSError:
            self.close()
            raise
        optional = {name: f"/proc/sys/{path}" for name, path in _SYSCTLS.items()}
        optional["conntrack_stat"] = "/proc/thread-self/net/stat/nf_conntrack"
        for name, path in optional.items():
            with contextlib.suppress(OSError):
                self._fds[name] = _open(path)

    def read(self) -> Reading:
        """Return the counters and settings now; a tenth of a millisecond."""
        netstat, sockstat = self._bytes("netstat"), self._bytes("sockstat")
        grown = {
            **_named(self._bytes("snmp"), b"Tcp", _TCP),
            **_named(netstat, b"TcpExt", _EXTENDED),
        }
        drops = self._parsed("conntrack_stat", conntrack_drops)
        if drops is not None:
            grown["conntrack_drops"] = drops
        sockets = _named(sockstat, b"TCP", {"time_wait": b"tw", "orphans": b"orphan"})
        low, high = self._parsed("port_range", _pair) or (32768, 60999)
        reserved = self._parsed("reserved", lambda text: reserved_ports(text, low, high))
        state = HostState(
            (low, high),
            reserved or 0,
            sockets.get("time_wait", 0),
            self._parsed("max_time_wait", int),
            orphans=sockets.get("orphans", 0),
            conntrack=self._parsed("conntrack", int),
            max_conntrack=self._parsed("max_conntrack", int),
            tw_reuse=self._parsed("reuse", int),
        )
        return Reading(grown, state)

    def close(self) -> None:
        """Close the files, which hold the namespace."""
        while self._fds:
            os.close(self._fds.popitem()[1])

    def _bytes(self, name: str) -> bytes:
        return os.pread(self._fds[name], _READ_BYTES, 0)

    def _parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Return what a file says; None where there is none, or where it can be read no more."""
        if name not in self._fds:
            return None
        try:
            return parse(self._bytes(name).decode("ascii"))
        except OSError:
            return None


def reserved_ports(text: str, low: int, high: int) -> int:
    """Return how many ports of low..high the kernel gives to nobody, as ip_local_reserved_ports says it."""
    reserved = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            reserved += max(0, min(high, int(last or first)) - max(low, int(first)) + 1)
    return reserved


def conntrack_drops(text: str) -> int | None:
    """Return the drops in /proc/net/stat/nf_conntrack: a line of hexadecimal numbers for each core."""
    head, *cores = [line.split() for line in text.splitlines()]
    columns = [head.index(name) for name in _CONNTRACK_DROPS if name in head]
    if not columns:
        return None
    return sum(int(core[column], 16) for core in cores for column in columns)


def _named(text: bytes, protocol: bytes, names: Mapping[str, bytes]) -> dict[str, int]:
    """Return those of `names` that this kernel has."""
    found = {}
    for name, word in names.items():
        with contextlib.suppress(ValueError):
            (found[name],) = values(text, protocol, find_columns(text, protocol, (word,)))
    return found


def _pair(text: str) -> tuple[int, int]:
    low, high = text.split()
    return int(low), int(high)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
