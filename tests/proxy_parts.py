"""Parts of the proxy without sockets: heads as it reads them, and an exchange with scripted neighbours."""

from __future__ import annotations

from unittest.mock import Mock

from proxy.counters import Counters
from proxy.exchange import Exchange
from proxy.forwarding import RequestWriter
from proxy.http1_exchange import Http1Exchange
from proxy.http11.request import RequestHead, match_request, read_request
from proxy.http11.response import ResponseHead, match_response, read_response
from proxy.settings import Limits
from proxy.upload import UploadGate

LIMITS = Limits()


def read_request_head(data: bytes, limits: Limits = LIMITS) -> RequestHead | None:
    """Read the head of a request; None while it is incomplete."""
    return read_request(data, limits, 0, match_request(data))


def request_head(data: bytes) -> RequestHead:
    """Read the complete head of a request."""
    head = read_request_head(data)
    assert head is not None
    return head


def read_response_head(data: bytes, limits: Limits = LIMITS, *, to_head: bool = False) -> ResponseHead | None:
    """Read the head of a response; None while it is incomplete."""
    return read_response(data, limits, match_response(data), to_head=to_head)


def response_head(data: bytes, *, to_head: bool = False) -> ResponseHead:
    """Read the complete head of a response."""
    head = read_response_head(data, to_head=to_head)
    assert head is not None
    return head


class Connection:
    """An upstream connection that notes what it is to send; nothing of it is `unsent`."""

    def __init__(self, request_count: int = 1) -> None:
        self.sent = b""
        self.request_count = request_count
        self.has_response = False
        self.never_sent: bytes | None = None
        self.transport = Mock(unsent=b"", send=self._send_more)
        self.abandon = Mock()

    def send(self, request: bytes | bytearray | memoryview, exchange: Exchange, head: RequestHead) -> None:
        """Note the request."""
        self.sent += bytes(request)

    def _send_more(self, data: bytes) -> None:
        self.sent += bytes(data)


class Worker:
    """A worker's context and one of its clients, with an exchange between them.

    The time stands at 0: a wait for the body ends at 60, one for the response at 70, in the queue at 10.
    """

    def __init__(
        self, limits: Limits = LIMITS, *, to_http10: bool = False, uploads: int = 1, half_closed: bool = False
    ) -> None:
        self.context = Mock(
            writer=RequestWriter(limits, is_http10=to_http10, keep_alive=True, request_close=False),
            limits=limits,
            counters=Counters(),
            uploads=UploadGate(Mock(call_soon=lambda call, *args: call(*args)), uploads),
            default_host=b"up:1",
            body_until=60.0,
            response_until=70.0,
            half_closed_until=5.0,
            queue_until=10.0,
            date=b"Date: now\r\n",
        )
        self.client = Mock(
            added_fields=b"X-Forwarded-Host: ",
            close_after_response=False,
            is_half_closed=half_closed,
            count_error=self._count_error,
            push_back=self._push_back,
        )
        self.client.is_full = self.client.transport.is_full = False
        self.pushed_back = b""
        self.errors: list[int] = []
        self.exchange = Http1Exchange(self.context, self.client)

    @property
    def waits(self) -> bool:
        """Whether the exchange has asked for a connection, once."""
        calls: int = self.context.dispatcher.acquire.call_count
        assert calls <= 1
        return calls == 1

    @property
    def answer(self) -> bytes:
        """What was written to the client."""
        calls = self.client.transport.method_calls
        return b"".join(bytes(call.args[0]) for call in calls if call[0] in {"send", "write"})

    def begin(self, request: bytes) -> None:
        """Begin a request with the part of it that is there, as the client connection does."""
        head = request_head(request)
        self.exchange.begin_upload(head, request[head.end :])

    def connect(self, request_count: int = 1) -> Connection:
        """Give the exchange its connection."""
        connection = Connection(request_count)
        self.exchange.use_connection(connection)  # type: ignore[arg-type]
        return connection

    def _push_back(self, data: bytes) -> None:
        self.pushed_back = data

    def _count_error(self, error: Exception) -> None:
        self.errors.append(error.status)  # type: ignore[attr-defined]
        self.client.close_after_response = True
