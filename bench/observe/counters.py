"""The kernel's TCP counters of a host, from /proc/net/{snmp,netstat,sockstat}.

The files are opened once, in the host's namespace, and read again and again by pread, wherever the
reader lives. `time_wait` is a gauge: the kernel counts FIN-WAIT-2 in its time-wait table with it
(net/ipv4/tcp_minisocks.c, tcp_time_wait), so that counts that are quoted come from sockets.py.
Names: RFC 4022 (TCP-MIB) for snmp, include/uapi/linux/snmp.h for netstat.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
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


def parse_pairs(text: str) -> dict[str, dict[str, int]]:
    """Return /proc/net/snmp or netstat as protocol -> name -> value: a line of names, then one of values."""
    lines = text.splitlines()
    tables = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        protocol, _, rest = names.partition(":")
        numbers = map(int, values.partition(":")[2].split())
        tables[protocol] = dict(zip(rest.split(), numbers, strict=True))
    return tables


def parse_sockstat(text: str) -> dict[str, dict[str, int]]:
    """Return /proc/net/sockstat as protocol -> name -> value: names and values in turn on one line."""
    tables = {}
    for line in text.splitlines():
        protocol, _, rest = line.partition(":")
        words = rest.split()
        tables[protocol] = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return tables


def parse(snmp: str, netstat: str, sockstat: str) -> Counters:
    """Return the counters that the texts of the three files hold."""
    tcp = parse_pairs(snmp[snmp.index("Tcp:") : snmp.index("Udp:")])["Tcp"]
    # A hundred counters, of which two matter: cut to the TcpExt pair before parsing.
    extended = parse_pairs("\n".join(netstat.split("\n", 2)[:2])).get("TcpExt", {})
    sockets = parse_sockstat(sockstat)["TCP"]
    return _counters(tcp, extended, sockets)


def _counters(tcp: Mapping[str, int], extended: Mapping[str, int], sockets: Mapping[str, int]) -> Counters:
    return Counters(
        active_opens=tcp["ActiveOpens"],
        passive_opens=tcp["PassiveOpens"],
        attempt_fails=tcp["AttemptFails"],
        established_resets=tcp["EstabResets"],
        resets_sent=tcp["OutRsts"],
        listen_overflows=extended["ListenOverflows"],
        listen_drops=extended["ListenDrops"],
        established=tcp["CurrEstab"],
        time_wait=sockets["tw"],
        orphans=sockets["orphan"],
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
