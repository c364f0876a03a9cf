"""Share what tests need that prove rules by traffic through real nginx."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nginx.check import check
from nginx.rules import CATALOGUE
from tests import needs
from tests.nginx import real

PROGRAMS = real.programs()
KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
POOL = "upstream app { server BACKEND; keepalive 8; MORE }\n"
POOL_OF_ONE = POOL.replace("BACKEND", "BACKEND max_conns=1")
PATIENCE_S = 60.0
"""Longer than anything here takes on the busiest machine."""
_DECORATOR = re.compile(r"^@proves\((.*?)\)$", re.MULTILINE | re.DOTALL)


def proves(*rules: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Name the rules that a test proves, and run it with each nginx found here."""
    assert set(rules) <= set(CATALOGUE)

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        each: Callable[..., None] = pytest.mark.parametrize("version", PROGRAMS)(test)
        if not PROGRAMS:
            each = needs.unless(False, "nginx")(each)
        return each

    return mark


def proven() -> set[str]:
    """Return the rules that the tests of this folder name with `@proves`."""
    texts = (path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    calls = (call for text in texts for call in _DECORATOR.findall(text))
    return {rule for call in calls for rule in re.findall(r'"(\w+)"', call)}


def site(locations: str, pool: str = POOL, more: str = "") -> str:
    """Return a pool and a server with these locations."""
    return pool.replace("MORE", more) + f"server {{ listen SOCKET; {locations} }}"


def flagged(text: str, version: str) -> set[str]:
    """Return the rules that apply to a configuration."""
    return {finding.rule for finding in check("x", [version], text=text).findings}


def accepted(
    version: str, folder: Path, text: str, paths: list[str], exchange: real.Exchange = real.http_exchange
) -> int:
    """Return how many connections a server accepted for one request after the other."""
    with real.serving(exchange) as server:
        with real.running(PROGRAMS[version], folder, text.replace("BACKEND", server.address)) as listening:
            for path in paths:
                real.request(listening, path, 1)
        return server.accepted


TURNS = 200
"""Requests that nginx answers, while it could read what lies in its buffers at once."""


def is_returned(version: str, folder: Path, text: str, length: int, *, expected: bool) -> bool:
    """Return whether a request gets the connection of a response that its client does not read.

    The response to /large has so many bytes, and the upstream {} of the text takes one connection at a time.
    Where the connection is expected back, requests are sent until one gets it; else so many that nginx has
    time to read what it means to read.
    """
    asked = threading.Event()

    def exchange(connection: socket.socket) -> bool:
        is_large = real.read_request(connection).startswith("GET /large ")
        if is_large:
            asked.set()
        body = bytes(length) if is_large else b"ok"
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        return True

    with real.serving(exchange) as server:
        text = text.replace("BACKEND", server.address)
        with (
            real.running(PROGRAMS[version], folder, text) as listening,
            contextlib.closing(real.client(listening)) as waiting,
        ):
            waiting.request("GET", "/large")
            assert asked.wait(PATIENCE_S)
            deadline = time.monotonic() + PATIENCE_S
            statuses = real.request(listening, count=TURNS)
            while expected and statuses[-1] != 200 and time.monotonic() < deadline:
                statuses = real.request(listening, count=TURNS)
        assert server.accepted == 1
    assert set(statuses) <= {200, 502}
    return 200 in statuses


class Recorder:
    """Answers as RFC 9112 has it, and records the heads of the requests."""

    def __init__(self, fields: str = "") -> None:
        self.heads: list[str] = []
        self._fields = fields

    def exchange(self, connection: socket.socket) -> bool:
        """Answer one request."""
        head = real.read_request(connection)
        self.heads.append(head)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{self._fields}\r\nok".encode())
        return real.stays_open(head)

    def values(self, name: str) -> list[list[str]]:
        """Return the values of a field in each request, in the order of its lines."""
        return [re.findall(rf"(?im)^{name}:[ \t]*(.*?)\r?$", head) for head in self.heads]


class Together:
    """Answers no request before a number of them are there at once."""

    def __init__(self, number: int) -> None:
        self._met = threading.Barrier(number, timeout=60)

    def exchange(self, connection: socket.socket) -> bool:
        """Answer one request."""
        head = real.read_request(connection)
        self._met.wait()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return real.stays_open(head)
