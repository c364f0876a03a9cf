"""The transport of a connection that speaks TLS, once its handshake is over.

A read returns one record at the most (RFC 8446, section 5.1: 16 KiB), so that what is left stays with the
kernel, which reports it. No content is spliced: it must be encrypted.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from proxy.send_queue import SendQueue, report
from proxy.tls import WOULD_BLOCK
from proxy.transport import Bytes, Transport, Watch

_RECORD_BYTES = 16 * 1024


class TlsTransport(Transport):
    """One connected, non-blocking socket with TLS."""

    __slots__ = ("_is_unwrapped", "_on_close", "_tls")

    can_splice = False

    def __init__(
        self,
        sends: SendQueue,
        sock: ssl.SSLSocket,
        protocol: asyncio.Protocol,
        watch: Watch | None = None,
        on_close: Callable[[ssl.SSLSocket], None] | None = None,
    ) -> None:
        """`on_close` receives the socket before it is closed."""
        self._tls = sock
        self._on_close = on_close
        self._is_unwrapped = False
        """Whether both sides have sent a close_notify, so that nothing more can be read."""
        super().__init__(sends, sock.fileno(), protocol, watch)

    def read_ready(self) -> None:
        """Read what has arrived."""
        if not self.is_reading:
            return
        try:
            data = b"" if self._is_unwrapped else self._tls.read(_RECORD_BYTES)
        except WOULD_BLOCK:
            return
        except OSError as error:
            self._disconnect(error)
            return
        try:
            if data:
                self._protocol.data_received(data)
            else:
                self._read_eof()
        except Exception as error:  # noqa: BLE001 - as in Transport
            report(self, error)

    def flush(self) -> None:
        """Send unsent data as far as the socket accepts it."""
        data = self.unsent
        if not data:
            if self._blocked:
                self._all_sent()
            return
        try:
            sent = self._tls.write(data)
        except WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self._disconnect(error)
            return
        if sent != len(data):
            self._buffer_rest(data, sent)
            return
        self.unsent = b""
        if self._blocked or self.is_closing or self._eof_requested:
            self._all_sent()

    def send(self, data: Bytes) -> None:
        """Send `data` now."""
        if self.unsent or self.is_closing:
            self._append_unsent(data)
            return
        if not data:
            return
        try:
            sent = self._tls.write(data)
        except WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self.fail(error)
            return
        if sent != len(data):
            self._buffer_rest(data, sent)

    def _shut_down(self) -> None:
        # The end of what is sent, for the peer's TLS first (RFC 8446, section 6.1).
        self._notify_close()
        super()._shut_down()

    def _notify_close(self) -> None:
        """Send a close_notify, and wait for none."""
        # It raises where the peer's has not come yet, and where there is no TLS any more.
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()
            self._is_unwrapped = True

    def _disconnect(self, error: Exception | None) -> None:
        if self.descriptor < 0:
            return
        if self._on_close is not None:
            self._on_close(self._tls)
            self._on_close = None
        if error is None and not self._eof_requested:
            self._notify_close()
        # What follows closes the bare descriptor.
        self._tls.detach()
        super()._disconnect(error)
