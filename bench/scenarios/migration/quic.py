"""Follows the answer by HTTP/3 over one QUIC connection, whose address changes."""

import asyncio
import socket
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import QuicEvent

from bench.scenarios.migration.clients import TokenReceiver

_DATAGRAM_BYTES = 65_536
_ANY = "0.0.0.0"


class MovableTransport(asyncio.DatagramTransport):
    """The transport of a connection, over whichever socket is the current one."""

    def __init__(self, protocol: asyncio.DatagramProtocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None

    def bind(self, address: str) -> None:
        """Send and receive by a new socket on `address` from now on."""
        self.close()
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)
        opened.bind((address, 0))
        self._socket = opened
        self._loop.add_reader(opened, self._read)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send a datagram; one that the kernel cannot send is lost, as datagrams may be."""
        assert self._socket is not None
        try:
            self._socket.sendto(data, addr)
        except OSError:
            return  # QUIC finds out by itself, and sends again what matters (RFC 9002)

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data, from_ = self._socket.recvfrom(_DATAGRAM_BYTES)
        except OSError:
            return  # nothing there after all, or an ICMP error of the old address
        self._protocol.datagram_received(data, from_)


class QuicClient(QuicConnectionProtocol):
    """One QUIC connection with one request on it."""

    def __init__(self, quic: QuicConnection, receiver: TokenReceiver) -> None:
        super().__init__(quic)
        self._receiver = receiver
        self._http: H3Connection | None = None

    def request(self, authority: str) -> None:
        """Send the request; the response comes as events."""
        self._http = H3Connection(self._quic)
        fields = {":method": "GET", ":scheme": "https", ":authority": authority, ":path": "/events"}
        stream = self._quic.get_next_available_stream_id()
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        self._http.send_headers(stream, headers, end_stream=True)
        self.transmit()

    def quic_event_received(self, event: QuicEvent) -> None:
        """Receive what comes of the answer."""
        if self._http is not None:
            for received in self._http.handle_event(event):
                if isinstance(received, DataReceived):
                    self._receiver.feed(received.data)


class QuicFollower:
    """Follows the answer over one QUIC connection.

    `quic` does nothing when its address changes, `quic-probe` sends a PING from wherever it is now, and
    `quic-rebind` sends from a new socket with a connection id that was not used before.
    """

    def __init__(self, job: dict[str, Any], receiver: TokenReceiver) -> None:
        self._job = job
        self._receiver = receiver
        self._client: QuicClient | None = None
        self._transport: MovableTransport | None = None

    async def follow(self) -> None:
        """Connect, send the request, and wait for the end of the connection."""
        host, _, port = self._job["address"].rpartition(":")
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=H3_ALPN, server_name=host, idle_timeout=self._job["idle_timeout_s"]
        )
        configuration.load_verify_locations(cadata=self._job["authority"].encode())
        client = QuicClient(QuicConnection(configuration=configuration), self._receiver)
        transport = MovableTransport(client)
        is_bound = self._job["binds"] or self._job["variant"] == "quic-rebind"
        transport.bind(self._job["old"] if is_bound else _ANY)
        client.connection_made(transport)
        client.connect((host, int(port)))
        await client.wait_connected()
        self._receiver.connections += 1
        self._client, self._transport = client, transport
        client.request(self._job["address"])
        await client.wait_closed()

    def move(self, address: str) -> None:
        """Do what the variant does when the system says that there is a new address."""
        variant = self._job["variant"]
        if variant == "quic" or self._client is None or self._transport is None:
            return
        if variant == "quic-rebind" or self._job["binds"]:
            self._transport.bind(address)
        if variant == "quic-rebind":
            self._client.change_connection_id()
        else:
            self._pinging = asyncio.ensure_future(self._client.ping())
