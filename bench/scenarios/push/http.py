"""Subscribers over HTTP/1.1: polling, long polling and server-sent events, a connection each.

httptools reads the responses; one protocol for each connection and no task for each message, so that the
clients cost less than what they measure.
"""

import asyncio
from typing import cast

import httptools

from bench.scenarios.client.event_stream import EventStream
from bench.scenarios.push.subscribers import SubscriberGroup

_PATHS = {"short-poll-new": "/poll", "short-poll": "/poll", "long-poll": "/long-poll", "sse": "/events"}
_FINE = (200, 204)


class HttpSubscriber(asyncio.Protocol):
    """One subscriber. States: away (no connection), requesting, resting (between two polls), closed."""

    def __init__(self, number: int, group: SubscriberGroup) -> None:
        job = group.job
        self._number = number
        self._group = group
        self._is_stream = job.variant == "sse"
        self._is_new_each_time = job.variant == "short-poll-new"
        self._rest_s = job.poll_every_s if job.variant.startswith("short-poll") else 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._unread, self._events = b"", EventStream()
        self._is_resting = self._is_closed = self._is_spoiled = False
        self._receive = group.counts.receive

    def connect(self) -> None:
        """Connect, and request what is newer than the newest message received."""
        self._group.spawn(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self, self._group.host, self._group.port)
        except OSError:
            self._group.reconnect(self, refused=True)

    def resume_reading(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """End for good."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.abort()

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._unread, self._events = b"", EventStream()
        self._is_spoiled = False
        self._request()

    def data_received(self, data: bytes) -> None:
        """Parse a piece of a response."""
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Connect again, unless it is over."""
        self._transport = None
        if self._is_closed:
            return
        if self._is_resting and self._is_new_each_time:
            asyncio.get_running_loop().call_later(self._rest_s, self.connect)
        elif not self._is_resting:
            self._group.reconnect(self)
        self._is_resting = self._is_resting and not self._is_new_each_time

    # -- what httptools calls

    def on_headers_complete(self) -> None:
        """Refuse a response that is none of the expected."""
        assert self._parser is not None
        if self._parser.get_status_code() not in _FINE:
            self._abort()
        elif self._is_stream and self._group.is_stalled(self._number) and self._transport is not None:
            self._transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Receive the messages in a piece of the body."""
        if self._is_spoiled:
            return
        if self._is_stream:
            for number, text in self._events.feed(body):
                self._receive(self._number, number, text)
            return
        *lines, self._unread = (self._unread + body).split(b"\n")
        for line in lines:
            number_field, _, text = line.partition(b" ")
            self._receive(self._number, int(number_field), text)

    def on_message_complete(self) -> None:
        """Send the next request at its time."""
        if self._transport is None or self._is_spoiled:
            return
        if self._is_stream:
            self._transport.close()  # a proxy ended it in good order
            return
        self._is_resting = self._rest_s > 0
        if self._is_new_each_time:
            self._transport.close()
        elif self._is_resting:
            asyncio.get_running_loop().call_later(self._rest_s, self._request)
        else:
            asyncio.get_running_loop().call_soon(self._request)  # the parser is not to be fed from within

    def _request(self) -> None:
        has_rested, self._is_resting = self._is_resting, False
        if self._is_closed:
            return
        if self._transport is None:
            if has_rested:  # it ended between two polls; else its end has seen to it
                self._group.reconnect(self)
            return
        self._group.counts.count_request()
        last = self._group.counts.last[self._number]
        path = _PATHS[self._group.job.variant]
        where, since = (
            (path, f"Last-Event-ID: {last}\r\n") if self._is_stream else (f"{path}?since={last}", "")
        )
        self._transport.write(
            f"GET {where} HTTP/1.1\r\nHost: {self._group.job.address}\r\n{since}\r\n".encode()
        )

    def _abort(self) -> None:
        """End a connection whose response is not usable; the rest of it is not read."""
        self._is_spoiled = True
        if self._transport is not None:
            self._transport.abort()
