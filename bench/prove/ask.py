"""Sends requests to nginx as an ordinary HTTP/1.1 client, over one connection, whoever certifies it."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.prove.requests import Request
from bench.prove.rewrite import Doors

_TIMEOUT_S = 5.0


@dataclass(slots=True)
class Answers:
    """What came back: how often each status, and exchanges that failed with what was said about the last."""

    statuses: Counter[int] = field(default_factory=Counter)
    failed: int = 0
    failure: str = ""
    location: str = ""
    """Where the last redirect leads to."""

    @property
    def text(self) -> str:
        """The last answer in a few words."""
        if self.failed:
            return self.failure
        status = next(reversed(self.statuses), None)
        to = f" (to {self.location})" if self.location else ""
        return "no answer" if status is None else f"status {status}{to}"


def ask(doors: Doors, requests: Iterable[Request]) -> Answers:
    """Returns the answers to requests that are sent one after the other; all go to the same door."""
    answers = Answers()
    connection: http.client.HTTPConnection | None = None
    try:
        for request in requests:
            connection = connection or _connection(doors, request.is_tls)
            try:
                _exchange(connection, request, answers)
            except (OSError, http.client.HTTPException, ValueError) as error:
                # A ValueError: what a configuration asks for is nothing that a request may hold.
                answers.failed += 1
                answers.failure = f"no answer ({type(error).__name__}: {error})"
                connection.close()
    finally:
        if connection is not None:
            connection.close()
    return answers


def _connection(doors: Doors, is_tls: bool) -> http.client.HTTPConnection:
    host, _, port = (doors.tls if is_tls else doors.plain).rpartition(":")
    if not is_tls:
        return http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, int(port), timeout=_TIMEOUT_S, context=context)


def _exchange(connection: http.client.HTTPConnection, request: Request, answers: Answers) -> None:
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
    response = connection.getresponse()
    response.read()
    answers.statuses[response.status] += 1
    answers.location = response.getheader("Location", "")
