"""One request on its way to an upstream connection, and the response on its way back."""

from __future__ import annotations

import enum
from typing import Protocol

from proxy import forwarding
from proxy.collecting import Collected
from proxy.download import Download
from proxy.errors import (
    ClientProtocolError,
    ClientTimeout,
    NoRoom,
    ProxyError,
    UpstreamProtocolError,
    UpstreamReset,
)
from proxy.http11.request import USUAL as _USUAL
from proxy.http11.request import RequestHead
from proxy.http11.response import ResponseHead
from proxy.service import Service
from proxy.transport import Transport
from proxy.tunnel import Tunnel
from proxy.upload import Upload
from proxy.upstream import UpstreamConnection

# RFC 9110, section 9.2.2, of the methods that pass through.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


class State(enum.Enum):
    """Where an exchange stands."""

    OVER = enum.auto()
    """There is none: the client was answered, or has not asked."""
    COLLECTING = enum.auto()
    """It reads a chunked body to its end: an HTTP/1.0 upstream must be told the length first."""
    WAITING = enum.auto()
    """Its request waits for an upstream connection."""
    RELAYING = enum.auto()
    """Its request is with an upstream connection."""
    RESPONDING = enum.auto()
    """The head of the response has gone out."""


# Looked up once: a member of an Enum costs a descriptor call each time.
_OVER, _COLLECTING, _WAITING = State.OVER, State.COLLECTING, State.WAITING
_RELAYING, _RESPONDING = State.RELAYING, State.RESPONDING


class Client(Protocol):
    """Who asks."""

    tail: bytes
    transport: Transport
    closes: bool
    has_ended: bool
    deadline: float

    def unread(self, data: bytes) -> None:
        """Take back what came after the end of the request's body."""

    def answered(self) -> None:
        """Go on, since the answer is out."""

    def cut(self) -> None:
        """End in the middle of an answer."""

    def leave(self) -> tuple[Transport, bytes]:
        """Hand over the transport, and what has come for whoever has it from now on."""

    def count_refusal(self, error: ProxyError) -> None:
        """Count what is wrong with what the client sent."""

    def pause_reading(self) -> None:
        """Send nothing for now."""

    def resume_reading(self) -> None:
        """Send on."""


