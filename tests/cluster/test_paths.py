"""What a worker finds on the way to its peers: who answers, and what stands between."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import pytest

from bench.cluster import paths
from bench.cluster.paths import NetworkPath, PathFault, PathTarget
from tests import needs

HERE = "127.0.0.1"
TOKEN = b"t" * paths.TOKEN_BYTES
Serve = Callable[[socket.socket], None]


def peer_at(listener: socket.socket) -> PathTarget:
    address, port = listener.getsockname()
    return PathTarget("peer", address, port, TOKEN)


async def exchange(address: str, token: bytes = TOKEN, expected: bytes = TOKEN) -> NetworkPath:
    """Return the path from an address to itself, whose port answers with `token`."""
    port = await paths.open_port(address, token)
    assert isinstance(port, int)
    try:
        (path,) = await paths.try_peers(address, [PathTarget("self", address, port, expected)])
    finally:
        await paths.close_port(token)
        assert asyncio.all_tasks() == {asyncio.current_task()}
    return path


def test_a_peer_that_answers_has_a_round_trip() -> None:
    path = asyncio.run(exchange(HERE))
    assert path.fault is None, path.reason
    assert path.round_trip_ms is not None
    assert path.round_trip_ms > 0


@needs.on_linux
@pytest.mark.parametrize("address", [HERE, "::1"])
def test_packets_on_loopback_are_as_large_as_its_interface_allows(address: str) -> None:
    if ":" in address and not has_ipv6():
        needs.skip("IPv6", "an address ::1 on the loopback interface")
    path = asyncio.run(exchange(address))
    assert path.fault is None, path.reason
    with open("/sys/class/net/lo/mtu", encoding="ascii") as file:
        interface = int(file.read())
    # include/net/ip.h: IP_MAX_MTU is what the length of an IPv4 header can say.
    assert path.mtu == (interface if ":" in address else min(interface, 65535))
    assert path.segment is not None


def has_ipv6() -> bool:
    with ExitStack() as closing:
        try:
            closing.enter_context(socket.socket(socket.AF_INET6)).bind(("::1", 0))
        except OSError:
            return False
    return True


def test_another_program_at_the_address_of_a_peer_is_found() -> None:
    path = asyncio.run(exchange(HERE, expected=b"other".ljust(paths.TOKEN_BYTES)))
    assert (path.fault, path.round_trip_ms) == (PathFault.OTHER_PEER, None)


def test_nobody_to_try_is_no_error() -> None:
    assert paths.probe(HERE, []) == []


def test_an_address_that_is_not_of_this_machine_has_no_port() -> None:
    assert asyncio.run(paths.open_port("203.0.113.1", TOKEN)) == "Cannot assign requested address"


@contextmanager
def answered(serve: Serve) -> Iterator[PathTarget]:
    """Have `serve` answer the first connection, in a thread of its own, and keep that open until the end."""
    with socket.create_server((HERE, 0)) as listener, ExitStack() as closing:

        def accept() -> None:
            connection, _ = listener.accept()
            closing.enter_context(connection)
            with suppress(ConnectionError):  # who asked no more than to connect has gone
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        closing.callback(thread.join)
        yield peer_at(listener)


def greet(connection: socket.socket) -> None:
    connection.sendall(TOKEN)


def cut(connection: socket.socket) -> None:
    connection.sendall(TOKEN[:3])
    connection.shutdown(socket.SHUT_WR)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def discard(connection: socket.socket) -> None:
    connection.sendall(TOKEN)
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(
    ("serve", "timeout_s", "fault", "reason"),
    [
        (lambda connection: None, 0.2, PathFault.SILENT, "does not answer within 0.2 s"),
        (greet, 1.0, PathFault.LARGE_LOST, "small packets to 127.0.0.1 pass, large ones are lost"),
        (cut, 20.0, PathFault.OTHER_PEER, "another program answers at 127.0.0.1"),
        (discard, 20.0, PathFault.OTHER_PEER, "127.0.0.1 does not send back what it gets"),
        (reset, 20.0, PathFault.REFUSED, "answers with a reset"),
    ],
)
def test_each_fault_has_its_name(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, timeout_s: float, fault: PathFault, reason: str
) -> None:
    monkeypatch.setattr(paths, "_TIMEOUT_S", timeout_s)
    with answered(serve) as peer:
        (path,) = paths.probe(HERE, [peer])
    assert path.fault is fault
    assert reason in path.reason
    assert path.round_trip_ms is None


@pytest.mark.parametrize("serve", [lambda connection: None, greet, reset])
def test_of_a_program_that_is_not_ours_a_connection_is_enough(serve: Serve) -> None:
    with answered(serve) as peer:
        (path,) = paths.probe(HERE, [replace(peer, token=None)])
    assert (path.fault, path.target) == (None, "peer")


def test_a_port_that_nobody_listens_on_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        (path,) = paths.probe(HERE, [peer_at(taken)])
    assert path.fault is PathFault.REFUSED
