"""The transport of one connected socket, towards a client or an upstream alike. No HTTP.

It has the verbs of asyncio's transports and gives the calls of asyncio's protocols, but works on the bare
descriptor: a response is sent at once from where it is written, one system call and nothing around it.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Protocol

from proxy.poller import CHANGES, END, IN, OUT, Poller

_READS = IN | END | CHANGES
_READS_AND_WRITES = _READS | OUT
_READ_BYTES = 16 * 1024
_READ_MORE_BYTES = 256 * 1024
"""Once a read has filled its buffer, more of the same is to be expected."""
_HIGH_WATER_BYTES = 64 * 1024


class Receiver(Protocol):
    """Whom a transport serves."""

    def data_received(self, data: bytes) -> None:
        """Take what has come in."""

    def eof_received(self) -> bool:
        """Learn that no more will come in; True keeps the transport open for what is still to be sent."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the connection is over, by an error or without."""

    def pause_writing(self) -> None:
        """Learn that the other side does not take what is sent."""

    def resume_writing(self) -> None:
        """Learn that it has taken all of it."""


class _Nobody:
    """Whom a lost transport serves: it and its protocol would hold each other until the next collection."""

    def data_received(self, data: bytes) -> None:
        pass

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        pass

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass


_NOBODY = _Nobody()


