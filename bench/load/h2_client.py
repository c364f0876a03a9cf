"""The clients of a worker in HTTP/2: each has a stream at a time of a connection that several share."""

from collections.abc import Sequence
from http import HTTPStatus
from time import monotonic_ns
from typing import Any

from bench.load.client import LoadClient
from bench.load.client_group import ClientGroup
from bench.load.counters import LoadCounters
from bench.load.h2_connection import Http2Connection
from bench.load.h2_messages import Fields, Http2Response, requests
from bench.load.job import LoadJob
from bench.load.poller import Poller
from bench.load.tls_client import WOULD_BLOCK, TlsLayer


class StreamClient(LoadClient):
    """One client. States: busy (in an exchange, or waiting for its stream), idle."""

    __slots__ = ("_connection", "_http2_group", "response")

    def __init__(self, group: "Http2Group", connection: Http2Connection) -> None:
        super().__init__(group)
        self._http2_group = group
        self._connection = connection

    def begin(self, due_ns: int | None = None) -> None:
        """Start an exchange that was due at `due_ns` (now, in a closed loop); connect if needed."""
        self.busy = True
        now_ns = self._began_ns = self.since_ns = monotonic_ns()
        self.due_ns = now_ns if due_ns is None else due_ns
        self._connection.request(self)

    def begin_stream(self) -> tuple[Fields, bytes]:
        """Return the fields and the body of the request that is sent now."""
        group = self._http2_group
        self.number, fields = next(group.next_fields)
        self.response = Http2Response(group.method)
        self.since_ns = monotonic_ns()
        if group.pacer is not None:
            group.counters.pacing.add(self.since_ns - self.due_ns)
        return fields, group.body

    def finish(self, now_ns: int) -> None:
        """End the exchange with a response that is complete."""
        group = self._group
        kind = group.response_check.classify_error(self.response, self.number)
        if kind is not None or self.response.status != HTTPStatus.OK:
            # Correct ones of 200 are what is left of all.
            group.counters.count_status(self.response.status, kind is None)
        if kind is None:
            self.succeed(self.response.body_bytes, True, now_ns)
        else:
            self.fail_alone(kind)

    def fail_alone(self, kind: str) -> None:
        """End the exchange with an error of this kind; its stream has ended already."""
        self._group.counters.errors[kind] += 1
        self.busy = False
        self._group.exchange_ended(self, is_unreachable=kind in ("connect", "tls"))

    def fail(self, kind: str) -> None:
        """End the exchange with an error of this kind, and its stream with it."""
        self._connection.reset(self)
        self.fail_alone(kind)

    def expire(self, now_ns: int) -> None:
        """Fail the exchange if one of its timeouts has passed. Not while handlers run."""
        group = self._group
        if not self.busy:
            return
        is_connecting = self._connection.expire(now_ns)
        if not self.busy:
            return
        if now_ns - self.due_ns > group.total_timeout_ns or (
            not is_connecting and now_ns - self.since_ns > group.request_timeout_ns
        ):
            self.fail("timeout")

    def wait_idle(self) -> None:
        """Wait for the next exchange; the connection watches itself."""
        self.busy = False

    def close(self) -> None:
        """Drop the current exchange, and close the connection with the last of its clients."""
        self.busy = False
        self._connection.reset(self)
        self._connection.close_unused()


class Http2Group(ClientGroup):
    """All clients of one worker: `streams` on each connection."""

    def __init__(self, job: LoadJob, poller: Poller, counters: LoadCounters) -> None:
        self.layer = TlsLayer(job, "h2") if job.tls else None
        self.streams = job.streams
        self.next_fields = requests(job)
        """Yields number and fields of the next request."""
        self.body = job.body
        super().__init__(job, poller, counters)
        if self.layer is not None:
            self.would_block = WOULD_BLOCK

    def _make_clients(self) -> Sequence[LoadClient]:
        connections = [Http2Connection(self) for _ in range(self._job.connections)]
        return [StreamClient(self, each) for each in connections for _ in range(self.streams)]

    def handshakes(self) -> dict[str, Any] | None:
        """Return what was counted of TLS handshakes, as plain values; None where there are none."""
        return None if self.layer is None else self.layer.counts.to_json()
