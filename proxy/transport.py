"""Transports for sockets that the proxy has connected itself.

uvloop makes a transport of a connected socket by way of a task, seven system calls and another turn of the
loop: a third of what a short exchange costs. Here it is one call of epoll_ctl. All of one worker's sockets
share an epoll of their own, which the loop watches as a single descriptor.
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import Any

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_READ_BYTES = 16 * 1024
_READ_MORE_BYTES = 256 * 1024
"""Once a read has filled its buffer, more of the same is to be expected."""
_HIGH_WATER_BYTES = 64 * 1024


_NOBODY = asyncio.Protocol()


class Poller:
    """Watches one worker's sockets, and sends what they have to send once in a turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._epoll = select.epoll()
        self._transports: dict[int, SocketTransport] = {}
        self.unsent: list[SocketTransport] = []
        """The transports that have something to send in this turn; always the same list."""
        loop.add_reader(self._epoll.fileno(), self._ready)

    def add(self, descriptor: int, transport: SocketTransport) -> None:
        """Begin to watch a socket for what comes in."""
        self._transports[descriptor] = transport
        self._epoll.register(descriptor, _IN)

    def watch(self, descriptor: int, events: int) -> None:
        """Watch a socket for these events from now on."""
        self._epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Forget a socket that is about to be closed, which ends epoll's interest in it."""
        del self._transports[descriptor]

    def send_soon(self) -> None:
        """Flush what is in `unsent` at the end of this turn."""
        self.loop.call_soon(self._flush)

    def close(self) -> None:
        """Stop watching."""
        self.loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _ready(self) -> None:
        transports = self._transports
        for descriptor, events in self._epoll.poll(0):
            # An earlier event may have closed this one.
            transport = transports.get(descriptor)
            if transport is None:
                continue
            if events == _IN:
                transport.read()
            else:
                transport.ready(events)

    def _flush(self) -> None:
        # What has come in is read first: it cannot be an answer to what is about to be sent.
        self._ready()
        # A transport that gets something to send meanwhile joins the end of the list.
        try:
            for transport in self.unsent:
                transport.flush()
        finally:
            self.unsent.clear()


class SocketTransport(asyncio.Transport):
    """One connected, non-blocking socket; its protocol learns at once when the connection is lost."""

    # What most sockets never change stands here once, and costs a new one nothing.
    _buffer = b""
    _read_bytes = _READ_BYTES
    _reading = True
    _sends = 0
    _paused = False
    _blocked = False
    _eof = False
    _closing = False
    _lost = False

    def __init__(self, poller: Poller, sock: socket.SocketType, protocol: asyncio.Protocol) -> None:
        self._poller = poller
        self._unsent = poller.unsent
        self._sock = sock
        self._descriptor = sock.fileno()
        self._protocol = protocol
        poller.add(self._descriptor, self)
        protocol.connection_made(self)

    # What the poller tells.

    def ready(self, events: int) -> None:
        """Read, and go on sending, as far as the socket allows."""
        if events & _OUT:
            self.flush()
        if events & ~(_OUT | _IN):
            # The connection has ended: that is learnt by reading, whether or not anybody wants to.
            self._reading = True
        if events & ~_OUT:
            self.read()

    def flush(self) -> None:
        """Send what there is to send, as far as the socket takes it."""
        data = self._buffer
        if not data or self._lost:
            return
        if self._sends < 2:
            self._note_send()
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        if sent == len(data):
            self._buffer = b""
            self._sent_all()
        else:
            self._buffer = data[sent:]
            self._blocked = True
            self._watch()
            self._maybe_pause()

    # What the protocol asks for.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`, at the end of this turn of the loop."""
        if self._closing:
            return
        if self._buffer:
            self._buffer += data
            self._maybe_pause()
        else:
            self._buffer = bytes(data)
            if not self._unsent:
                self._poller.send_soon()
            self._unsent.append(self)

    def write_eof(self) -> None:
        """Close this side, after what is still to be sent."""
        self._eof = True
        if not self._buffer and not self._lost:
            self._shut_down()

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def pause_reading(self) -> None:
        self._set_reading(False)

    def resume_reading(self) -> None:
        self._set_reading(True)

    def is_reading(self) -> bool:
        return self._reading

    def is_closing(self) -> bool:
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._sock if name == "socket" else default

    def close(self) -> None:
        """Close, after what is still to be sent."""
        if self._closing:
            return
        self._closing = True
        if not self._buffer:
            self._lose(None)

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        self._lose(None)

    def _note_send(self) -> None:
        """Turn off Nagle's algorithm once it could matter: many a short connection sends only once."""
        self._sends += 1
        if self._sends == 2:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self) -> None:
        """Read what has come in, unless an earlier event has closed this socket, or paused it."""
        if not self._reading or self._lost:
            return
        try:
            data = self._sock.recv(self._read_bytes)
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
        self._protocol.data_received(data)

    def _read_eof(self) -> None:
        keeps_open = self._protocol.eof_received()
        if self._lost:
            return
        if keeps_open:
            self._set_reading(False)
        else:
            self.close()

    def _set_reading(self, reading: bool) -> None:
        if self._reading is not reading and not self._lost:
            self._reading = reading
            self._watch()

    def _maybe_pause(self) -> None:
        if not self._paused and len(self._buffer) > _HIGH_WATER_BYTES:
            self._paused = True
            self._protocol.pause_writing()

    def _sent_all(self) -> None:
        if self._closing:
            self._lose(None)
            return
        if self._eof:
            self._shut_down()
        if self._blocked:
            self._blocked = False
            self._watch()
        if self._paused:
            self._paused = False
            self._protocol.resume_writing()

    def _watch(self) -> None:
        self._poller.watch(self._descriptor, (_IN if self._reading else 0) | (_OUT if self._blocked else 0))

    def _shut_down(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._buffer = b""
        self._poller.remove(self._descriptor)
        self._sock.close()
        # Without this the two would hold each other until the next collection, and leave the cache cold.
        protocol, self._protocol = self._protocol, _NOBODY
        protocol.connection_lost(error)
