"""TLS on connections to upstreams: a handshake after the connect, and the sessions that others resume."""

import asyncio
import errno
import ssl
from collections.abc import Callable

from proxy import tls
from proxy.errors import ConnectFailed
from proxy.send_queue import SendQueue
from proxy.settings import Address, UpstreamTls, is_unix
from proxy.tls import Handshake
from proxy.tls_transport import TlsTransport
from proxy.transport import Watch

Deliver = Callable[[ssl.SSLSocket | ConnectFailed], None]
"""Receive the socket when its handshake is over, or why it failed."""


class TlsConnector:
    """Shakes hands on the connections of one worker."""

    def __init__(self, settings: UpstreamTls, sends: SendQueue) -> None:
        self._sends = sends
        self._context = tls.client_context(settings)
        self._name = settings.name
        self._resumes = settings.sessions
        self._sessions: dict[Address, ssl.SSLSession] = {}
        """The last session with each upstream."""
        self._pending: dict[Handshake, Deliver] = {}

    def shake_hands(self, descriptor: int, upstream: Address, deadline: float, deliver: Deliver) -> None:
        """Begin the handshake of a connected socket; `deliver` is called when it is over."""
        host = "localhost" if is_unix(upstream[0]) else upstream[0]
        try:
            sock = tls.wrap(
                self._context,
                descriptor,
                server_name=self._name or host,
                session=self._sessions.get(upstream),
            )
        except OSError as error:
            self._sends.loop.call_soon(deliver, _failure(error))
            return
        handshake = Handshake(self._sends.loop, sock, deadline, self._over)
        self._pending[handshake] = deliver

    def transport(
        self, sock: ssl.SSLSocket, upstream: Address, protocol: asyncio.Protocol, watch: Watch
    ) -> TlsTransport:
        """Return the transport of a socket whose handshake is over."""

        def keep_session(closing: ssl.SSLSocket) -> None:
            # A server sends what resumes it after the handshake (RFC 8446, section 4.6.1).
            if closing.session is not None:
                self._sessions[upstream] = closing.session

        return TlsTransport(self._sends, sock, protocol, watch, keep_session if self._resumes else None)

    def sweep(self, now: float) -> None:
        """End the handshakes whose deadline has passed."""
        for handshake in [each for each in self._pending if each.deadline <= now]:
            handshake.end(TimeoutError())

    def _over(self, handshake: Handshake, sock: ssl.SSLSocket, error: OSError | None) -> None:
        deliver = self._pending.pop(handshake)
        if error is None:
            deliver(sock)
            return
        sock.close()
        deliver(_failure(error))


def _failure(error: OSError) -> ConnectFailed:
    if isinstance(error, TimeoutError):
        return ConnectFailed(errno.ETIMEDOUT)
    reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.strerror
    if isinstance(error, ssl.SSLError):
        reason = reason or error.reason
    return ConnectFailed(errno.EPROTO, f"the TLS handshake with the upstream failed: {reason or error}")
