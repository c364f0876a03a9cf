"""The kernel's counters: read from texts of several kernels, and from this one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.observe.tcp_counters import CounterFiles, Counters, find_columns, values

SNMP = b"""Ip: Forwarding DefaultTTL
Ip: 2 64
Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens CurrEstab OutRsts
Tcp: 1 -1 7270 7239 12 3930
Udp: InDatagrams NoPorts
Udp: 63 0
UdpLite: InDatagrams NoPorts
UdpLite: 0 0
"""
NETSTAT = b"""TcpExt: SyncookiesSent TW ListenOverflows ListenDrops
TcpExt: 0 4 5 6
IpExt: InNoRoutes
IpExt: 0
"""
SOCKSTAT = b"""sockets: used 16
TCP: inuse 2 orphan 1 tw 28000 alloc 2 mem 196
UDP: inuse 0 mem 0
"""


@pytest.mark.parametrize(
    ("text", "protocol", "names", "expected"),
    [
        (SNMP, b"Tcp", (b"ActiveOpens", b"CurrEstab", b"MaxConn"), [7270, 12, -1]),
        (SNMP, b"Udp", (b"NoPorts",), [0]),
        (NETSTAT, b"TcpExt", (b"ListenDrops", b"ListenOverflows"), [6, 5]),
        (SOCKSTAT, b"TCP", (b"tw", b"orphan", b"inuse"), [28000, 1, 2]),
    ],
)
def test_values_are_found_by_their_names(
    text: bytes, protocol: bytes, names: tuple[bytes, ...], expected: list[int]
) -> None:
    assert values(text, protocol, find_columns(text, protocol, names)) == expected


def test_a_name_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="NoSuch"):
        find_columns(SNMP, b"Tcp", (b"NoSuch",))


def test_what_grows_counts_from_the_base_and_gauges_do_not() -> None:
    base = Counters(10, 20, 30, 40, established=5, time_wait=6)
    now = Counters(11, 22, 33, 44, established=1, time_wait=2)
    assert now.since(base) == Counters(1, 2, 3, 4, established=1, time_wait=2)


@pytest.fixture
def files() -> Iterator[CounterFiles]:
    found = CounterFiles()
    yield found
    found.close()


def test_the_kernel_counts_what_we_open(wire: Any, files: CounterFiles) -> None:
    before = files.read()
    wire.connect()
    wire.time_wait(10)
    grown = files.read().since(before)
    # Others on this machine may open connections too: at least ours are counted.
    assert grown.active_opens >= 11
    assert grown.passive_opens >= 11


def test_listen_counters_may_be_taken_over(files: CounterFiles) -> None:
    assert files.read(Counters(listen_overflows=-1)).listen_overflows == -1
    assert files.read().listen_overflows >= 0
