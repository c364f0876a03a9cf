"""The network between workers: whether one reaches another, how fast, and how large a packet may be.

Each worker answers on a port of its data address while the survey lasts, and connects to those of the others.
It proves by a token who it is: an address may belong to another machine than one thinks.
"""

import asyncio
import errno
import socket
import struct
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from enum import StrEnum

TOKEN_BYTES = 16
_PAYLOAD = bytes(range(256)) * 256
"""64 KiB: several packets, whatever size the network passes."""
_TIMEOUT_S = 2.0
"""Twice the time after which TCP repeats a SYN (RFC 6298, section 2): the first may be lost, and so may the
ICMP error that it causes, as long as the sender's kernel holds the socket."""
_LIFETIME_S = 120.0
"""After this a port is closed, whatever has become of who had it opened."""
_CONNECTS = 7
"""The shortest of so many is the network's, the others are also those of a busy machine."""
_AT_ONCE = 16

# include/uapi/linux/in.h, in6.h; Python has no names for them.
_MTU_DISCOVER, _MTU, _PMTUDISC_DO = (10, 23), (14, 24), 2


class PathFault(StrEnum):
    """Why a path cannot be used."""

    SILENT = "silent"
    """Nothing comes back."""
    REFUSED = "refused"
    """A RST comes back."""
    NO_ROUTE = "no-route"
    OTHER_PEER = "other-peer"
    """Somebody else answers."""
    LARGE_LOST = "large-lost"
    """Small packets pass, large ones do not (RFC 2923, section 2.1)."""
    FAILED = "failed"
    """Anything else, such as a lack of sockets."""


@dataclass(frozen=True, slots=True)
class PathTarget:
    """Where a worker answers."""

    name: str
    address: str
    port: int
    token: bytes | None
    """What it answers; None: it is no worker of ours, and a connection to it is all that is tried."""


@dataclass(frozen=True, slots=True)
class NetworkPath:
    """The path to a target; None: not measured, or this system does not tell."""

    target: str
    fault: PathFault | None = None
    reason: str = ""
    round_trip_ms: float | None = None
    """The shortest time of connect(): SYN and SYN-ACK, exchanged by the kernels."""
    mtu: int | None = None
    """The largest IP packet to it in bytes, after path MTU discovery (ip(7), IP_MTU)."""
    segment: int | None = None
    """The most data in one packet in bytes, by what both ends announced (tcp(7), TCP_MAXSEG)."""


class _Port:
    """A port that answers with a token. States: open, closed."""

    def __init__(self, address: str, token: bytes, number: int) -> None:
        """Listen on the port `number` of `address`, 0: a free one; OSError where that is not possible."""
        self._token = token
        self._answering: set[asyncio.Task[None]] = set()
        with ExitStack() as undo:
            self._listener = undo.enter_context(socket.socket(_family(address)))
            if number:
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((address, number))
            self._listener.listen()
            self._listener.setblocking(False)
            self._opened = undo.pop_all()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._listener, self._accept)
        self.number = int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        with suppress(BlockingIOError):  # the peer was faster
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self._opened.enter_context(connection)
            task = self._loop.create_task(self._answer(connection))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, connection: socket.socket) -> None:
        """Send the token, and then back what comes, once it is whole: no kernel need hold it all."""
        received = b""
        # The peer ends it by a RST, so that nothing stays in TIME_WAIT; behind a fault it is silent.
        with connection, suppress(OSError, TimeoutError):
            async with asyncio.timeout(2 * _TIMEOUT_S):
                await self._loop.sock_sendall(connection, self._token)
                while data := await self._loop.sock_recv(connection, len(_PAYLOAD)):
                    received += data
                    if len(received) >= len(_PAYLOAD):
                        await self._loop.sock_sendall(connection, received)
                        received = b""

    async def close(self) -> None:
        """Listen no more, and close what is still connected."""
        self._loop.remove_reader(self._listener)
        answering = list(self._answering)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)
        self._opened.close()


_ports: dict[bytes, _Port] = {}


async def open_port(address: str, token: bytes, number: int = 0) -> int | str:
    """Answer peers on a port of `address`, 0: a free one; return the port, or why there is none."""
    try:
        port = _ports[token] = _Port(address, token, number)
    except OSError as error:
        return error.strerror or str(error)
    asyncio.get_running_loop().call_later(_LIFETIME_S, lambda: asyncio.ensure_future(close_port(token)))
    return port.number


async def close_port(token: bytes) -> None:
    """Close the port that answers with `token`, and what is connected to it."""
    if (port := _ports.pop(token, None)) is not None:
        await port.close()


async def try_peers(address: str, peers: Sequence[PathTarget]) -> list[NetworkPath]:
    """Return the path from `address` of this worker to each of `peers`, while its event loop runs on."""
    return await asyncio.to_thread(probe, address, peers)


