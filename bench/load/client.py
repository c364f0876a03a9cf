"""The clients of one worker. Each client has one connection and one exchange at a time.

A client is a small state machine that the poller drives: closed, connecting, busy, idle. What a
client does next, once an exchange has ended, the crowd decides: go on at once (closed loop), take
the next request that is due (open loop), rest (its connect failed) or stop (the window is over).
Where the next step is always to go on, a client is flowing, and flow.py drives its ordinary exchanges.

Errors of the subject are data here: they are counted by kind, and the client goes on.
  connect   the connection could not be made, or not in time
  timeout   no whole response in time, or no free connection
  reset     the connection ended before the body of the response began
  protocol  bytes that are no response to the request
  status    a whole response with a status that is not the right one
  body      a body cut short, or not the one that was expected
  mismatch  the response to another request
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from time import monotonic_ns

from bench.load import poller, wire
from bench.load.expect import Expectation, Requests
from bench.load.job import Job
from bench.load.pace import LATE_NS, Pacer
from bench.load.poller import Poller
from bench.load.tally import Tally

CONNECTS_AT_ONCE = 64
"""First connects under way at once, and connects retried per tenth of a second: half of the smallest
backlog that is still common (128), and what keeps a dead server from being hammered."""

RECEIVE_BYTES = 65_536
"""Bytes asked for at once while a response may be short."""
_RECEIVE_BODY = 262_144
"""Bytes asked for at once in the rest of a long body."""


class Client:
    """One client. States: closed (no socket), connecting, busy (an exchange is under way), idle."""

    __slots__ = (
        "_began_ns",
        "_connecting",
        "_crowd",
        "_exchanges",
        "_fd",
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

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._sock: socket.socket | None = None
        self._reader: wire.ResponseReader | None = None
        self._unsent = b""
        self._exchanges = 0
        self._connecting = False
        self.busy = False
        """Whether an exchange is under way, its connect included."""
        self.number = b""
        """The number of the request under way."""

    def begin(self, due_ns: int | None = None) -> None:
        """Begin an exchange that was due at `due_ns` (now, in a closed loop); connect where needed."""
        self.busy = True
        now_ns = self._began_ns = monotonic_ns()
        if self._sock is None:
            self.since_ns = now_ns
            self.due_ns = now_ns if due_ns is None else due_ns
            self._connect()
        else:
            self._crowd.poller.hand(self._fd, self._readable)
            self._send_request(due_ns)

    def close(self) -> None:
        """Close the connection, where there is one; what was under way is forgotten."""
        self.busy = self._connecting = False
        self._reader = None
        if self._sock is not None:
            self._crowd.flowing.pop(self._fd, None)
            self._crowd.poller.forget(self._fd)
            self._sock.close()
            self._sock = None

    def expire(self, now_ns: int) -> None:
        """Fail the exchange where one of its times is up. Not while handlers run."""
        crowd = self._crowd
        if not self.busy:
            return
        if self._connecting and now_ns - self.since_ns > crowd.connect_timeout_ns:
            self.fail("connect")
        elif now_ns - self.due_ns > crowd.total_timeout_ns or (
            not self._connecting and now_ns - self.since_ns > crowd.request_timeout_ns
        ):
            self.fail("timeout")

    def abandon(self) -> None:
        """Fail the exchange under way: the drain is over."""
        self.fail("timeout")

    def rest(self) -> None:
        """Watch the connection, where there is one, for its end while no exchange is under way."""
        self.busy = False
        if self._sock is not None:
            self._crowd.poller.hand(self._fd, self._idle_readable)

    # Connecting.

    def _connect(self) -> None:
        crowd = self._crowd
        self._connecting = True
        sock = self._sock = socket.socket(crowd.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        self._fd = sock.fileno()
        failure = sock.connect_ex(crowd.address)
        crowd.poller.watch(self._fd, poller.WRITABLE, self._connected)
        if failure not in (0, errno.EINPROGRESS):
            self.fail("connect")

    def _connected(self) -> None:
        crowd, sock = self._crowd, self._sock
        assert sock is not None
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.fail("connect")
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        crowd.tally.connect.add(monotonic_ns() - self.since_ns)
        crowd.tally.opened += 1
        self._connecting = False
        self._exchanges = 0
        self.receive, self.send = sock.recv, sock.send
        crowd.poller.turn(self._fd, poller.READABLE, self._readable)
        crowd.admit()
        self._send_request(self.due_ns)

    # One exchange.

    def _send_request(self, due_ns: int | None = None) -> None:
        crowd = self._crowd
        self.number, request = crowd.next_request()
        now_ns = self.since_ns = monotonic_ns()
        self.due_ns = now_ns if due_ns is None else due_ns
        try:
            sent = self.send(request)
        except OSError:
            self.fail("reset")
            return
        if sent != len(request):
            self.send_later(request[sent:])
        elif crowd.flows:
            crowd.flowing[self._fd] = self

    def send_later(self, rest: bytes) -> None:
        """Send the rest of a request that the socket would not take at once, when it takes more."""
        self._unsent = rest
        self._crowd.flowing.pop(self._fd, None)
        self._crowd.poller.turn(self._fd, poller.WRITABLE, self._writable)

    def _writable(self) -> None:
        try:
            self._unsent = self._unsent[self.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self.fail("reset")
            return
        if not self._unsent:
            self._crowd.poller.turn(self._fd, poller.READABLE, self._readable)

    def _readable(self) -> None:
        try:
            data = self.receive(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.fail("reset")
            return
        now_ns = monotonic_ns()
        size = self._crowd.expectation.ordinary_bytes(data, self.number)
        if size < 0:
            self.take(data, now_ns)
        else:
            self._succeed(size, now_ns, keeps=True)

    def take(self, data: bytes, now_ns: int) -> None:
        """Take the first bytes, or the end (no bytes), of a response that is not the ordinary one."""
        crowd = self._crowd
        crowd.flowing.pop(self._fd, None)
        crowd.poller.hand(self._fd, self._readable_on)
        self._reader = wire.ResponseReader(crowd.method)
        self._read(self._reader, data, now_ns)

    def _readable_on(self) -> None:
        """Read on in a response that is not the ordinary one."""
        try:
            data = self.receive(_RECEIVE_BODY)
        except BlockingIOError:
            return
        except OSError:
            self.fail("reset")
            return
        assert self._reader is not None
        self._read(self._reader, data, monotonic_ns())

    def _read(self, reader: wire.ResponseReader, data: bytes, now_ns: int) -> None:
        try:
            if data:
                reader.feed(data)
            else:
                reader.end()
        except wire.ProtocolError:
            self.fail("protocol")
        except wire.CutShortError as cut:
            self.fail("body" if cut.in_body else "reset")
        else:
            if reader.done:
                self._conclude(reader, now_ns)

    def _conclude(self, reader: wire.ResponseReader, now_ns: int) -> None:
        crowd = self._crowd
        kind = crowd.expectation.judge(reader, self.number)
        # After a mix-up nobody knows whose response comes next.
        keeps = reader.keep_alive and kind not in ("protocol", "mismatch")
        self._reader = None
        crowd.poller.hand(self._fd, self._readable)
        if kind is None:
            self._succeed(reader.body_bytes, now_ns, keeps)
        else:
            crowd.tally.errors[kind] += 1
            self._end_exchange(keeps)

    def _succeed(self, size: int, now_ns: int, keeps: bool) -> None:
        crowd = self._crowd
        crowd.tally.latency.add(now_ns - self.due_ns)
        if crowd.pacer is not None:
            crowd.tally.service.add(now_ns - self._began_ns)
        crowd.tally.body_bytes += size
        self._end_exchange(keeps)

    def _end_exchange(self, keeps: bool) -> None:
        self._exchanges += 1
        if not keeps or self._exchanges == self._crowd.exchanges_per_connection:
            self.close()
        self._crowd.ended(self)

    def fail(self, kind: str) -> None:
        """End the exchange with an error of this kind, and the connection with it."""
        self._crowd.tally.errors[kind] += 1
        self.close()
        self._crowd.ended(self, is_unreachable=kind == "connect")

    def _idle_readable(self) -> None:
        """The server ended an idle connection, or sent what nobody asked for."""
        try:
            data = self.receive(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._crowd.tally.errors["protocol"] += 1  # RFC 9112, section 9.2.
        self.close()


class Crowd:
    """All clients of one worker, and what each does next."""

    def __init__(self, job: Job, poller: Poller, tally: Tally) -> None:
        self.poller = poller
        self.tally = tally
        self.family = socket.AF_INET6 if ":" in job.host else socket.AF_INET
        self.address = (job.host, job.port)
        self.method = job.method.encode()
        self.connect_timeout_ns = round(job.connect_timeout_s * 1e9)
        self.request_timeout_ns = round(job.request_timeout_s * 1e9)
        self.total_timeout_ns = round(job.total_timeout_s * 1e9)
        self.exchanges_per_connection = 1 if job.is_short else job.requests_per_connection
        self.expectation = Expectation(job)
        self.next_request = iter(Requests(job)).__next__
        """Returns number and bytes of the next request."""
        self.pacer: Pacer | None = None
        self.flows = False
        """Whether a client simply goes on after a correct response that left its connection open."""
        self.flowing: dict[int, Client] = {}
        """By descriptor, the clients that simply go on and wait for an ordinary response."""
        self._job = job
        self._clients = [Client(self) for _ in range(job.connections)]
        self._idle: list[Client] = []
        self._waiting: deque[Client] = deque()
        self._draining = False
        self._busy_in_drain = 0

    def start(self, start_ns: int, end_ns: int) -> None:
        """Let the clients begin; in open loop, requests are due until `end_ns`."""
        if self._job.rate is None:
            self.flows = self.exchanges_per_connection is None
            self._waiting.extend(self._clients)
            for _ in range(min(CONNECTS_AT_ONCE, len(self._waiting))):
                self.admit()
        else:
            self.pacer = Pacer(start_ns, self._job.rate, self._job.rate_phase, end_ns)
            self._idle.extend(reversed(self._clients))

    def admit(self) -> None:
        """Let the client that has waited longest to connect begin, if one waits."""
        if self._waiting and not self._draining:
            self._waiting.popleft().begin()

    def ended(self, client: Client, is_unreachable: bool = False) -> None:
        """Decide what `client` does after an exchange; `is_unreachable`: it could not connect."""
        if self._draining:
            client.close()
            self._busy_in_drain -= 1
        elif self.pacer is not None:
            self._give_or_rest(client, is_unreachable)
        elif is_unreachable:
            self._waiting.append(client)
        else:
            client.begin()

    def _give_or_rest(self, client: Client, is_unreachable: bool) -> None:
        assert self.pacer is not None
        now_ns = monotonic_ns()
        # Not to one that cannot connect: `pace` would find it again, one exchange deeper in the stack.
        due_ns = None if is_unreachable else self.pacer.take(now_ns)
        if due_ns is None:
            client.rest()
            self._idle.append(client)
        else:
            self._give(client, due_ns, now_ns)

    def _give(self, client: Client, due_ns: int, now_ns: int) -> None:
        if now_ns - due_ns > LATE_NS:
            self.tally.late += 1
        client.begin(due_ns)

    def pace(self, now_ns: int) -> int | None:
        """Give what is due to idle clients; return when to come again, None where that is not known."""
        if self.pacer is None or self._draining:
            return None
        while self._idle:
            due_ns = self.pacer.take(now_ns)
            if due_ns is None:
                return self.pacer.next_due_ns
            self._give(self._idle.pop(), due_ns, monotonic_ns())
        return None

    def sweep(self, now_ns: int) -> None:
        """Fail what has taken too long, and let some of those retry that could not connect."""
        for client in self._clients:
            client.expire(now_ns)
        if self.pacer is not None and not self._draining:
            self.tally.errors["timeout"] += self.pacer.give_up(now_ns - self.total_timeout_ns)
        for _ in range(min(CONNECTS_AT_ONCE, len(self._waiting))):
            self.admit()

    def drain(self, now_ns: int) -> None:
        """Begin no exchange any more; clients stop as those under way end."""
        self.flows = False
        self.flowing.clear()
        self._draining = True
        if self.pacer is not None:
            self.tally.never_started += self.pacer.give_up(now_ns)
        self._busy_in_drain = sum(client.busy for client in self._clients)
        for client in self._clients:
            if not client.busy:
                client.close()

    @property
    def is_drained(self) -> bool:
        """Return whether the last exchange of a drain has ended."""
        return self._draining and self._busy_in_drain == 0

    def abandon(self) -> None:
        """End the drain: fail what is still under way."""
        for client in self._clients:
            if client.busy:
                client.abandon()
