"""One HTTP/2 connection of a worker, which carries the streams of several clients (RFC 9113).

Framing, HPACK and flow control are those of the library h2; this file moves bytes. A request costs many times
what one of HTTP/1.1 costs here: h2 is written for correctness, in Python.
"""

import contextlib
import errno
import socket
import ssl
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING

import h2.errors
import h2.events
import h2.exceptions

from bench.load import h2_endpoint, poller, tls

if TYPE_CHECKING:
    from bench.load.h2_client import Http2Group, StreamClient

_RECEIVE_BYTES = 65_536
_MAX_STREAM_ID = (1 << 31) - 1


class Http2Connection:
    """States: closed, connecting (its handshakes included), open, leaving (no new streams)."""

    _receive: Callable[[int], bytes]
    _send: Callable[[bytes], int]

    def __init__(self, group: "Http2Group") -> None:
        self._group = group
        self._sock: socket.socket | None = None
        self._fd = -1
        self._is_open = False
        self._is_leaving = False
        self._is_handling = False
        self._has_settings = False
        """Whether the settings of the server have arrived."""
        self._waiting: deque[StreamClient] = deque()
        """Clients whose request waits for the connection, or for a stream of it."""
        self._streams: dict[int, StreamClient] = {}
        self._unsent = b""
        self._bodies: dict[int, memoryview] = {}
        """What the flow control of the server has not allowed yet, by stream."""
        self._began_ns = 0

    # Calls of its clients.

    def request(self, client: "StreamClient") -> None:
        """Send the request of `client`: now, or when there is a connection with a free stream."""
        self._waiting.append(client)
        if self._sock is None:
            self._connect()
        else:
            self._send_waiting()

    def reset(self, client: "StreamClient") -> None:
        """Give up the stream of a client, or its wait for one."""
        if client in self._waiting:
            self._waiting.remove(client)
            return
        stream_id = next((each for each, owner in self._streams.items() if owner is client), None)
        if stream_id is not None:
            del self._streams[stream_id]
            self._bodies.pop(stream_id, None)
            self._cancel(stream_id)
            self._flush()

    def expire(self, now_ns: int) -> bool:
        """Fail the connect where it has taken too long; return whether the connection is not up."""
        if self._is_open:
            return False
        if self._sock is not None and now_ns - self._began_ns > self._group.connect_timeout_ns:
            if isinstance(self._sock, ssl.SSLSocket):
                self._fail_handshake(TimeoutError())
            else:
                self._fail("connect")
        return True

    def close_unused(self) -> None:
        """Close it, if no client uses it."""
        if not self._streams and not self._waiting:
            self._close()

    # Connect.

    def _connect(self) -> None:
        group = self._group
        self._began_ns = monotonic_ns()
        sock = self._sock = socket.socket(group.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        self._fd = sock.fileno()
        failure = sock.connect_ex(group.address)
        group.poller.register(self._fd, poller.WRITABLE, self._connected)
        if failure not in (0, errno.EINPROGRESS):
            self._fail("connect")

    def _connected(self) -> None:
        group, sock = self._group, self._sock
        assert sock is not None
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._fail("connect")
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        group.counters.connect.add(monotonic_ns() - self._began_ns)
        group.counters.opened += 1
        if group.layer is None:
            self._start()
            return
        self._handshake_ns = monotonic_ns()
        # `ssl` closes a socket that it cannot wrap, which the poller must not watch then.
        group.poller.unregister(self._fd)
        self._sock = None
        try:
            self._sock = group.layer.wrap(sock)
        except OSError as error:
            self._fail_handshake(error)
            return
        group.poller.register(self._fd, poller.READABLE, self._shake_hands)
        self._shake_hands()

    def _shake_hands(self) -> None:
        group, sock = self._group, self._sock
        assert isinstance(sock, ssl.SSLSocket)
        assert group.layer is not None
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
        group.layer.counts.add(sock)
        if sock.selected_alpn_protocol() != "h2":
            group.layer.counts.failures["it does not choose HTTP/2 (ALPN); leave out --http2"] += 1
            self._fail("tls")
            return
        self._start()

    def _start(self) -> None:
        group, sock = self._group, self._sock
        assert sock is not None
        if isinstance(sock, ssl.SSLSocket):
            self._receive, self._send = sock.read, sock.write
        else:
            self._receive, self._send = sock.recv, sock.send
        self._is_open, self._is_leaving, self._has_settings = True, False, False
        self._h2 = h2_endpoint.Endpoint()
        group.poller.modify(self._fd, poller.READABLE, self._readable)
        for _ in range(group.streams):
            group.connect_next()
        self._send_waiting()

    def _fail_handshake(self, error: OSError) -> None:
        assert self._group.layer is not None
        self._group.layer.counts.failures[str(tls.explain(error))] += 1
        self._fail("tls")

    # Exchanges.

    def _send_waiting(self) -> None:
        """Send the requests that wait, as far as the server allows streams, unless events are handled."""
        if not self._is_open or self._is_handling:
            return
        # Until the server has said what it allows (RFC 9113, section 5.1.2), one is certain.
        most = self._h2.remote_settings.max_concurrent_streams if self._has_settings else 1
        while self._waiting and not self._is_leaving and len(self._streams) < most:
            self._begin_stream(self._waiting.popleft())
        self._flush()

    def _begin_stream(self, client: "StreamClient") -> None:
        stream_id = self._h2.get_next_available_stream_id()
        if stream_id > _MAX_STREAM_ID - 2 * self._group.streams:
            self._is_leaving = True
        fields, body = client.begin_stream()
        self._streams[stream_id] = client
        self._h2.send_headers(stream_id, fields, end_stream=not body)
        if body:
            self._bodies[stream_id] = memoryview(body)
            self._send_body(stream_id)

    def _send_body(self, stream_id: int) -> None:
        """Send what the server allows of a body."""
        while (rest := self._bodies.get(stream_id)) is not None:
            allowed = min(
                self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size, len(rest)
            )
            if allowed <= 0:
                return
            is_last = allowed == len(rest)
            self._h2.send_data(stream_id, bytes(rest[:allowed]), end_stream=is_last)
            if is_last:
                del self._bodies[stream_id]
            else:
                self._bodies[stream_id] = rest[allowed:]

    def _flush(self) -> None:
        """Send what h2 has written."""
        was_blocked = bool(self._unsent)
        self._unsent += self._h2.data_to_send()
        if self._unsent and not was_blocked:
            self._write()

    def _write(self) -> None:
        try:
            sent = self._send(self._unsent)
        except self._group.would_block:
            sent = 0
        except OSError:
            self._fail("reset")
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._group.poller.modify(self._fd, poller.READABLE | poller.WRITABLE, self._writable)

    def _writable(self) -> None:
        """Send what is left, and read: a server whose answers nobody takes may read no further."""
        self._write()
        if self._is_open and not self._unsent:
            self._group.poller.modify(self._fd, poller.READABLE, self._readable)
        if self._is_open:
            self._readable()

    def _readable(self) -> None:
        try:
            data = self._receive(_RECEIVE_BYTES)
        except self._group.would_block:
            return
        except OSError:
            data = b""
        if not data:
            self._fail("reset")
            return
        now_ns = monotonic_ns()
        self._is_handling = True
        try:
            for event in self._h2.receive_data(data):
                self._handle(event, now_ns)
        except h2.exceptions.ProtocolError:
            self._is_handling = False
            self._fail("protocol")
            return
        self._is_handling = False
        if self._is_leaving and not self._streams:
            self._reopen()
            return
        for stream_id in list(self._bodies):
            self._send_body(stream_id)
        self._send_waiting()

    def _handle(self, event: h2.events.Event, now_ns: int) -> None:
        if isinstance(event, h2.events.DataReceived):
            if event.flow_controlled_length:
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if (client := self._streams.get(event.stream_id)) is not None:
                client.response.feed(event.data)
        elif isinstance(event, h2.events.ResponseReceived):
            if (client := self._streams.get(event.stream_id)) is not None:
                client.response.begin([(bytes(name), bytes(value)) for name, value in event.headers])
        elif isinstance(event, h2.events.StreamEnded):
            if self._bodies.pop(event.stream_id, None) is not None:
                # What is not sent yet is of no use any more (RFC 9113, section 8.1).
                self._cancel(event.stream_id)
            if (client := self._streams.pop(event.stream_id, None)) is not None:
                client.finish(now_ns)
        else:
            self._handle_rare(event)

    def _handle_rare(self, event: h2.events.Event) -> None:
        """Handle what comes once in many responses, or hardly ever."""
        if isinstance(event, h2.events.StreamReset):
            self._bodies.pop(event.stream_id, None)
            if (client := self._streams.pop(event.stream_id, None)) is not None:
                client.fail_alone("reset")
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self._has_settings = True
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._leave(event)

    def _leave(self, event: h2.events.ConnectionTerminated) -> None:
        """Note a GOAWAY: nothing was done for streams after its last (RFC 9113, section 6.8).

        Their requests are sent again on the next connection, unless this one was ended for an error, or
        before it has served any.
        """
        self._is_leaving = True
        last = event.last_stream_id or 0
        unserved = [each for each in self._streams if each > last]
        for stream_id in unserved:
            self._bodies.pop(stream_id, None)
        clients = [self._streams.pop(stream_id) for stream_id in unserved]
        if last and event.error_code == h2.errors.ErrorCodes.NO_ERROR:
            self._waiting.extendleft(reversed(clients))
            return
        for client in clients:
            client.fail_alone("reset")

    def _cancel(self, stream_id: int) -> None:
        # It raises where the server has ended the stream as well.
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)

    # Ends.

    def _reopen(self) -> None:
        self._close()
        if self._waiting:
            self._connect()

    def _close(self) -> None:
        if self._sock is None:
            return
        self._group.poller.unregister(self._fd)
        if isinstance(self._sock, ssl.SSLSocket) and self._is_open and self._group.layer is not None:
            self._group.layer.keep_session(self._sock)
            with contextlib.suppress(OSError, ValueError):
                self._sock.unwrap()
        self._sock.close()
        self._sock = None
        self._is_open = self._is_leaving = False
        self._unsent = b""
        self._bodies.clear()

    def _fail(self, kind: str) -> None:
        """End the connection, and the exchange of each client that uses it, with an error of this kind.

        Those that wait for a stream of an open connection have sent nothing: they wait for the next one.
        """
        clients = list(self._streams.values())
        self._streams.clear()
        if not self._is_open:
            clients += self._waiting
            self._waiting.clear()
        self._reopen()
        for client in clients:
            client.fail_alone(kind)