def probe(address: str, peers: Sequence[PathTarget]) -> list[NetworkPath]:
    """Return the path from `address` to each of `peers`, within seconds however many are silent."""
    if not peers:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(peers)), thread_name_prefix="path") as pool:
        paths = list(pool.map(lambda peer: _try(address, peer), peers))
    # One after the other, so that none waits for the exchange with another.
    return [
        path if path.fault else _add_round_trip(path, address, peer)
        for path, peer in zip(paths, peers, strict=True)
    ]


def _try(address: str, peer: PathTarget) -> NetworkPath:
    """Connect, see who answers, and exchange more than a packet holds."""
    try:
        with _connect(address, peer) as connection:
            if peer.token is None:
                return NetworkPath(peer.name)
            if _receive(connection, TOKEN_BYTES) != peer.token:
                return NetworkPath(
                    peer.name, PathFault.OTHER_PEER, f"another program answers at {peer.address}"
                )
            return _exchange(connection, peer)
    except OSError as error:
        # A connection that was never there is refused: this one was there, and what is not ours may reset it.
        if peer.token is None and isinstance(error, ConnectionResetError):
            return NetworkPath(peer.name)
        return NetworkPath(peer.name, *_explain(error, peer))


def _exchange(connection: socket.socket, peer: PathTarget) -> NetworkPath:
    try:
        connection.sendall(_PAYLOAD)
        returned = _receive(connection, len(_PAYLOAD))
    except TimeoutError:
        reason = f"small packets to {peer.address} pass, large ones are lost"
        return NetworkPath(peer.name, PathFault.LARGE_LOST, reason, mtu=_mtu(connection))
    if returned != _PAYLOAD:
        return NetworkPath(peer.name, PathFault.OTHER_PEER, f"{peer.address} does not send back what it gets")
    segment = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    return NetworkPath(peer.name, mtu=_mtu(connection), segment=segment)


def _connect(address: str, peer: PathTarget) -> socket.socket:
    connection = _bind(address, peer)
    try:
        connection.connect((peer.address, peer.port))
    except BaseException:
        connection.close()
        raise
    return connection


def _bind(address: str, peer: PathTarget) -> socket.socket:
    """Return a socket of `address` that ends with a RST, and so leaves no TIME_WAIT behind."""
    connection = socket.socket(_family(peer.address))
    try:
        connection.settimeout(_TIMEOUT_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if sys.platform == "linux":
            connection.setsockopt(*_ip_option(connection, _MTU_DISCOVER), _PMTUDISC_DO)
        connection.bind((address, 0))
    except BaseException:
        connection.close()
        raise
    return connection


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _ip_option(connection: socket.socket, options: tuple[int, int]) -> tuple[int, int]:
    """Return the level and the number of an option, given its numbers of IPv4 and IPv6."""
    if connection.family == socket.AF_INET6:
        return socket.IPPROTO_IPV6, options[1]
    return socket.IPPROTO_IP, options[0]


def _mtu(connection: socket.socket) -> int | None:
    if sys.platform != "linux":
        return None
    return connection.getsockopt(*_ip_option(connection, _MTU))


def _receive(connection: socket.socket, size: int) -> bytes:
    """Return `size` bytes, or fewer where the peer closes before."""
    received = b""
    while len(received) < size and (piece := connection.recv(size - len(received))):
        received += piece
    return received


def _add_round_trip(path: NetworkPath, address: str, peer: PathTarget) -> NetworkPath:
    try:
        shortest_ns = min(_time_connect(address, peer) for _ in range(_CONNECTS))
    except OSError as error:
        return NetworkPath(peer.name, *_explain(error, peer))
    return replace(path, round_trip_ms=shortest_ns / 1e6)


def _time_connect(address: str, peer: PathTarget) -> int:
    with _bind(address, peer) as connection:
        begin_ns = time.monotonic_ns()
        connection.connect((peer.address, peer.port))
        return time.monotonic_ns() - begin_ns


_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN})
# A route of the types blackhole and prohibit (ip-route(8)), or a rule of a firewall on the way out.
_DROPPED_HERE = frozenset({errno.EINVAL, errno.EACCES, errno.EPERM})


def _explain(error: OSError, peer: PathTarget) -> tuple[PathFault, str]:
    """Return the kind of an error, and what happened in half a sentence."""
    where = f"{peer.address} port {peer.port}"
    if isinstance(error, TimeoutError):
        return PathFault.SILENT, f"{where} does not answer within {_TIMEOUT_S:g} s"
    if isinstance(error, ConnectionRefusedError | ConnectionResetError):
        return PathFault.REFUSED, f"{where} answers with a reset"
    named = error.strerror or str(error)
    if error.errno in _NO_ROUTE:
        return PathFault.NO_ROUTE, f"no route to {peer.address} ({named})"
    if error.errno in _DROPPED_HERE:
        return (
            PathFault.NO_ROUTE,
            f"a route or a rule of the sender drops what goes to {peer.address} ({named})",
        )
    return PathFault.FAILED, f"{where}: {named}"
