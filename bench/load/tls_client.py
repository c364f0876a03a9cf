"""A client whose connection speaks TLS: a handshake after the connect, then exchanges as over plain TCP.

The socket is OpenSSL's, non-blocking, and each of its reads returns one record at the most (RFC 8446, section
5.1), so that what is left stays with the kernel, and the poller sees it.
"""

import contextlib
import socket
import ssl
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

from bench.load import poller, tls
from bench.load.client import LoadClient
from bench.load.client_group import ClientGroup
from bench.load.counters import LoadCounters
from bench.load.job import LoadJob
from bench.load.poller import Poller

WOULD_BLOCK: tuple[type[OSError], ...] = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsLayer:
    """What the TLS of all clients of a worker shares: the context, the last session, the counts."""

    def __init__(self, job: LoadJob, protocol: str = "http/1.1") -> None:
        self.context = tls.client_context(
            verify=job.tls_verify, authority=job.tls_authority, protocols=(protocol,)
        )
        self.server_name = job.tls_name or job.host
        self.counts = tls.HandshakeCounts()
        self._resumes = job.tls_sessions
        self._session: ssl.SSLSession | None = None

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """Return a connected socket with TLS around it, before the handshake.

        OSError where the server has reset the connection meanwhile; the socket is of no more use then.
        """
        return self.context.wrap_socket(
            sock,
            server_hostname=self.server_name,
            do_handshake_on_connect=False,
            # A connection that ends without a close_notify was cut (RFC 8446, section 6.1).
            suppress_ragged_eofs=False,
            session=self._session,
        )

    def keep_session(self, sock: ssl.SSLSocket) -> None:
        """Keep the session of a connection that is about to end, for the handshakes to come.

        A server sends what resumes it after the handshake (RFC 8446, section 4.6.1), so that it is there once
        something has been read.
        """
        if self._resumes and (session := sock.session) is not None:
            self._session = session


class TlsClient(LoadClient):
    """One client with TLS. One more state: in its handshake, which is a part of connecting."""

    __slots__ = ("_handshake_ns", "_layer", "_tls")

    def __init__(self, group: ClientGroup, layer: TlsLayer) -> None:
        super().__init__(group)
        self._layer = layer
        self._tls: ssl.SSLSocket | None = None

    def close(self) -> None:
        """Close the connection, if there is one, and drop the current exchange."""
        if self._tls is not None:
            if self._exchanges:
                self._layer.keep_session(self._tls)
            # Sent before the end (RFC 8446, section 6.1); no answer is waited for, which raises.
            with contextlib.suppress(OSError, ValueError):
                self._tls.unwrap()
            self._tls = None
        super().close()

    def _established(self) -> None:
        """Begin the handshake."""
        group, sock = self._group, self._sock
        assert sock is not None
        self._handshake_ns = monotonic_ns()
        # `ssl` closes a socket that it cannot wrap, which the poller must not watch then.
        group.poller.unregister(self._fd)
        self._sock = None
        try:
            self._sock = self._tls = self._layer.wrap(sock)
        except OSError as error:
            self._fail_handshake(error)
            return
        group.poller.register(self._fd, poller.READABLE, self._shake_hands)
        self._shake_hands()

    def _shake_hands(self) -> None:
        sock, group = self._tls, self._group
        assert sock is not None
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            group.poller.modify(self._fd, poller.READABLE, self._shake_hands)
            return
        except ssl.SSLWantWriteError:
            group.poller.modify(self._fd, poller.WRITABLE, self._shake_hands)
            return
        except OSError as error:
            self._fail_handshake(error)
            return
        group.counters.handshake.add(monotonic_ns() - self._handshake_ns)
        self._layer.counts.add(sock)
        self.receive, self.send = sock.read, sock.write
        self._start_exchanges()

    def _fail_handshake(self, error: OSError) -> None:
        self._layer.counts.failures[str(tls.explain(error))] += 1
        super().fail("tls")

    def fail(self, kind: str) -> None:
        """End the exchange with an error of this kind, and the connection with it."""
        if kind == "connect" and self._tls is not None:
            self._fail_handshake(TimeoutError())
        else:
            super().fail(kind)


class TlsClientGroup(ClientGroup):
    """All clients of one worker, each with TLS."""

    would_block = WOULD_BLOCK

    def __init__(self, job: LoadJob, poller: Poller, counters: LoadCounters) -> None:
        self._layer = TlsLayer(job)
        super().__init__(job, poller, counters)

    def _make_clients(self) -> Sequence[LoadClient]:
        return [TlsClient(self, self._layer) for _ in range(self._job.connections)]

    def handshakes(self) -> dict[str, Any]:
        """Return what was counted of the handshakes, as plain values."""
        return self._layer.counts.to_json()
