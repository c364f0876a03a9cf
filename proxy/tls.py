"""TLS of both hops: the contexts, and the handshake of one connection. OpenSSL does the rest, through `ssl`.

Imported only where a hop speaks TLS.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable

from proxy.errors import SettingsError
from proxy.settings import ServerTls, UpstreamTls

WOULD_BLOCK = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
HTTP1 = "http/1.1"
"""The names of protocols that are offered and chosen by ALPN (RFC 7301)."""
HTTP2 = "h2"


def server_context(settings: ServerTls, *, http2: bool = False) -> ssl.SSLContext:
    """Return the context of the listener; SettingsError where its files hold no certificate with its key.

    Args:
        http2: whether HTTP/2 is chosen by those who offer it.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, *([HTTP2] if http2 else []), HTTP1)
    files = f"--tls-cert {settings.certificate} and --tls-key {settings.key}"
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except ssl.SSLError as error:
        reason = error.reason or "no PEM"
        raise SettingsError(f"{files} are no certificate with its key ({reason}); give both in PEM") from None
    except OSError as error:
        raise SettingsError(f"{files} cannot be read: {(error.strerror or str(error)).lower()}") from None
    return context


def client_context(settings: UpstreamTls) -> ssl.SSLContext:
    """Return the context of connections to upstreams; SettingsError where their authority cannot be read."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, HTTP1)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.authority is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(settings.authority)
        except ssl.SSLError:
            raise SettingsError(
                f"--upstream-cacert {settings.authority} holds no certificate; give it in PEM"
            ) from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SettingsError(f"--upstream-cacert {settings.authority} cannot be read: {reason}") from None
    return context


def _context(side: int, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.set_alpn_protocols(protocols)
    # Some releases of Python 3.11 set it: a message that is cut would pass for one that ends (RFC 9112, 9.8).
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


class Handshake:
    """The handshake of one connection, driven by the loop. States: under way, over.

    Attributes:
        deadline: when it must be over, as the clock of the worker counts.
    """

    __slots__ = ("_is_over", "_is_watched", "_loop", "_on_over", "_sock", "deadline")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: ssl.SSLSocket,
        deadline: float,
        on_over: "Callable[[Handshake, ssl.SSLSocket, OSError | None], None]",
    ) -> None:
        """Begin in the loop's next turn.

        `on_over` receives the socket at the end, and the error where it has failed; it is never called before
        the caller goes on, however fast the peer answers.
        """
        self._loop = loop
        self._sock = sock
        self._on_over = on_over
        self._is_watched = False
        self._is_over = False
        self.deadline = deadline
        loop.call_soon(self._advance)

    def _advance(self) -> None:
        """Go on as far as the socket allows."""
        if self._is_over:
            return
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(writable=False)
        except ssl.SSLWantWriteError:
            self._watch(writable=True)
        except OSError as error:
            self.end(error)
        else:
            self.end(None)

    def end(self, error: OSError | None) -> None:
        """End it, with an error or without."""
        self._is_over = True
        self._unwatch()
        self._on_over(self, self._sock, error)

    def _watch(self, *, writable: bool) -> None:
        self._unwatch()
        self._is_watched = True
        watch = self._loop.add_writer if writable else self._loop.add_reader
        watch(self._sock.fileno(), self._advance)

    def _unwatch(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())


def wrap(
    context: ssl.SSLContext,
    descriptor: int,
    *,
    server_name: str | None = None,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    """Return the connected socket of `descriptor` with TLS around it, before the handshake.

    OSError where the peer has reset the connection already; the descriptor is closed then, too. With a server
    name it is that of a client. What ends without a close_notify was cut (RFC 8446, section
    6.1); of a client, that is no more than its end.
    """
    is_client = server_name is not None
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)  # Python's own note of it, by which `ssl` waits or does not
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        # `wrap_socket` raises too, but leaves the descriptor open.
        sock.close()
        raise OSError(code, os.strerror(code))
    return context.wrap_socket(
        sock,
        server_side=not is_client,
        do_handshake_on_connect=False,
        suppress_ragged_eofs=not is_client,
        server_hostname=server_name,
        session=session,
    )