class Exchange:
    """The exchanges of one client connection, one after another; see State.

    Attributes:
        request_done: whether the request has come whole.

    `_unsent` is what was left of a collected body when that was last looked at, in bytes.
    """

    __slots__ = (
        "_client", "_download", "_head", "_request", "_service", "_state", "_unsent",
        "_upload", "_upstream", "request_done",
    )  # fmt: skip

    _download: Download
    _upload: Upload
    _upstream: UpstreamConnection

    def __init__(self, service: Service, client: Client) -> None:
        self._service = service
        self._client = client
        self._state = _OVER
        self._head = _USUAL
        self._request: bytes | memoryview = b""
        self._unsent = 0
        self.request_done = True

    # What the client asks for.

    def begin(self, head: RequestHead, data: bytes) -> None:
        """Ask for what is unusual; `data` is what has come of its body."""
        self._head = head
        if head.max_forwards == 0:
            # RFC 9110, section 7.6.2: this far and no further.
            self.request_done = not head.body
            self._answer(200, "the request went no further than it was allowed to")
            return
        service = self._service
        request = service.writer.write(head, self._client.tail, service.default_host)
        if head.body:
            self._begin_body(request, data)
        else:
            self.ask(request)

    def ask(self, request: bytes | memoryview) -> None:
        """Ask for `request`: its head, and as much of its body as there is."""
        service = self._service
        self._request = request
        self._state = _WAITING
        self._client.deadline = service.response_until if self.request_done else service.body_until
        service.counters.requests += 1
        service.dispatcher.acquire(self)

    def take(self, data: bytes) -> None:
        """Take more of the request's body."""
        upload = self._upload
        framed = self._take_body(upload, data)
        if framed is None:
            return
        if upload.collected is not None:
            self._collect(upload.collected)
        elif self._state is _WAITING:
            self._request = b"".join((self._request, framed))
            self._client.pause_reading()
        elif framed:
            service = self._service
            self._client.deadline = service.response_until if self.request_done else service.body_until
            self._upstream.send_content(framed)

    def pause(self) -> None:
        """Learn that the client does not read the response."""
        if self._state is _RESPONDING:
            self._upstream.pause()

    def resume(self) -> None:
        """Learn that it has read what there was."""
        if self._state is _RESPONDING:
            self._upstream.resume()

    def timed_out(self, *, of_client: bool) -> None:
        """End what has taken too long; `of_client` tells that it does not read."""
        if self._state is _RELAYING and self.request_done:
            if self._upstream.unsent < self._unsent:
                # A long body that was collected is still on its way.
                self._unsent = self._upstream.unsent
                self._client.deadline = self._service.response_until
                return
            self._count_silence()
            self._answer(504, "the upstream took too long to answer")
        elif self._state in (_COLLECTING, _RELAYING):
            self._refuse(ClientTimeout("the body took too long"))
        elif self._state is _RESPONDING:
            if of_client:
                self._service.counters.client["timeout"] += 1
            else:
                self._count_silence()
            self._let_go()
            self._client.cut()

    def abandon(self) -> None:
        """Give up, since the client has gone."""
        self._service.counters.client["aborted"] += 1
        self._let_go()

    # The request's body.

    def _begin_body(self, request: bytes, data: bytes) -> None:
        service, head = self._service, self._head
        self.request_done = False
        self._upload = upload = Upload(head.body, service.limits, collects=service.writer.to_http10)
        framed = self._take_body(upload, data)
        if framed is None:
            return
        if head.expects_continue and service.writer.to_http10 and not self.request_done:
            # RFC 9110, section 10.1.1: the upstream cannot.
            self._client.transport.write(forwarding.CONTINUE)
        if upload.collected is not None:
            self._state = _COLLECTING
            self._collect(upload.collected)
        else:
            self.ask(request + framed)

    def _take_body(self, upload: Upload, data: bytes) -> bytes | None:
        """Return what of the body is in `data`; None where it had to be refused."""
        try:
            framed = upload.take(data)
        except (ClientProtocolError, NoRoom) as error:
            self._refuse(error)
            return None
        if upload.done:
            self.request_done = True
            self._client.unread(upload.rest)
            del self._upload
        return framed

    def _collect(self, collected: Collected) -> None:
        """Ask once the body is whole: only then its length can be told."""
        service = self._service
        if not self.request_done:
            self._client.deadline = service.body_until
            return
        self._head.set_length(collected.size)
        head = service.writer.write(self._head, self._client.tail, service.default_host)
        try:
            request = collected.after(head)
        except NoRoom as error:
            self._refuse(error)
            return
        self._unsent = len(request)
        self.ask(request)

    # What the dispatcher tells.

    def use(self, connection: UpstreamConnection) -> None:
        """Send the request, as far as it has come, on `connection`."""
        self._upstream = connection
        self._state = _RELAYING
        connection.send(self._request, self)
        if not self.request_done:
            self._client.resume_reading()

    def no_connection(self, error: ProxyError) -> None:
        """Tell the client that there is no connection."""
        self._answer(error.status, error.reason)

    # What the upstream connection tells.

    @property
    def asks_for_head(self) -> bool:
        return self._head.method == b"HEAD"

    def pass_on(self, data: bytes, date_at: int) -> bool:
        client, head = self._client, self._head
        if client.closes or (head is not _USUAL and not self._takes_as_is(head)):
            return False
        if date_at:
            # RFC 9110, section 6.6.1.
            data = b"".join((data[:date_at], self._service.date, data[date_at:]))
        client.transport.send(data)
        self._finish()
        return True

    def _takes_as_is(self, head: RequestHead) -> bool:
        return self.request_done and not head.is_10 and head.method != b"HEAD"

    def interim(self, head: ResponseHead) -> None:
        if not self._head.is_10:
            # RFC 9110, section 15.2: passed on, but never to an HTTP/1.0 client.
            self._client.transport.write(forwarding.interim_head(head))

    def switch(self, head: ResponseHead, data: bytes) -> None:
        # RFC 9110, section 7.8: only to a protocol that the client has offered.
        if not head.upgrade or head.upgrade.lower() not in self._head.upgrade.lower().split(b", "):
            raise UpstreamProtocolError("a switch of protocols that nobody asked for")
        upstream = self._upstream.take_transport()
        del self._upstream
        self._state = _OVER
        client, early = self._client.leave()
        client.write(forwarding.interim_head(head) + data)
        self._service.open_tunnel(Tunnel(client, upstream), early)

    def respond(self, head: ResponseHead, content: bytes) -> None:
        service, client = self._service, self._client
        self._state = _RESPONDING
        self._request = b""
        self._unsent = 0
        self._expect_more()
        self._download = download = Download(head, client.transport, to_http10=self._head.is_10)
        if not self.request_done or download.ends_by_close:
            client.closes = True
        download.begin(content, keep_alive=not client.closes, date=service.date)

    def content(self, content: bytes) -> None:
        self._expect_more()
        self._download.go_on(content)

    def sink(self) -> Transport | None:
        return self._download.sink()

    def content_moved(self) -> None:
        self._expect_more()

    def content_done(self) -> None:
        # Over before the last bytes go out: the upstream connection may serve another one by now.
        self._state = _OVER
        self._download.end()
        del self._download
        self._finish()

    def upstream_failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        dispatcher = self._service.dispatcher
        is_stale = connection.carried > 1 and not connection.has_answered
        if is_stale and not self._head.body and self._head.method in _IDEMPOTENT:
            # RFC 9112, section 9.3.1: a kept connection that ends is a race, not an answer. The next one
            # is fresh.
            self._state = _WAITING
            del self._upstream
            dispatcher.renew(connection, self)
            return
        if isinstance(error, UpstreamReset):
            self._service.counters.upstream["reset"] += 1
        state, self._state = self._state, _OVER
        if state is _RESPONDING:
            self._client.cut()
        else:
            self._answer(error.status, error.reason)
        dispatcher.lost(connection, error)

    def upstream_full(self) -> None:
        if not self.request_done:
            self._client.pause_reading()

    def upstream_drained(self) -> None:
        if not self.request_done:
            self._client.resume_reading()

    # Ends.

    def _expect_more(self) -> None:
        """Give the upstream until the next piece of the response."""
        service, client = self._service, self._client
        client.deadline = service.half_closed_until if client.has_ended else service.response_until

    def _count_silence(self) -> None:
        """Count a silence that was too long, of the upstream unless the client may be gone."""
        counters = self._service.counters
        if self._client.has_ended:
            counters.client["aborted"] += 1
        else:
            counters.upstream["timeout"] += 1

    def _answer(self, status: int, reason: str) -> None:
        """Answer in place of the upstream."""
        client, head = self._client, self._head
        if not self.request_done or head.is_10:
            client.closes = True
        self._unsent = 0
        self._let_go()
        response = forwarding.own_response(
            status, reason, keep_alive=not client.closes, with_body=head.method != b"HEAD"
        )
        client.transport.write(response)
        self._finish()

    def _refuse(self, error: ProxyError) -> None:
        """Answer for the last time: where the body ends, and the next request begins, is not known."""
        self._client.count_refusal(error)
        if self._state is _RESPONDING:
            self._let_go()
            self._client.cut()
        else:
            self._answer(error.status, error.reason)

    def _finish(self) -> None:
        self._state = _OVER
        self._request = b""
        self._head = _USUAL
        self._client.answered()

    def _let_go(self) -> None:
        """Leave the queue, or the upstream connection."""
        state, self._state = self._state, _OVER
        if state is _WAITING:
            self._service.dispatcher.cancel(self)
        elif state in (_RELAYING, _RESPONDING):
            self._upstream.abandon()
