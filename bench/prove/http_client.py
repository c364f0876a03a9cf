"""Send requests to nginx over one connection, without verifying its certificate."""

import http.client
import socket
import ssl
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Protocol

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from bench.lab import split_address
from bench.prove.requests import Request
from bench.prove.rewrite import Listeners

TIMEOUT_S = 5.0
"""How long a client waits for a response."""
FAILURES = (OSError, http.client.HTTPException, h2.exceptions.H2Error, ValueError)
"""What a request without a response raises; a ValueError: it would have to contain what no request may."""
_CHUNK = 65536


@dataclass(slots=True)
class Responses:
    """How often each status was received, and how often none was."""

    statuses: Counter[int] = field(default_factory=Counter)
    failed: int = 0
    failure: str = ""
    """Why the last one failed."""
    location: str = ""
    """Where the last redirect leads."""

    def record(self, error: Exception) -> None:
        """Count a request that got no response."""
        self.failed += 1
        self.failure = f"no response ({type(error).__name__}: {error})"

    @property
    def last(self) -> str:
        """The last response in a few words."""
        if self.failed:
            return self.failure
        status = next(reversed(self.statuses), None)
        to = f" (to {self.location})" if self.location else ""
        return "no response" if status is None else f"status {status}{to}"


def send_requests(listeners: Listeners, requests: Iterable[Request]) -> Responses:
    """Return the responses to requests that are sent one after the other, all to one listener."""
    responses = Responses()
    client: Client | None = None
    with ExitStack() as stack:
        for request in requests:
            try:
                if client is None:
                    client = connect(listeners, request)
                    stack.callback(client.close)
                client.send(request)
                client.receive(responses, TIMEOUT_S)
            except FAILURES as error:
                responses.record(error)
                stack.close()
                client = None
    return responses


class Client(Protocol):
    """One connection of a client."""

    def send(self, request: Request) -> None:
        """Send a request; one of FAILURES where that is not possible."""

    def receive(self, responses: Responses, timeout_s: float) -> None:
        """Read the response and record it; one of FAILURES where there is none."""

    def close(self) -> None:
        """Close the connection."""


def connect(listeners: Listeners, request: Request) -> Client:
    """Return a client for requests such as this one; one of FAILURES where it cannot connect."""
    return _Http2(listeners, request) if request.is_http2 else _Http1(listeners, request)


def _unverified_context(*protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


class _Http1:
    def __init__(self, listeners: Listeners, first: Request) -> None:
        host, port = split_address(listeners.tls if first.is_tls else listeners.plain)
        self._connection = (
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=_unverified_context())
            if first.is_tls
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        )

    def send(self, request: Request) -> None:
        connection = self._connection
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", request.host)
        connection.putheader("Connection", "keep-alive")
        for name, value in request.fields:
            connection.putheader(name, value)
        if request.body:
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        if connection.sock is not None:
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self, responses: Responses, timeout_s: float) -> None:
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout_s)
        response = self._connection.getresponse()
        response.read()
        responses.statuses[response.status] += 1
        responses.location = response.getheader("Location", "")

    def close(self) -> None:
        self._connection.close()


class _Http2:
    """One stream after the other, framed by h2."""

    def __init__(self, listeners: Listeners, first: Request) -> None:
        address = listeners.tls if first.is_tls else listeners.http2
        assert address is not None, "HTTP/2 is used only where a listener accepts it"
        host, port = split_address(address)
        self._socket = socket.create_connection((host, port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if first.is_tls:
            secure = _unverified_context("h2").wrap_socket(self._socket, server_hostname=host)
            self._socket = secure
            if secure.selected_alpn_protocol() != "h2":
                secure.close()
                raise ConnectionError("the server does not choose HTTP/2")
        self._state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._state.initiate_connection()
        self._stream = 0

    def send(self, request: Request) -> None:
        self._stream = stream = self._state.get_next_available_stream_id()
        self._state.send_headers(stream, _fields(request), end_stream=not request.body)
        if request.body:
            self._state.send_data(stream, request.body, end_stream=True)
        self._socket.sendall(self._state.data_to_send())

    def receive(self, responses: Responses, timeout_s: float) -> None:
        self._socket.settimeout(timeout_s)
        status, responses.location = self._receive(self._stream)
        responses.statuses[status] += 1

    def _receive(self, stream: int) -> tuple[int, str]:
        """Return status and Location of the response on a stream, once it is complete."""
        status, location, is_complete = 0, "", False
        while not is_complete:
            data = self._socket.recv(_CHUNK)
            if not data:
                raise ConnectionError("closed before the response was complete")
            for event in self._state.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    fields = {bytes(name): bytes(value).decode("latin-1") for name, value in event.headers}
                    status, location = int(fields[b":status"]), fields.get(b"location", "")
                elif isinstance(event, h2.events.DataReceived):
                    self._state.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    raise ConnectionError(f"{type(event).__name__} with error {event.error_code}")
                is_complete = is_complete or isinstance(event, h2.events.StreamEnded)
            self._socket.sendall(self._state.data_to_send())
        return status, location

    def close(self) -> None:
        with suppress(OSError):  # it may be gone already
            self._socket.close()


def _fields(request: Request) -> list[tuple[str, str]]:
    fields = [
        (":method", request.method),
        (":scheme", "https" if request.is_tls else "http"),
        (":authority", request.host),
        (":path", request.path),
        *((name.lower(), value) for name, value in request.fields),
    ]
    return [*fields, ("content-length", str(len(request.body)))] if request.body else fields
