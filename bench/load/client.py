"""A client of a worker. It has one connection and one exchange at a time.

A client is a small state machine that the poller drives: closed, connecting, busy, idle. After an
exchange, the group (client_group.py) decides what the client does: start the next one at once (closed loop),
take the next request that is due (open loop), wait (its connect failed) or stop (the window is over). One
that always starts the next at once is on the fast path: fast_path.py drives its ordinary exchanges.

Errors of the subject are data: they are counted by kind, and the client continues.
  connect   the connection failed, or was not established in time
  tls       its TLS handshake failed, or was not over in time
  timeout   no complete response in time, or no free connection
  reset     the connection was reset, or ended before the body of the response began
  protocol  bytes that are not a response to the request
  status    a complete response with an unexpected status
  body      a body that is truncated or not the expected one
  mismatch  the response to another request
"""

import errno
import socket
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING

from bench.load import http11, poller

if TYPE_CHECKING:
    from bench.load.client_group import ClientGroup

RECEIVE_BYTES = 65_536
"""Bytes per receive while a response may be short."""
_RECEIVE_BODY_BYTES = 262_144
"""Bytes per receive in the rest of a long body."""


class LoadClient:
    """One client. States: closed (no socket), connecting, busy (in an exchange), idle."""

    __slots__ = (
        "_began_ns",
        "_connecting",
        "_exchanges",
        "_fd",
        "_group",
        "_reader",
        "_sock",
        "_unsent",
        "busy",
        "due_ns",
        "number",
        "receive",
        "send",
        "since_ns",
    )
    receive: Callable[[int], bytes]
    """Receive up to so many bytes."""
    send: Callable[[bytes | memoryview], int]
    """Send what the socket takes; return how many bytes that was."""

    def __init__(self, group: "ClientGroup") -> None:
        self._group = group
        self._sock: socket.socket | None = None
        self._reader: http11.ResponseReader | None = None
        self._unsent = memoryview(b"")
        self._exchanges = 0
        self._connecting = False
        self.busy = False
        """Whether it is in an exchange, its connect included."""
        self.number = b""
        """The number of the current request."""

    def begin(self, due_ns: int | None = None) -> None:
        """Start an exchange that was due at `due_ns` (now, in a closed loop); connect if needed."""
        self.busy = True
        now_ns = self._began_ns = monotonic_ns()
        if self._sock is None:
            self.since_ns = now_ns
            self.due_ns = now_ns if due_ns is None else due_ns
            self._connect()
        else:
            self._group.poller.set_handler(self._fd, self._readable)
            self._send_request(due_ns)

    def close(self) -> None:
        """Close the connection, if there is one, and drop the current exchange."""
        self.busy = self._connecting = False
        self._reader = None
        self._unsent = memoryview(b"")
        if self._sock is not None:
            self._group.on_fast_path.pop(self._fd, None)
            self._group.poller.unregister(self._fd)
            self._sock.close()
            self._sock = None

    def expire(self, now_ns: int) -> None:
        """Fail the exchange if one of its timeouts has passed. Not while handlers run."""
        group = self._group
        if not self.busy:
            return
        if self._connecting and now_ns - self.since_ns > group.connect_timeout_ns:
            self.fail("connect")
        elif now_ns - self.due_ns > group.total_timeout_ns or (
            not self._connecting and now_ns - self.since_ns > group.request_timeout_ns
        ):
            self.fail("timeout")

    def abandon(self) -> None:
        """Fail the current exchange: the drain is over."""
        self.fail("timeout")

    def wait_idle(self) -> None:
        """Watch the connection, if there is one, for its end while there is no exchange."""
        self.busy = False
        if self._sock is not None:
            self._group.poller.set_handler(self._fd, self._idle_readable)

    # Connect.

    def _connect(self) -> None:
        group = self._group
        self._connecting = True
        sock = self._sock = socket.socket(group.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        self._fd = sock.fileno()
        failure = sock.connect_ex(group.address)
        group.poller.register(self._fd, poller.WRITABLE, self._connected)
        if failure not in (0, errno.EINPROGRESS):
            self.fail("connect")

    def _connected(self) -> None:
        group, sock = self._group, self._sock
        assert sock is not None
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.fail("connect")
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        group.counters.connect.add(monotonic_ns() - self.since_ns)
        group.counters.opened += 1
        self._exchanges = 0
        self.receive, self.send = sock.recv, sock.send
        self._established()

    def _established(self) -> None:
        """Go on when the connection is up."""
        self._start_exchanges()

    def _start_exchanges(self) -> None:
        """Send the first request."""
        self._connecting = False
        self._group.poller.modify(self._fd, poller.READABLE, self._readable)
        self._group.connect_next()
        self._send_request(self.due_ns)

    # Exchange.

    def _send_request(self, due_ns: int | None = None) -> None:
        group = self._group
        self.number, request = group.next_request()
        now_ns = self.since_ns = monotonic_ns()
        self.due_ns = now_ns if due_ns is None else due_ns
        if group.pacer is not None:
            group.counters.pacing.add(now_ns - self.due_ns)
        try:
            sent = self.send(request)
        except group.would_block:
            sent = 0
        except OSError:
            self.fail("reset")
            return
        if sent != len(request):
            self.send_later(memoryview(request)[sent:])
        elif group.uses_fast_path:
            group.on_fast_path[self._fd] = self

    def send_later(self, rest: memoryview) -> None:
        """Send the rest of a request when the socket is writable."""
        self._unsent = rest
        self._group.on_fast_path.pop(self._fd, None)
        self._group.poller.modify(self._fd, poller.READABLE | poller.WRITABLE, self._writable)

    def _writable(self) -> None:
        """Send what is left; RFC 9112, section 9.5: the response may come, and end it, before all is sent."""
        is_broken = False
        try:
            self._unsent = self._unsent[self.send(self._unsent) :]
        except self._group.would_block:
            pass
        except OSError:
            is_broken = True
        if not self._unsent:
            self._group.poller.modify(self._fd, poller.READABLE, self._readable)
        else:
            self._read_early(is_broken)

    def _read_early(self, is_broken: bool) -> None:
        """Read a response to a request that is not sent yet; `is_broken`: the rest never can be."""
        try:
            data = self.receive(RECEIVE_BYTES)
        except self._group.would_block:
            if is_broken:
                self.fail("reset")
            return
        except OSError:
            self.fail("reset")
            return
        self._group.poller.modify(self._fd, poller.READABLE, self._readable)
        self._check(data)

    def _readable(self) -> None:
        try:
            data = self.receive(RECEIVE_BYTES)
        except self._group.would_block:
            return
        except OSError:
            self.fail("reset")
            return
        self._check(data)

    def _check(self, data: bytes) -> None:
        """Check the first bytes of a response, or its end."""
        now_ns = monotonic_ns()
        checked = self._group.ordinary_check.check(data, self.number)
        if checked is None:
            self.read_unusual(data, now_ns)
        else:
            self.succeed(*checked, now_ns)

    def read_unusual(self, data: bytes, now_ns: int) -> None:
        """Read the first bytes, or the end (no bytes), of a response that is not an ordinary one."""
        group = self._group
        group.on_fast_path.pop(self._fd, None)
        group.poller.set_handler(self._fd, self._readable_rest)
        self._reader = http11.ResponseReader(group.method)
        self._read(self._reader, data, now_ns)

    def _readable_rest(self) -> None:
        """Read the rest of a response that is not an ordinary one."""
        try:
            data = self.receive(_RECEIVE_BODY_BYTES)
        except self._group.would_block:
            return
        except OSError:
            self.fail("reset")
            return
        assert self._reader is not None
        self._read(self._reader, data, monotonic_ns())

    def _read(self, reader: http11.ResponseReader, data: bytes, now_ns: int) -> None:
        try:
            if data:
                reader.feed(data)
            else:
                reader.end()
        except http11.ProtocolError:
            self.fail("protocol")
        except http11.TruncatedError as truncated:
            self.fail("body" if truncated.in_body else "reset")
        else:
            if reader.done:
                self._finish_response(reader, now_ns)

    def _finish_response(self, reader: http11.ResponseReader, now_ns: int) -> None:
        group = self._group
        kind = group.response_check.classify_error(reader, self.number)
        # After a mismatch the next response cannot be attributed.
        keep_alive = reader.keep_alive and kind not in ("protocol", "mismatch")
        self._reader = None
        if kind != "protocol":
            group.counters.count_status(reader.status, kind is None)
        group.poller.set_handler(self._fd, self._readable)
        if kind is None:
            self.succeed(reader.body_bytes, keep_alive, now_ns)
        else:
            group.counters.errors[kind] += 1
            self._end_exchange(keep_alive)

    def succeed(self, size: int, keep_alive: bool, now_ns: int) -> None:
        """End the exchange with a correct response that had arrived at `now_ns`."""
        group = self._group
        group.counters.latency.add(now_ns - self.due_ns)
        if group.pacer is not None:
            group.counters.service.add(now_ns - self._began_ns)
        group.counters.body_bytes += size
        self._end_exchange(keep_alive)

    def _end_exchange(self, keep_alive: bool) -> None:
        self._exchanges += 1
        # On a connection with half a request on it the next one could not be told apart.
        if not keep_alive or self._unsent or self._exchanges == self._group.exchanges_per_connection:
            self.close()
        self._group.exchange_ended(self)

    def fail(self, kind: str) -> None:
        """End the exchange with an error of this kind, and the connection with it."""
        self._group.counters.errors[kind] += 1
        self.close()
        self._group.exchange_ended(self, is_unreachable=kind in ("connect", "tls"))

    def _idle_readable(self) -> None:
        """Handle the end of an idle connection, or unsolicited bytes on it."""
        try:
            data = self.receive(RECEIVE_BYTES)
        except self._group.would_block:
            return
        except OSError:
            data = b""
        if data:
            self._group.counters.errors["protocol"] += 1  # RFC 9112, section 9.2.
        self.close()
