"""Rules about streams, seen by a client of real nginx: events that wait, and a stream that is cut."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nginx.check import check
from nginx.rules import CATALOGUE
from tests.nginx import real
from tests.nginx.rules.proving import PATIENCE_S, PROGRAMS, proves

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
EVENT = b"data: 1\n\n"


class Stream:
    """A server that sends one event, and the rest on command."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def exchange(self, connection: socket.socket) -> bool:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (piece := connection.recv(65536)):
                return False
            request += piece
        is_old = request.split(b"\r\n", 1)[0].endswith(b"HTTP/1.0")
        framing = b"Connection: close" if is_old else b"Transfer-Encoding: chunked"
        connection.sendall(HEAD + framing + b"\r\n\r\n" + self._framed(EVENT, is_old))
        self.go_on.wait(PATIENCE_S)
        connection.sendall(self._framed(EVENT, is_old))
        if not is_old:
            connection.sendall(b"0\r\n\r\n")
        return not is_old

    @staticmethod
    def _framed(data: bytes, is_old: bool) -> bytes:
        return data if is_old else b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def answer(
    text: str, version: str, folder: Path, stream: Stream, timeout_s: float = PATIENCE_S
) -> Iterator[http.client.HTTPResponse | None]:
    """Give the response to one request through nginx; None where not even its head comes in time."""
    with real.serving(stream.exchange) as server:
        text = text.replace("10.0.0.1:8080", server.address).replace(
            "server { loc", "server { listen SOCKET; loc"
        )
        with real.running(PROGRAMS[version], folder, text) as listening:
            client = http.client.HTTPConnection("nginx")
            client.sock = socket.socket(socket.AF_UNIX)
            client.sock.settimeout(timeout_s)
            client.sock.connect(str(listening))
            path = "/events" if "/events" in text else "/chat/"
            client.request("GET", path, headers={"Accept-Encoding": "gzip"})
            try:
                yield client.getresponse()
            except TimeoutError:
                yield None
            finally:
                stream.go_on.set()
                client.close()


def first_event(response: http.client.HTTPResponse | None) -> bytes:
    """Return what comes before the server goes on; nothing where nothing comes in time."""
    try:
        return b"" if response is None else response.read1(100)
    except TimeoutError:
        return b""


@proves("NK056", "NK057")
@pytest.mark.parametrize("rule", ["NK056", "NK057"])
def test_what_is_flagged_holds_the_first_event_back(rule: str, version: str, tmp_path: Path) -> None:
    for number, text in enumerate((CATALOGUE[rule].bad, CATALOGUE[rule].good)):
        folder = tmp_path / str(number)
        folder.mkdir()
        rules = {finding.rule for finding in check("x", [version], text=text).findings}
        is_flagged = rule in rules  # then it never comes, however long we wait
        with answer(text, version, folder, Stream(), 1.0 if is_flagged else PATIENCE_S) as response:
            assert (first_event(response) == b"") == is_flagged


@proves("NK058")
def test_silence_cuts_what_is_flagged(version: str, tmp_path: Path) -> None:
    text = CATALOGUE["NK058"].bad.replace("5s", "1s")
    stream = Stream()
    with answer(text, version, tmp_path, stream) as response:
        assert response is not None
        assert first_event(response) == EVENT
        with pytest.raises(http.client.IncompleteRead):
            response.read()
