"""The transport of one connected socket, to a client or an upstream.

It has the methods of asyncio's transports and calls those of asyncio's protocols, but works on the bare
descriptor and the loop's readiness callbacks: a response is sent at once where it is written, and an idle
connection holds a fifth of the memory.
"""

import asyncio
import socket
from collections.abc import Callable
from os import close, read, write
from typing import Protocol

from proxy.send_queue import SendQueue, report

Bytes = bytes | bytearray | memoryview

_READ_BYTES = 32 * 1024
"""Read size: a request whose body is collected takes one read, and may wait for the upstream."""
MAX_UPSTREAM_READ_BYTES = 112 * 1024
"""Read size after a full read of an upstream: a page of 100 KiB takes one read."""
_HIGH_WATER_BYTES = 64 * 1024


class Watch(Protocol):
    """What calls the reader: the event loop, or what it calls itself."""

    def add_reader(self, descriptor: int, reader: Callable[[], object], /) -> object:
        """Call `reader` whenever the descriptor is readable."""

    def remove_reader(self, descriptor: int, /) -> bool:
        """Stop watching."""


class Transport:
    """One connected, non-blocking socket; it is no longer watched once `connection_lost` was called.

    Attributes:
        descriptor: that of the socket; -1 once the connection is lost.
        unsent: data that is still to be sent.
        is_reading: whether input is read.
        has_ended: whether the peer has closed its side.
        is_full: whether the protocol was told to pause.
        is_closing: whether the transport is closing or closed.
    """

    __slots__ = (
        "_blocked", "_eof_requested", "_max_read_bytes", "_on_readable", "_protocol", "_read_bytes", "_sends",
        "_watch", "descriptor", "has_ended", "is_closing", "is_full", "is_reading", "unsent",
    )  # fmt: skip

    can_splice = True
    """Whether the kernel may move content to it and from it as it is."""

    def __init__(
        self,
        sends: SendQueue,
        descriptor: int,
        protocol: asyncio.Protocol,
        watch: "Watch | None" = None,
        max_read_bytes: int = _READ_BYTES,
    ) -> None:
        self._sends = sends
        self._watch: Watch = watch or sends.loop
        self._max_read_bytes = max_read_bytes
        self.descriptor = descriptor
        self._protocol: asyncio.Protocol = protocol
        self.unsent: Bytes = b""
        self._read_bytes = _READ_BYTES
        self._on_readable: Callable[[], None] | None = None
        self.is_reading = True
        self.has_ended = False
        self._blocked = False
        self.is_full = False
        self._eof_requested = False
        self.is_closing = False
        self._watch.add_reader(descriptor, self.read_ready)

    # Calls of the loop and the send queue.

    def read_ready(self) -> None:
        """Read what has arrived."""
        if not self.is_reading:
            return
        try:
            data = read(self.descriptor, self._read_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self._disconnect(error)
            return
        try:
            if data:
                if len(data) == self._read_bytes:
                    self._read_bytes = self._max_read_bytes
                self._protocol.data_received(data)
            else:
                self._read_eof()
        except Exception as error:  # noqa: BLE001 - one connection's bug must not end the others
            report(self, error)

    def flush(self) -> None:
        """Send unsent data as far as the socket accepts it."""
        data = self.unsent
        if not data:
            if self._blocked:
                self._all_sent()
            return
        try:
            sent = write(self.descriptor, data)
        except BlockingIOError:
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

    def _write_ready(self) -> None:
        try:
            self.flush()
        except Exception as error:  # noqa: BLE001 - as in `read_ready`
            report(self, error)

    # Calls of the protocol.

    def send(self, data: Bytes) -> None:
        """Send `data` now."""
        if self.unsent or self.is_closing:
            self._append_unsent(data)
            return
        try:
            sent = write(self.descriptor, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.fail(error)
            return
        if sent != len(data):
            self._buffer_rest(data, sent)

    def write(self, data: Bytes) -> None:
        """Send `data` at the end of this turn, together with other writes."""
        if not self.unsent and not self.is_closing:
            self.unsent = data
            self._sends.add(self)
        else:
            self._append_unsent(data)

    def write_careful(self, data: Bytes) -> None:
        """As `write`, but not if input is found to have arrived meanwhile: that is read first."""
        if self._append_unsent(data):
            self._sends.add_careful(self)

    @property
    def is_deferred(self) -> bool:
        """Return whether none of the unsent data has been sent yet."""
        return bool(self.unsent) and not self._blocked

    def write_eof(self) -> None:
        """Shut down the sending side after the unsent data."""
        self._eof_requested = True
        if not self.unsent and self.descriptor >= 0:
            self._shut_down()

    def pause_reading(self) -> None:
        """Leave input to the kernel, which slows the peer down."""
        if self.is_reading:
            self.is_reading = False
            self._watch.remove_reader(self.descriptor)

    def resume_reading(self) -> None:
        """Read again."""
        if not self.is_reading and not self.has_ended and self.descriptor >= 0:
            self.is_reading = True
            self._watch.add_reader(self.descriptor, self._on_readable or self.read_ready)

    def read_with(self, on_readable: Callable[[], None] | None) -> None:
        """Have another function read from now on; None: the transport itself again."""
        self._on_readable = on_readable
        self._read_bytes = _READ_BYTES
        if self.is_reading and self.descriptor >= 0:
            self._watch.add_reader(self.descriptor, on_readable or self.read_ready)

    def mark_blocked(self) -> None:
        """Note that the socket is full, as found by a writer that bypasses this transport."""
        self._wait_writable()
        if not self.is_full:
            self.is_full = True
            self._protocol.pause_writing()

    def fail(self, error: OSError) -> None:
        """Note that the connection is broken; call the protocol later, since the sender still runs."""
        self.is_closing = True
        self._sends.loop.call_soon(self._disconnect, error)

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """Replace the protocol."""
        self._protocol = protocol

    def close(self) -> None:
        """Close after the unsent data."""
        if self.is_closing:
            return
        self.is_closing = True
        if not self.unsent:
            self._disconnect(None)

    def abort(self) -> None:
        """Close now."""
        self._disconnect(None)

    def _read_eof(self) -> None:
        self.is_reading = False
        self.has_ended = True
        # A loop reports the end of the input for as long as it watches.
        self._watch.remove_reader(self.descriptor)
        keeps_open = self._protocol.eof_received()
        if not keeps_open or (self._eof_requested and not self.unsent):
            self.close()

    def _append_unsent(self, data: Bytes) -> bool:
        """Append to the unsent data; return whether a flush must be scheduled."""
        if self.is_closing:
            return False
        if not self.unsent:
            self.unsent = data
            return True
        self.unsent = b"".join((self.unsent, data))
        if self._blocked:
            self._maybe_pause()
        return False

    def _buffer_rest(self, data: Bytes, sent: int) -> None:
        """Keep the rest until the socket is writable."""
        self.unsent = memoryview(data)[sent:]
        self._wait_writable()
        self._maybe_pause()

    def _wait_writable(self) -> None:
        if not self._blocked:
            self._blocked = True
            self._sends.loop.add_writer(self.descriptor, self._write_ready)

    def _maybe_pause(self) -> None:
        if not self.is_full and len(self.unsent) > _HIGH_WATER_BYTES:
            self.is_full = True
            self._protocol.pause_writing()

    def _all_sent(self) -> None:
        if self.is_closing:
            self._disconnect(None)
            return
        if self._blocked:
            self._blocked = False
            self._sends.loop.remove_writer(self.descriptor)
        if self._eof_requested:
            self._shut_down()
        if self.is_full:
            self.is_full = False
            self._protocol.resume_writing()

    def _shut_down(self) -> None:
        sock = socket.SocketType(fileno=self.descriptor)
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._sends.loop.call_soon(self._disconnect, error)
        finally:
            sock.detach()
        if self.has_ended:
            # Both sides have sent their FIN.
            self._sends.loop.call_soon(self._disconnect, None)

    def _disconnect(self, error: Exception | None) -> None:
        descriptor = self.descriptor
        if descriptor < 0:
            return
        self.descriptor = -1
        self.is_closing = True
        loop = self._sends.loop
        if self.is_reading:
            self._watch.remove_reader(descriptor)
        if self._blocked:
            loop.remove_writer(descriptor)
        self._on_readable = None
        close(descriptor)
        protocol = self._protocol
        # No event comes from now on, and transport and protocol must not keep each other alive.
        del self._protocol
        protocol.connection_lost(error)
        # Not before: a request of which nothing was sent goes to another connection.
        self.unsent = b""
