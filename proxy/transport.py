"""The transport of one connected socket, to a client or an upstream.

It has the methods of asyncio's transports and calls those of asyncio's protocols, but works on the bare
descriptor: a response is sent at once where it is written, with one system call.
"""

import os
import socket
from functools import partial
from typing import Protocol

from proxy.poller import EDGE_TRIGGERED, PEER_CLOSED, READABLE, WRITABLE, Poller

_READS = READABLE | PEER_CLOSED | EDGE_TRIGGERED
_READS_AND_WRITES = _READS | WRITABLE
_READ_BYTES = 16 * 1024
_READ_MORE_BYTES = 256 * 1024
"""Read size after a full read: more of the same is likely."""
_HIGH_WATER_BYTES = 64 * 1024


class TransportProtocol(Protocol):
    """The receiver of a transport's events, as asyncio.Protocol."""

    def data_received(self, data: bytes) -> None:
        """Process received bytes."""

    def eof_received(self) -> bool:
        """Handle the peer's FIN; return whether the transport stays open for sending."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection, with or without an error."""

    def pause_writing(self) -> None:
        """Stop sending: the peer does not read."""

    def resume_writing(self) -> None:
        """Send again: the peer has read everything."""


class _NullProtocol:
    """The protocol of a lost transport: avoids a reference cycle of transport and protocol."""

    def data_received(self, data: bytes) -> None:
        """Ignore the data."""
        pass

    def eof_received(self) -> bool:
        """Close the transport."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Ignore the end."""
        pass

    def pause_writing(self) -> None:
        """Ignore the pause."""
        pass

    def resume_writing(self) -> None:
        """Ignore the resumption."""
        pass


_NULL_PROTOCOL = _NullProtocol()


