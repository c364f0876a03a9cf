"""The clients of one worker. Each client has one connection and one exchange at a time.

A client is a small state machine that the poller drives: closed, connecting, busy, idle. After an
exchange, the group decides what the client does: start the next one at once (closed loop), take the next
request that is due (open loop), wait (its connect failed) or stop (the window is over). A client that
always starts the next one at once is on the fast path: fast_path.py drives its ordinary exchanges.

Errors of the subject are data: they are counted by kind, and the client continues.
  connect   the connection failed, or was not established in time
  tls       its TLS handshake failed, or was not over in time
  timeout   no complete response in time, or no free connection
  reset     the connection ended before the body of the response began
  protocol  bytes that are not a response to the request
  status    a complete response with an unexpected status
  body      a body that is truncated or not the expected one
  mismatch  the response to another request
"""

import errno
import socket
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from bench.load import http11, poller
from bench.load.counters import LoadCounters
from bench.load.job import LoadJob
from bench.load.messages import RequestBuilder, ResponseCheck
from bench.load.ordinary import OrdinaryCheck
from bench.load.poller import Poller
from bench.load.schedule import LATE_NS, Pacer

MAX_CONNECTING = 64
"""Initial connects at once, and connects retried per tenth of a second: half of the smallest common backlog
(128), so that a dead server is not flooded.
"""

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
        self._unsent: bytes | memoryview = b""
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
        try:
            sent = self.send(request)
        except group.would_block:
            sent = 0
        except OSError:
            self.fail("reset")
            return
        if sent != len(request):
            self.send_later(request[sent:])
        elif group.uses_fast_path:
            group.on_fast_path[self._fd] = self

    def send_later(self, rest: bytes) -> None:
        """Send the rest of a request when the socket is writable."""
        self._unsent = memoryview(rest)  # so that no write copies what is left after it
        self._group.on_fast_path.pop(self._fd, None)
        self._group.poller.modify(self._fd, poller.WRITABLE, self._writable)

    def _writable(self) -> None:
        try:
            self._unsent = self._unsent[self.send(self._unsent) :]
        except self._group.would_block:
            return
        except OSError:
            self.fail("reset")
            return
        if not self._unsent:
            self._group.poller.modify(self._fd, poller.READABLE, self._readable)

    def _readable(self) -> None:
        try:
            data = self.receive(RECEIVE_BYTES)
        except self._group.would_block:
            return
        except OSError:
            self.fail("reset")
            return
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
        if not keep_alive or self._exchanges == self._group.exchanges_per_connection:
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


MakeClient = Callable[["ClientGroup"], LoadClient]


class ClientGroup:
    """All clients of one worker; decides what each does next."""

    would_block: tuple[type[OSError], ...] = (BlockingIOError,)
    """What a socket raises that is not ready, as those of its clients do."""

    def __init__(
        self, job: LoadJob, poller: Poller, counters: LoadCounters, make_client: MakeClient | None = None
    ) -> None:
        """Make the clients, by `make_client` where they are no plain ones."""
        self.poller = poller
        self.counters = counters
        self.family = socket.AF_INET6 if ":" in job.host else socket.AF_INET
        self.address = (job.host, job.port)
        self.method = job.method.encode()
        self.connect_timeout_ns = round(job.connect_timeout_s * 1e9)
        self.request_timeout_ns = round(job.request_timeout_s * 1e9)
        self.total_timeout_ns = round(job.total_timeout_s * 1e9)
        self.exchanges_per_connection = 1 if job.is_short else job.requests_per_connection
        self.ordinary_check = OrdinaryCheck(job)
        self.response_check = ResponseCheck(job)
        self.next_request = iter(RequestBuilder(job)).__next__
        """Return number and bytes of the next request."""
        self.pacer: Pacer | None = None
        self.uses_fast_path = False
        """Whether a client continues at once after a correct response that left its connection open."""
        self.on_fast_path: dict[int, LoadClient] = {}
        """By descriptor, the clients that wait for an ordinary response and then continue at once."""
        self._job = job
        self._clients = [(make_client or LoadClient)(self) for _ in range(job.connections)]
        self._idle: list[LoadClient] = []
        self._waiting: deque[LoadClient] = deque()
        self._draining = False
        self._busy_in_drain = 0

    def start(self, start_ns: int, end_ns: int) -> None:
        """Start the clients; in open loop, requests are due until `end_ns`."""
        if self._job.rate is None:
            self.uses_fast_path = self.exchanges_per_connection is None
            self._waiting.extend(self._clients)
            for _ in range(min(MAX_CONNECTING, len(self._waiting))):
                self.connect_next()
        else:
            self.pacer = Pacer(start_ns, self._job.rate, self._job.rate_phase, end_ns)
            self._idle.extend(reversed(self._clients))

    def connect_next(self) -> None:
        """Start the client that has waited longest to connect, if any."""
        if self._waiting and not self._draining:
            self._waiting.popleft().begin()

    def exchange_ended(self, client: LoadClient, is_unreachable: bool = False) -> None:
        """Decide what `client` does next; `is_unreachable`: its connect failed."""
        if self._draining:
            client.close()
            self._busy_in_drain -= 1
        elif self.pacer is not None:
            self._assign_or_idle(client, is_unreachable)
        elif is_unreachable:
            self._waiting.append(client)
        else:
            client.begin()

    def _assign_or_idle(self, client: LoadClient, is_unreachable: bool) -> None:
        assert self.pacer is not None
        now_ns = monotonic_ns()
        # Not to one that cannot connect: `assign_due` would pick it again, one exchange deeper in the stack.
        due_ns = None if is_unreachable else self.pacer.take_due(now_ns)
        if due_ns is None:
            client.wait_idle()
            self._idle.append(client)
        else:
            self._assign(client, due_ns, now_ns)

    def _assign(self, client: LoadClient, due_ns: int, now_ns: int) -> None:
        if now_ns - due_ns > LATE_NS:
            self.counters.late += 1
        client.begin(due_ns)

    def assign_due(self, now_ns: int) -> int | None:
        """Assign due requests to idle clients; return when the next is due, None if unknown."""
        if self.pacer is None or self._draining:
            return None
        while self._idle:
            due_ns = self.pacer.take_due(now_ns)
            if due_ns is None:
                return self.pacer.next_due_ns
            self._assign(self._idle.pop(), due_ns, monotonic_ns())
        return None

    def sweep(self, now_ns: int) -> None:
        """Fail expired exchanges, and retry some of the failed connects."""
        for client in self._clients:
            client.expire(now_ns)
        if self.pacer is not None and not self._draining:
            self.counters.errors["timeout"] += self.pacer.drop_due(now_ns - self.total_timeout_ns)
        for _ in range(min(MAX_CONNECTING, len(self._waiting))):
            self.connect_next()

    def drain(self, now_ns: int) -> None:
        """Start no more exchanges; each client stops when its current one ends."""
        self.uses_fast_path = False
        self.on_fast_path.clear()
        self._draining = True
        if self.pacer is not None:
            self.counters.never_started += self.pacer.drop_due(now_ns)
        self._busy_in_drain = sum(client.busy for client in self._clients)
        for client in self._clients:
            if not client.busy:
                client.close()

    def handshakes(self) -> dict[str, Any] | None:
        """Return what was counted of TLS handshakes, as plain values; None where there are none."""
        return None

    @property
    def is_drained(self) -> bool:
        """Return whether the last exchange of a drain has ended."""
        return self._draining and self._busy_in_drain == 0

    def abandon(self) -> None:
        """End the drain: fail the exchanges that are left."""
        for client in self._clients:
            if client.busy:
                client.abandon()