class Transport:
    """One connected, non-blocking socket; it is not watched any more once `connection_lost` was told."""

    __slots__ = (
        "_blocked", "_closing", "_ended", "_events", "_paused", "_poller", "_protocol", "_read_bytes",
        "_reading", "_shutting", "descriptor", "unsent",
    )  # fmt: skip

    def __init__(self, poller: Poller, descriptor: int, protocol: Receiver) -> None:
        self._poller = poller
        self.descriptor = descriptor
        """-1 once it is lost."""
        self._protocol: Receiver = protocol
        self.unsent: bytes | memoryview = b""
        """What is still to be sent."""
        self._events = _READS
        self._read_bytes = _READ_BYTES
        self._reading = True
        self._ended = False
        self._blocked = False
        self._paused = False
        self._shutting = False
        self._closing = False
        poller.add(descriptor, self, _READS)

    # What the poller tells.

    def read(self) -> None:
        """Read what has come in, unless nobody wants it: who wants it again asks anew."""
        if not self._reading:
            return
        try:
            data = os.read(self.descriptor, self._read_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if not data:
            self._read_eof()
            return
        if len(data) == self._read_bytes:
            self._read_bytes = _READ_MORE_BYTES
            self.look_again()
        self._protocol.data_received(data)

    def ready(self, events: int) -> None:
        """Go on sending and read, as far as the socket allows."""
        if events & OUT and self._blocked:
            self.flush()
        if events & ~(OUT | IN | END):
            self._hang_up()
        elif events & (IN | END) and self.descriptor >= 0:
            self.read()
        if events & ~(OUT | IN) and self._reading and not self._ended:
            # There may be more to read before the end.
            self.look_again()

    def flush(self) -> None:
        """Send what there is to send, as far as the socket takes it."""
        data = self.unsent
        if not data:
            if self._blocked:
                self._sent_all()
            return
        try:
            sent = os.write(self.descriptor, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        if sent != len(data):
            self._keep(data, sent)
            return
        self.unsent = b""
        if self._blocked or self._closing or self._shutting:
            self._sent_all()

    # What the protocol asks for.

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
            self._keep(data, sent)

    def write(self, data: bytes | memoryview) -> None:
        """Send `data` at the end of this turn, together with what else is written."""
        if self._queue(data):
            self._poller.soon.append(self.flush)

    def hold(self, data: bytes | memoryview) -> None:
        """Send `data` once all that has come in by now was read: it cannot be an answer to that."""
        if self.unsent or self._closing:
            self._queue(data)
        else:
            self.unsent = data
            self._poller.held.append(self)

    @property
    def is_held(self) -> bool:
        """Whether nothing was sent yet of what is still to be sent."""
        return bool(self.unsent) and not self._blocked

    def write_eof(self) -> None:
        """Close this side, after what is still to be sent."""
        self._shutting = True
        if not self.unsent and self.descriptor >= 0:
            self._shut_down()

    @property
    def is_closing(self) -> bool:
        """Whether it was told to close, or has."""
        return self._closing

    def pause_reading(self) -> None:
        """Leave what comes in to the kernel, which lets the other side wait."""
        self._reading = False

    def resume_reading(self) -> None:
        """Read again."""
        self._reading = True
        self.look_again()

    def look_again(self) -> None:
        """Have the poller tell anew what is there."""
        if self.descriptor >= 0:
            self._poller.change(self.descriptor, self._events)

    def read_little(self) -> None:
        """Expect no more than a head next time."""
        self._read_bytes = _READ_BYTES

    def block(self) -> None:
        """Take it that the socket takes no more for now, as somebody found who sends past this transport."""
        self._wait_for_room()
        if not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def fail(self, error: OSError) -> None:
        """Take it that the connection is broken; told later, since whoever sends is in the middle of it."""
        self._closing = True
        self._poller.later.append(partial(self._lose, error))

    def set_protocol(self, protocol: Receiver) -> None:
        """Tell another one from now on."""
        self._protocol = protocol

    def close(self) -> None:
        """Close, after what is still to be sent."""
        if self._closing:
            return
        self._closing = True
        if not self.unsent:
            self._lose(None)

    def abort(self) -> None:
        """Close now."""
        self._lose(None)

    def _read_eof(self) -> None:
        self._ended = True
        keeps_open = self._protocol.eof_received()
        if not keeps_open or self._is_shut:
            self.close()

    def _hang_up(self) -> None:
        """Learn how the connection has ended, by reading, whether or not anybody wants to."""
        if self.descriptor < 0:
            return
        if self._ended:
            self._lose(None if self._is_shut else ConnectionResetError())
        else:
            self._reading = True
            self.read()

    @property
    def _is_shut(self) -> bool:
        return self._shutting and not self.unsent

    def _queue(self, data: bytes | memoryview) -> bool:
        """Add to what is to be sent; True when nobody has promised yet to send it."""
        if self._closing:
            return False
        if not self.unsent:
            self.unsent = data
            return True
        self.unsent = b"".join((self.unsent, data))
        if self._blocked:
            self._maybe_pause()
        return False

    def _keep(self, data: bytes | memoryview, sent: int) -> None:
        """Go on with the rest once the socket takes it."""
        self.unsent = memoryview(data)[sent:]
        self._wait_for_room()
        self._maybe_pause()

    def _wait_for_room(self) -> None:
        self._blocked = True
        self._events = _READS_AND_WRITES
        self.look_again()

    def _maybe_pause(self) -> None:
        if not self._paused and len(self.unsent) > _HIGH_WATER_BYTES:
            self._paused = True
            self._protocol.pause_writing()

    def _sent_all(self) -> None:
        if self._closing:
            self._lose(None)
            return
        self._blocked = False
        if self._shutting:
            self._shut_down()
        if self._paused:
            self._paused = False
            self._protocol.resume_writing()

    def _shut_down(self) -> None:
        sock = socket.SocketType(fileno=self.descriptor)
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._poller.later.append(partial(self._lose, error))
        finally:
            sock.detach()
        if self._ended:
            # Both sides have said their last.
            self._poller.later.append(partial(self._lose, None))

    def _lose(self, error: Exception | None) -> None:
        descriptor = self.descriptor
        if descriptor < 0:
            return
        self.descriptor = -1
        self._closing = True
        self.unsent = b""
        self._poller.remove(descriptor)
        os.close(descriptor)
        protocol, self._protocol = self._protocol, _NOBODY
        protocol.connection_lost(error)
