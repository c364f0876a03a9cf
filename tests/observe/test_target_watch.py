"""The sockets around a server: whose they are, and how many connections came and went."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from bench.observe import listener, sock_diag
from bench.observe.sock_diag import (
    CONNECTED,
    ESTABLISHED,
    LISTEN,
    TIME_WAIT,
    AddressedSockets,
    SockDiag,
    address_text,
    address_words,
)
from bench.observe.target_watch import TargetWatch, _PeerCount

# A server that answers nobody: for each client it opens a connection to the port in its arguments, and closes
# both when the client does.
FORWARDER = """
import socket, sys
address, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
listener = socket.create_server((address, 0), family=family)
print(listener.getsockname()[1], flush=True)
while True:
    near = listener.accept()[0]
    far = socket.create_connection((address, port))
    near.sendall(b"x")
    near.recv(1)
    far.close()
    near.close()
"""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.7", "2001:db8::1"])
def test_an_address_is_four_words_and_back(address: str) -> None:
    assert address_text(address_words(address)) == address


def test_an_address_of_ipv4_is_the_same_in_ipv6() -> None:
    assert (address_words("::ffff:127.0.0.1") == address_words("127.0.0.1")).all()


def test_addresses_and_inodes_are_those_of_our_own_sockets(wire: Any) -> None:
    near, far = wire.connect()
    diag = SockDiag()
    found = diag.dump_addressed((*CONNECTED, LISTEN))
    diag.close()
    for sock in (near, far):
        at = np.flatnonzero(found.inode == os.fstat(sock.fileno()).st_ino)
        assert len(at) == 1
        host, port = sock.getsockname()[:2]
        peer_host, peer_port = sock.getpeername()[:2]
        assert (address_text(found.local[at[0]]), found.local_port[at[0]]) == (host, port)
        assert (address_text(found.remote[at[0]]), found.remote_port[at[0]]) == (peer_host, peer_port)
    inodes = listener.listening_inodes(found, wire.listener.getsockname()[0], wire.port)
    assert inodes == {os.fstat(wire.listener.fileno()).st_ino}
    held = listener.find(inodes)
    assert held is not None
    assert os.getpid() in held.pids


def test_nobody_listens_where_the_address_is_another(wire: Any) -> None:
    diag = SockDiag()
    found = diag.dump_addressed((LISTEN,))
    diag.close()
    assert listener.listening_inodes(found, "192.0.2.1", wire.port) == frozenset()
    assert listener.find(frozenset()) is None


def test_what_a_server_opens_is_counted_and_told_apart(wire: Any) -> None:
    host = wire.listener.getsockname()[0]
    argv = [sys.executable, "-c", FORWARDER, host, str(wire.port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            watch = TargetWatch(host, port)
            assert watch.is_local
            watch.start()
            for _ in range(5):
                with socket.create_connection((host, port)) as client:
                    assert client.recv(1) == b"x"
                    watch._sample()
                wire.kept.enter_context(wire.listener.accept()[0])
            seen = watch.stop()
            watch.close()
        finally:
            server.kill()
    assert seen.peers is not None
    assert [peer.rpartition(":")[2] for peer in seen.peers] == [str(wire.port)]
    # Their other ends are still open here, so that none of the five is in TIME_WAIT.
    assert seen.opened == 5
    assert seen.opened_here is not None
    assert seen.opened_here >= 10
    last = seen.counts[-1]
    assert (last.clients, last.front, last.behind, last.upstream) == (5, 0, 0, 0)


def test_a_server_that_is_elsewhere_is_not_measured() -> None:
    watch = TargetWatch("192.0.2.1", 80)
    watch.start()
    seen = watch.stop()
    watch.close()
    assert (watch.is_local, seen.peers, seen.opened, seen.opened_here) == (False, None, None, None)
    assert (seen.counts[-1].front, seen.counts[-1].behind, seen.counts[-1].upstream) == (None, None, None)


# -- counting what comes and goes


def dump(*rows: tuple[int, int, float]) -> AddressedSockets:
    """Return sockets towards 127.0.0.1:9: state, port, and for how many more seconds they stay."""
    address = np.tile(address_words("127.0.0.1"), (len(rows), 1))
    return AddressedSockets(
        state=np.array([state for state, _, _ in rows], np.uint8),
        local_port=np.array([port for _, port, _ in rows], np.uint16),
        remote_port=np.full(len(rows), 9, np.uint16),
        local=address,
        remote=address,
        expires_ms=np.array([stays_s * 1000 for _, _, stays_s in rows], np.uint32),
        inode=np.zeros(len(rows), np.uint32),
    )


def counted(*dumps: AddressedSockets, is_first: bool = False) -> int:
    start_ms = time.monotonic_ns() / 1e6 - 30_000
    count = _PeerCount(("127.0.0.1", 9), start_ms, is_first=is_first)
    for each in dumps:
        count.count(each)
    return count.opened


@pytest.mark.parametrize(
    ("dumps", "opened"),
    [
        # What is there, what has come, and what has been there since before the start.
        ([dump((ESTABLISHED, 1, 0), (TIME_WAIT, 2, 55), (TIME_WAIT, 3, 20))], 2),
        # The same socket again is no other one, and one that became TIME_WAIT is counted once.
        ([dump((ESTABLISHED, 1, 0), (TIME_WAIT, 2, 55)), dump((TIME_WAIT, 1, 60), (TIME_WAIT, 2, 55))], 2),
        # A port that was used again.
        ([dump((TIME_WAIT, 2, 55)), dump((TIME_WAIT, 2, 57)), dump((TIME_WAIT, 2, 59))], 3),
        ([dump()], 0),
    ],
)
def test_each_connection_is_counted_once(dumps: list[AddressedSockets], opened: int) -> None:
    assert counted(*dumps) == opened


def test_what_was_pooled_before_the_load_was_not_opened_for_it() -> None:
    pooled = (ESTABLISHED, 1, 0.0)
    assert counted(dump(pooled), dump(pooled, (ESTABLISHED, 2, 0)), is_first=True) == 1


def test_the_kernel_keeps_a_socket_in_time_wait_for_a_minute(wire: Any) -> None:
    wire.time_wait(1)
    diag = SockDiag()
    found = diag.dump_addressed((TIME_WAIT,))
    diag.close()
    at = found.remote_port == wire.port
    assert sock_diag.TIME_WAIT in found.state
    assert 50_000 < int(found.expires_ms[at][0]) <= 60_000
