"""One client connection: requests read in their order, each answered by the exchange; and its end."""

from __future__ import annotations

import enum

from proxy import forwarding
from proxy.errors import ClientProtocolError, ClientTimeout, ProxyError
from proxy.exchange import Exchange
from proxy.http11.request import read_request
from proxy.service import Service
from proxy.transport import Transport

LINGER_BYTES = 1 << 20
LINGER_S = 2.0
"""After a last answer, what the client may still send: cut off at once, it could lose the answer."""

_ERROR_KINDS = {
    408: "timeout",
    413: "body_too_large",
    414: "head_too_large",
    431: "head_too_large",
    507: "body_too_large",
}


class State(enum.Enum):
    """Where a client connection stands."""

    IDLE = enum.auto()
    """It waits for a request, of which nothing has come."""
    READING = enum.auto()
    """Something of a head has come, or even all of it."""
    ASKING = enum.auto()
    """Its exchange has the request, and must answer it."""
    LINGERING = enum.auto()
    """It was answered for the last time, and what it still sends is thrown away."""
    CLOSED = enum.auto()
    """Nothing more is read or written here; a tunnel may have the transport."""


# Looked up once: a member of an Enum costs a descriptor call each time.
_IDLE, _READING, _ASKING = State.IDLE, State.READING, State.ASKING
_LINGERING, _CLOSED = State.LINGERING, State.CLOSED


class ClientConnection:
    """Reads requests and has them answered in order; see State.

    Attributes:
        tail: what is added to each of its requests.
        closes: whether it ends with the answer under way.
        has_ended: whether the client sends no more: it waits for its answer, or is gone.
        deadline: when what it waits for has taken too long, on the clock of the sweep.
    """

    __slots__ = (
        "_buffer", "_exchange", "_lingered", "_read_paused", "_service", "_state", "_write_paused", "closes",
        "deadline", "has_ended", "tail", "transport",
    )  # fmt: skip

    transport: Transport

    def __init__(self, service: Service, address: str) -> None:
        self._service = service
        self._exchange = Exchange(service, self)
        self._state = _IDLE
        self._buffer = b""
        self._read_paused = False
        self._write_paused = False
        self._lingered = 0
        self.tail = service.writer.tail(address)
        self.closes = False
        self.has_ended = False
        self.deadline = service.idle_until

    # What the transport tells.

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        if not self._service.admit(self):
            self._answer_last(503, "too many clients")

    def data_received(self, data: bytes) -> None:
        if self._state is _IDLE and not self._write_paused:
            # Nearly every request comes alone and whole, and can be told from all others at one look.
            request = self._service.writer.pass_on(data, self.tail)
            if request is not None:
                self._state = _ASKING
                self._exchange.ask(request)
            else:
                self._read_request(data)
        elif self._state is _ASKING and not self._exchange.request_done:
            self._exchange.take(data)
        elif self._state is _LINGERING:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self.transport.abort()
        elif self._state is _READING and not self._write_paused:
            self._read_request(data)
        elif self._state is not _CLOSED:
            self._keep_for_later(data)

    def eof_received(self) -> bool:
        if self._state is not _ASKING or not self._exchange.request_done:
            return False
        # RFC 9112, section 9.6: a client may close its side and still wait for the answer. One that is gone
        # looks the same until something is sent to it, and so it is not waited with for long.
        self.closes = self.has_ended = True
        self.deadline = min(self.deadline, self._service.half_closed_until)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._state is _ASKING:
            self._exchange.abandon()
        self._state = _CLOSED
        self._service.forget(self)

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._state is _ASKING:
            self._exchange.pause()

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._state is _ASKING:
            self._exchange.resume()
        else:
            self._next_request()

    # Reading requests.

    def _read_request(self, data: bytes) -> None:
        """Read one that is unusual, or not whole, or followed by others."""
        service = self._service
        data = self._buffer + data
        try:
            head = read_request(data, service.limits)
        except ClientProtocolError as error:
            self._refuse(error)
            return
        if head is None:
            self._buffer = data
            if self._state is _IDLE:
                self._state = _READING
                self.deadline = service.head_until
            return
        self._state = _ASKING
        self.closes = not head.keep_alive or service.draining
        rest = data[head.size :]
        self._buffer = b"" if head.body else rest
        self._exchange.begin(head, rest)

    def _keep_for_later(self, data: bytes) -> None:
        """Keep the next request until the answers before it are out; the client waits, too."""
        self._buffer += data
        if self._state is _IDLE:
            self._state = _READING
        self.pause_reading()

    def _next_request(self) -> None:
        if self._state in (_IDLE, _READING) and not self._write_paused:
            self.resume_reading()
            if self._buffer:
                self._read_request(b"")

    # What the exchange tells.

    def unread(self, data: bytes) -> None:
        """Take back what came after the end of a request's body."""
        self._buffer = data

    def answered(self) -> None:
        """Go on to the next request, or close."""
        if self.closes:
            if self._buffer or not self._exchange.request_done:
                self._linger()
            else:
                self._state = _CLOSED
                self.transport.close()
        elif self._buffer:
            self._state = _READING
            self.deadline = self._service.head_until
            # Later, so that a long pipeline of refusals is no deep recursion.
            self._service.poller.later.append(self._next_request)
        else:
            self._state = _IDLE
            self.deadline = self._service.idle_until
            if self._read_paused and not self._write_paused:
                self.resume_reading()

    def cut(self) -> None:
        """End in the middle of an answer: too late for a status, only this can say that it is not whole."""
        self._state = _CLOSED
        self.transport.abort()

    def leave(self) -> tuple[Transport, bytes]:
        """Hand over the transport, and what has come for whoever has it from now on."""
        self._state = _CLOSED
        early, self._buffer = self._buffer, b""
        self.resume_reading()
        self._service.forget(self)
        return self.transport, early

    def count_refusal(self, error: ProxyError) -> None:
        """Count what is wrong with what the client sent; nothing that it sends further can be trusted."""
        self._service.counters.client[_ERROR_KINDS.get(error.status, "bad_request")] += 1
        self.closes = True

    def pause_reading(self) -> None:
        """Let the client wait."""
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Let the client go on."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()

    # Ends.

    def timed_out(self) -> None:
        """End what has taken too long."""
        if self._state is _READING:
            self._refuse(ClientTimeout("the head took too long"))
        elif self._state is _ASKING:
            self._exchange.timed_out(of_client=self._write_paused)
        else:
            self.transport.abort()

    def drain(self) -> None:
        """Close: now if idle, else after the exchange under way."""
        if self._state is _IDLE:
            self._state = _CLOSED
            self.transport.close()
        else:
            self.closes = True

    def abort(self) -> None:
        """Close now, whatever is under way."""
        self.transport.abort()

    def _refuse(self, error: ProxyError) -> None:
        self.count_refusal(error)
        self._answer_last(error.status, error.reason)

    def _answer_last(self, status: int, reason: str) -> None:
        """Answer where no exchange can."""
        self.transport.write(forwarding.own_response(status, reason, keep_alive=False, with_body=True))
        self._linger()

    def _linger(self) -> None:
        """Close the sending side, and read on for a while: unread bytes would turn into a reset."""
        self._state = _LINGERING
        self._buffer = b""
        self.deadline = self._service.dispatcher.now + LINGER_S
        if not self.transport.is_closing:
            self.transport.write_eof()
        self.resume_reading()
