"""The kernel's counters and settings of a namespace, and what this kernel does not have."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.watch.counters import NamespaceCounters, Reading, conntrack_drops, reserved_ports
from bench.watch.model import HostFlow, HostState
from tests import needs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n", 0),
        ("8080\n", 0),
        ("40000\n", 1),
        ("8080,40000,50000-50009\n", 11),
        ("1000-33000\n", 33000 - 32768 + 1),
        ("60000-65535\n", 1000),
    ],
)
def test_reserved_ports_count_within_the_range(text: str, expected: int) -> None:
    assert reserved_ports(text, 32768, 60999) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("entries found drop early_drop\n00000010 00000001 0000000a 00000002\n", 12),
        ("entries drop early_drop\n00000010 00000001 00000000\n00000010 00000002 00000010\n", 19),
        ("entries found\n00000010 00000001\n", None),
    ],
)
def test_drops_of_conntrack_are_those_of_all_cores(text: str, expected: int | None) -> None:
    assert conntrack_drops(text) == expected


def test_a_counter_that_one_reading_lacks_is_unknown() -> None:
    before = Reading({"active_opens": 5, "listen_drops": 1}, HostState())
    after = Reading({"active_opens": 9, "listen_drops": 4, "conntrack_drops": 3}, HostState())
    assert after.since(before) == HostFlow(active_opens=4, listen_drops=3)
    assert before.time_wait_came is None


@pytest.fixture
def counters() -> Iterator[NamespaceCounters]:
    found = NamespaceCounters()
    yield found
    found.close()


@needs.on_linux
def test_the_kernel_counts_a_socket_when_it_comes_to_time_wait(counters: NamespaceCounters) -> None:
    before = counters.read()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(10):
            with socket.create_connection(listener.getsockname()) as near:
                far, _ = listener.accept()
                near.shutdown(socket.SHUT_WR)
                assert far.recv(1) == b""
                far.close()
                assert near.recv(1) == b""
    after = counters.read()
    assert before.time_wait_came is not None
    assert after.time_wait_came is not None
    # Others on this machine may close connections too; ours are counted a minute before they go.
    assert after.time_wait_came - before.time_wait_came >= 10
    grown = after.since(before)
    assert min(grown.active_opens, grown.passive_opens) >= 10
    assert after.state.time_wait >= 10


@needs.on_linux
def test_settings_are_those_of_this_kernel(counters: NamespaceCounters) -> None:
    state = counters.read().state
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert state.port_range == (low, high)
    assert state.max_time_wait == int(Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").read_text())
    conntrack = Path("/proc/sys/net/netfilter/nf_conntrack_max")
    assert state.max_conntrack == (int(conntrack.read_text()) if conntrack.exists() else None)


@needs.on_linux
def test_what_cannot_be_read_is_unknown(counters: NamespaceCounters, tmp_path: Path) -> None:
    del counters._fds["max_time_wait"]
    assert counters.read().state.max_time_wait is None
