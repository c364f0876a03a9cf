"""One connection in HTTP/2: whether the server speaks it, one request, and then its end, be it a GOAWAY.

The protocol is the library h2's. It answers SETTINGS and PING while the connection waits.
"""

import asyncio
import ssl

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from bench.probe.client import NoConnection, ProbeClient
from bench.probe.connection import ProbeConnection
from bench.probe.exchange import AGENT
from bench.probe.limits import LimitReached
from bench.probe.model import Ending
from bench.probe.watching import IdleWait

_SETTINGS_S = 2.0
"""How long a server may take for its SETTINGS."""
_CONNECTIONS = 2
_OF_HTTP_1 = b"HTTP/"
"""How a server of HTTP/1 begins its answer to the preface."""


class _Http2Connection:
    """Speaks HTTP/2 on a connection as soon as something comes."""

    def __init__(self, connection: ProbeConnection) -> None:
        self.is_spoken: bool | None = None
        """Whether the server speaks HTTP/2; None as long as it has not said."""
        self.is_answered = False
        self._connection = connection
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        connection.listener = self._receive
        connection.send(self._h2.data_to_send())

    def _receive(self) -> None:
        data = self._connection.take()
        if self.is_spoken is None and data.startswith(_OF_HTTP_1):
            self.is_spoken = False
        if self.is_spoken is False:
            return
        try:
            for event in self._h2.receive_data(data):
                self._handle(event)
        except h2.exceptions.ProtocolError:
            self.is_spoken = bool(self.is_spoken)
            self._connection.listener = None
            return
        self._connection.send(self._h2.data_to_send())

    def _handle(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.is_spoken = True
        elif isinstance(event, h2.events.StreamEnded):
            self.is_answered = True
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._connection.note_end(Ending.GOAWAY)

    async def settle(self, until_s: float) -> bool:
        """Wait until the server has said whether it speaks HTTP/2."""
        while self.is_spoken is None and self._connection.ended is None:
            await self._connection.wait(until_s)
        return bool(self.is_spoken)

    async def ask(
        self, scheme: str, authority: str, path: str, until_s: float, more: list[tuple[str, str]]
    ) -> None:
        """Send a GET and wait for the end of its answer; TimeoutError where there is none."""
        pseudo = [(":method", "GET"), (":scheme", scheme), (":authority", authority), (":path", path)]
        self._h2.send_headers(1, [*pseudo, ("user-agent", AGENT), *more], end_stream=True)
        self._connection.send(self._h2.data_to_send())
        while not self.is_answered:
            if self._connection.ended is not None:
                raise TimeoutError
            await self._connection.wait(until_s)


async def find_http2(client: ProbeClient, alpn: ssl.SSLContext | None) -> tuple[str | None, list[IdleWait]]:
    """Return "h2" or "h2c" where the server speaks it, and connections that wait after a response.

    `alpn` is a context of TLS that offers HTTP/2; without TLS it is tried with prior knowledge (RFC 9113,
    section 3.3).
    """
    version: str | None = None
    waits: list[IdleWait] = []
    for _ in range(_CONNECTIONS):
        try:
            connection = await client.open(alpn)
        except (NoConnection, LimitReached):
            break
        spoken = await _begin(client, connection, is_tls=alpn is not None)
        if spoken is None:
            connection.close()
            break
        version = "h2c" if alpn is None else "h2"
        if not await _is_asked(client, spoken):
            connection.close()
            break
        waits.append(IdleWait(connection, asyncio.get_running_loop().time()))
    return version, waits


async def _begin(client: ProbeClient, connection: ProbeConnection, is_tls: bool) -> _Http2Connection | None:
    """Return the connection once the server has answered the preface in HTTP/2; None where it does not."""
    if is_tls and connection.protocol != "h2":
        return None
    try:
        if not is_tls:
            # For a server of HTTP/1 the preface is a request, though one that it does not know.
            client.budget.take_request()
        spoken = _Http2Connection(connection)
        is_spoken = await spoken.settle(asyncio.get_running_loop().time() + _SETTINGS_S)
    except (TimeoutError, LimitReached):
        return None
    return spoken if is_spoken else None


async def _is_asked(client: ProbeClient, spoken: _Http2Connection) -> bool:
    """Send a request and return whether it was answered."""
    target = client.target
    names = {name.lower(): value for name, value in target.fields}
    authority = names.pop("host", target.host_field)
    until_s = asyncio.get_running_loop().time() + client.settings.patience_s
    try:
        client.budget.take_request()
        await spoken.ask(target.scheme, authority, target.path, until_s, list(names.items()))
    except (TimeoutError, LimitReached):
        return False
    return True
