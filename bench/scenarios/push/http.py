"""Subscribers over HTTP/1.1: polling, long polling and server-sent events, a connection each.

httptools reads the responses; one protocol for each connection and no task for each message, so that the
clients cost less than what they measure.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

from bench.scenarios.push.subscribers import Crowd

_PATHS = {"short-poll-new": "/poll", "short-poll": "/poll", "long-poll": "/long-poll", "sse": "/events"}
_FINE = (200, 204)


class Asker(asyncio.Protocol):
    """One subscriber. States: away (no connection), asking, resting (between two polls), closed."""

    def __init__(self, who: int, crowd: Crowd) -> None:
        job = crowd.job
        self._who = who
        self._crowd = crowd
        self._is_stream = job.variant == "sse"
        self._is_new_each_time = job.variant == "short-poll-new"
        self._rest_s = job.poll_every_s if job.variant.startswith("short-poll") else 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._unread = b""
        self._is_resting = self._is_closed = self._is_spoiled = False
        self._take = crowd.got.take

    def connect(self) -> None:
        """Connect, and ask for what is newer than the newest that it has."""
        self._crowd.spawn(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self, self._crowd.host, self._crowd.port)
        except OSError:
            self._crowd.again(self, refused=True)

    def read_on(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """End for good."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.abort()

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._unread = b""
        self._is_spoiled = False
        self._ask()

    def data_received(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._is_closed:
            return
        if self._is_resting and self._is_new_each_time:
            asyncio.get_running_loop().call_later(self._rest_s, self.connect)
        elif not self._is_resting:
            self._crowd.again(self)
        self._is_resting = self._is_resting and not self._is_new_each_time

    # What the parser tells.

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        if self._parser.get_status_code() not in _FINE:
            self._abort()
        elif self._is_stream and self._crowd.stalls(self._who) and self._transport is not None:
            self._transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        if self._is_spoiled:
            return
        *whole, self._unread = (self._unread + body).split(b"\n\n" if self._is_stream else b"\n")
        for each in whole:
            if self._is_stream:
                identity, _, data = each.partition(b"\n")  # `id: NUMBER`, `data: TEXT`, in this order
                self._take(self._who, int(identity[4:]), data[6:])
            else:
                number, _, text = each.partition(b" ")
                self._take(self._who, int(number), text)

    def on_message_complete(self) -> None:
        if self._transport is None or self._is_spoiled:
            return
        if self._is_stream:
            self._transport.close()  # whoever is between us and the server ended it in good order
            return
        self._is_resting = self._rest_s > 0
        if self._is_new_each_time:
            self._transport.close()
        elif self._is_resting:
            asyncio.get_running_loop().call_later(self._rest_s, self._ask)
        else:
            asyncio.get_running_loop().call_soon(self._ask)  # the parser is not to be fed from within

    def _ask(self) -> None:
        has_rested, self._is_resting = self._is_resting, False
        if self._is_closed:
            return
        if self._transport is None:
            if has_rested:  # it ended while nobody asked; else its end has seen to it
                self._crowd.again(self)
            return
        self._crowd.got.asked()
        last = self._crowd.got.last[self._who]
        path = _PATHS[self._crowd.job.variant]
        where, since = (
            (path, f"Last-Event-ID: {last}\r\n") if self._is_stream else (f"{path}?since={last}", "")
        )
        self._transport.write(
            f"GET {where} HTTP/1.1\r\nHost: {self._crowd.job.address}\r\n{since}\r\n".encode()
        )

    def _abort(self) -> None:
        """End a connection whose answer is none; the rest of what came is not to be read."""
        self._is_spoiled = True
        if self._transport is not None:
            self._transport.abort()
