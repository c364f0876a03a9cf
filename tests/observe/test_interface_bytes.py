"""The bytes on the wires: as /proc/net/dev writes them, and as real traffic moves them."""

from __future__ import annotations

from bench.observe.interface_bytes import InterfaceBytes, parse

# include/linux/netdevice.h as net/core/net-procfs.c prints it: eight numbers received, eight sent.
TEXT = """\
Inter-| Receive | Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo ...
    lo: 999 9 0 0 0 0 0 0 999 9 0 0 0 0 0 0
to-proxy: 1500 10 0 0 0 0 0 0 700 7 0 0 0 0 0 0
direct:2000000000000 1 0 0 0 0 0 0 3 1 0 0 0 0 0 0
"""


def test_interfaces_are_read_by_name_without_the_loopback() -> None:
    assert parse(TEXT) == {
        "to-proxy": InterfaceBytes(700, 1500),
        "direct": InterfaceBytes(3, 2_000_000_000_000),
    }


def test_what_came_after_is_counted() -> None:
    assert InterfaceBytes(10, 30).since(InterfaceBytes(4, 5)) == InterfaceBytes(6, 25)
