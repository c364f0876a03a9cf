"""One TCP connection to the server, with TLS where asked: bytes in, bytes out, and how and when it ended.

TLS runs over memory (`ssl.MemoryBIO`), so that the end that is seen is that of TCP: a FIN, or an RST.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from bench.load import tls
from bench.probe.model import Ending

_RECORD_BYTES = 65_536
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
"""Of TLS: one that offers HTTP/1.1, and one that offers HTTP/2 too."""


def make_contexts(*, verify: bool = True, authority: str | None = None) -> Contexts:
    """Return the contexts of a probe over TLS; without `authority`, in PEM, the system's is trusted.

    ValueError where `authority` holds no certificate.
    """
    return (
        tls.client_context(verify=verify, authority=authority, protocols=("http/1.1",)),
        tls.client_context(verify=verify, authority=authority, protocols=("h2", "http/1.1")),
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """The server's end of a connection."""

    at_s: float
    """On the clock of the loop."""
    ending: Ending


class ProbeConnection(asyncio.Protocol):
    """A connection that notes its end. It never sends by itself, but for what TLS needs."""

    def __init__(self, context: ssl.SSLContext | None = None, name: str = "") -> None:
        """Speak TLS with `context` to the server `name`."""
        self.ended: Ended | None = None
        self.failure: OSError | None = None
        """Why TLS failed."""
        self.listener: Callable[[], None] | None = None
        """What is called when something has come."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._is_ours = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self.is_ready = context is None
        """Connected, and through the handshake of TLS."""
        if context is not None:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name or None)

    # What the loop reports.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake of TLS."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._tls is not None:
            self._pump(self._tls)

    def data_received(self, data: bytes) -> None:
        """Keep what came, deciphered."""
        if self._tls is None:
            self._received += data
        else:
            self._incoming.write(data)
            self._pump(self._tls)
        if self.listener is not None and self._received:
            self.listener()
        self._wake()

    def eof_received(self) -> bool:
        """Note a FIN; the loop then closes our side."""
        self.note_end(Ending.FIN)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note an RST, unless a FIN came before it."""
        if exc is not None:
            self.note_end(Ending.RST)
        self._wake()

    def note_end(self, ending: Ending) -> None:
        """Note that the server ends the connection now, unless it or we have ended it before."""
        if self.ended is None and not self._is_ours:
            self.ended = Ended(self._loop.time(), ending)
        self._wake()

    def _pump(self, layer: ssl.SSLObject) -> None:
        """Let TLS take what came, and send what it has to say."""
        try:
            if not self.is_ready:
                layer.do_handshake()
                self.is_ready = True
            while data := layer.read(_RECORD_BYTES):
                self._received += data
            # The server's close_notify (RFC 8446, section 6.1): the FIN follows.
            self.note_end(Ending.FIN)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.failure = error
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What a client asks for.

    @property
    def protocol(self) -> str | None:
        """Return what was negotiated (ALPN, RFC 7301); None without."""
        return None if self._tls is None else self._tls.selected_alpn_protocol()

    def send(self, data: bytes) -> None:
        """Send `data`, unless the connection has ended."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is None:
            self._transport.write(data)
        else:
            # After the server's close_notify nothing can be sent any more: the end is noted already.
            with contextlib.suppress(ssl.SSLError):
                self._tls.write(data)
            self._flush()

    def take(self) -> bytes:
        """Return what has come, and forget it."""
        data = bytes(self._received)
        self._received.clear()
        return data

    async def wait(self, until_s: float) -> None:
        """Wait for anything to happen; TimeoutError at `until_s`, on the clock of the loop."""
        self._waiter = self._loop.create_future()
        async with asyncio.timeout_at(until_s):
            await self._waiter

    async def shake_hands(self, until_s: float) -> None:
        """Wait for the end of the TLS handshake; OSError where it fails, TimeoutError where it is late."""
        while not self.is_ready:
            if self.failure is not None:
                raise self.failure
            if self.ended is not None:
                raise ConnectionResetError("the server ended the connection in the TLS handshake")
            await self.wait(until_s)

    async def wait_for_end(self, until_s: float) -> Ended | None:
        """Wait until the server ends the connection; None where it has not until `until_s`."""
        with contextlib.suppress(TimeoutError):
            while self.ended is None:
                await self.wait(until_s)
        return self.ended

    def close(self) -> None:
        """End the connection, in an orderly way."""
        self._is_ours = True
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is not None and self.is_ready:
            # Sends close_notify; that no answer has come yet raises.
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        self._transport.close()