class Transport:
    """One connected, non-blocking socket; it is no longer watched once `connection_lost` was called."""

    __slots__ = (
        "_blocked",
        "_closing",
        "_eof_received",
        "_eof_requested",
        "_events",
        "_paused",
        "_poller",
        "_protocol",
        "_read_bytes",
        "_reading",
        "descriptor",
        "unsent",
    )  # fmt: skip

    def __init__(self, poller: Poller, descriptor: int, protocol: TransportProtocol) -> None:
        self._poller = poller
        self.descriptor = descriptor
        """-1 once the connection is lost."""
        self._protocol: TransportProtocol = protocol
        self.unsent: bytes | memoryview = b""
        """Data that is still to be sent."""
        self._events = _READS
        self._read_bytes = _READ_BYTES
        self._reading = True
        self._eof_received = False
        self._blocked = False
        self._paused = False
        self._eof_requested = False
        self._closing = False
        poller.register(descriptor, self, _READS)

    # Calls of the poller.

    def read(self) -> None:
        """Read what has arrived, unless reading is paused: `resume_reading` rearms the event."""
        if not self._reading:
            return
        try:
            data = os.read(self.descriptor, self._read_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self._disconnect(error)
            return
        if not data:
            self._read_eof()
            return
        if len(data) == self._read_bytes:
            self._read_bytes = _READ_MORE_BYTES
            self.rearm()
        self._protocol.data_received(data)

    def ready(self, events: int) -> None:
        """Send and read as far as the socket allows."""
        if events & WRITABLE and self._blocked:
            self.flush()
        if events & ~(WRITABLE | READABLE | PEER_CLOSED):
            self._handle_hang_up()
        elif events & (READABLE | PEER_CLOSED) and self.descriptor >= 0:
            self.read()
        if events & ~(WRITABLE | READABLE) and self._reading and not self._eof_received:
            # There may be more to read before the end.
            self.rearm()

    def flush(self) -> None:
        """Send unsent data as far as the socket accepts it."""
        data = self.unsent
        if not data:
            if self._blocked:
                self._all_sent()
            return
        try:
            sent = os.write(self.descriptor, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._disconnect(error)
            return
        if sent != len(data):
            self._buffer_rest(data, sent)
            return
        self.unsent = b""
        if self._blocked or self._closing or self._eof_requested:
            self._all_sent()

    # Calls of the protocol.

    def send(self, data: bytes | memoryview) -> None:
        """Send `data` now."""
        if self.unsent or self._closing:
            self.write(data)
            return
        try:
            sent = os.write(self.descriptor, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.fail(error)
            return
        if sent != len(data):
            self._buffer_rest(data, sent)

    def write(self, data: bytes | memoryview) -> None:
        """Send `data` at the end of this iteration, together with other writes."""
        if self._append_unsent(data):
            self._poller.end_of_iteration.append(self.flush)

    def defer(self, data: bytes | memoryview) -> None:
        """Send `data` after all input that has arrived is read: that input cannot answer `data`."""
        if self.unsent or self._closing:
            self._append_unsent(data)
        else:
            self.unsent = data
            self._poller.deferred.append(self)

    @property
    def is_deferred(self) -> bool:
        """Return whether none of the unsent data has been sent yet."""
        return bool(self.unsent) and not self._blocked

    def write_eof(self) -> None:
        """Shut down the sending side after the unsent data."""
        self._eof_requested = True
        if not self.unsent and self.descriptor >= 0:
            self._shut_down()

    @property
    def is_closing(self) -> bool:
        """Return whether the transport is closing or closed."""
        return self._closing

    def pause_reading(self) -> None:
        """Leave input to the kernel, which slows the peer down."""
        self._reading = False

    def resume_reading(self) -> None:
        """Read again."""
        self._reading = True
        self.rearm()

    def rearm(self) -> None:
        """Have the poller report pending events again."""
        if self.descriptor >= 0:
            self._poller.modify(self.descriptor, self._events)

    def reset_read_size(self) -> None:
        """Expect no more than a head in the next read."""
        self._read_bytes = _READ_BYTES

    def mark_blocked(self) -> None:
        """Note that the socket is full, as found by a writer that bypasses this transport."""
        self._wait_writable()
        if not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def fail(self, error: OSError) -> None:
        """Note that the connection is broken; call the protocol later, since the sender still runs."""
        self._closing = True
        self._poller.next_iteration.append(partial(self._disconnect, error))

    def set_protocol(self, protocol: TransportProtocol) -> None:
        """Replace the protocol."""
        self._protocol = protocol

    def close(self) -> None:
        """Close after the unsent data."""
        if self._closing:
            return
        self._closing = True
        if not self.unsent:
            self._disconnect(None)

    def abort(self) -> None:
        """Close now."""
        self._disconnect(None)

    def _read_eof(self) -> None:
        self._eof_received = True
        keeps_open = self._protocol.eof_received()
        if not keeps_open or self._eof_sent:
            self.close()

    def _handle_hang_up(self) -> None:
        """Find out by reading, even if paused, how the connection has ended."""
        if self.descriptor < 0:
            return
        if self._eof_received:
            self._disconnect(None if self._eof_sent else ConnectionResetError())
        else:
            self._reading = True
            self.read()

    @property
    def _eof_sent(self) -> bool:
        return self._eof_requested and not self.unsent

    def _append_unsent(self, data: bytes | memoryview) -> bool:
        """Append to the unsent data; return whether a flush must be scheduled."""
        if self._closing:
            return False
        if not self.unsent:
            self.unsent = data
            return True
        self.unsent = b"".join((self.unsent, data))
        if self._blocked:
            self._maybe_pause()
        return False

    def _buffer_rest(self, data: bytes | memoryview, sent: int) -> None:
        """Keep the rest until the socket is writable."""
        self.unsent = memoryview(data)[sent:]
        self._wait_writable()
        self._maybe_pause()

    def _wait_writable(self) -> None:
        self._blocked = True
        self._events = _READS_AND_WRITES
        self.rearm()

    def _maybe_pause(self) -> None:
        if not self._paused and len(self.unsent) > _HIGH_WATER_BYTES:
            self._paused = True
            self._protocol.pause_writing()

    def _all_sent(self) -> None:
        if self._closing:
            self._disconnect(None)
            return
        self._blocked = False
        if self._eof_requested:
            self._shut_down()
        if self._paused:
            self._paused = False
            self._protocol.resume_writing()

    def _shut_down(self) -> None:
        sock = socket.SocketType(fileno=self.descriptor)
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._poller.next_iteration.append(partial(self._disconnect, error))
        finally:
            sock.detach()
        if self._eof_received:
            # Both sides have sent their FIN.
            self._poller.next_iteration.append(partial(self._disconnect, None))

    def _disconnect(self, error: Exception | None) -> None:
        descriptor = self.descriptor
        if descriptor < 0:
            return
        self.descriptor = -1
        self._closing = True
        self.unsent = b""
        self._poller.forget(descriptor)
        os.close(descriptor)
        protocol, self._protocol = self._protocol, _NULL_PROTOCOL
        protocol.connection_lost(error)
