"""Answers that decide about their connection: those that nobody reads, and those without a body."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from nginx import versions
from nginx.check import check
from tests import needs
from tests.nginx import real

PROGRAMS = real.programs()
POOL = "upstream app { server BACKEND; keepalive 4; }\n"
KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
ANSWERS = {
    "a body": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "an empty body in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an empty body": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
}
POOLED = ("an empty body", "204")
ASKING = {
    "auth_request": "location / { auth_request /sub; try_files /none @done; } location @done { return 204; }",
    "mirror": "location / { mirror /sub; root /nonexistent; }",
}
needs_nginx = needs.unless(bool(PROGRAMS), "nginx")
every_version = pytest.mark.parametrize("version", PROGRAMS)


def answer(text: str, version: str, line: int = -1) -> str:
    """Return the answer on the last location of a text."""
    return check("x", [version], text=text).locations[line].verdicts[version].answer


@needs_nginx
@every_version
@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_subrequest_leaves_a_connection_only_without_a_body(
    kind: str, asking: str, version: str, tmp_path: Path
) -> None:
    answered = threading.Semaphore(0)  # a mirror's subrequest may come after the client has its answer

    def exchange(connection: socket.socket) -> bool:
        real.read_request(connection)
        connection.sendall(ANSWERS[kind])
        answered.release()
        return True

    sub = f"location = /sub {{ internal; proxy_pass http://app; {KEPT} }}"
    text = POOL + f"server {{ listen SOCKET; {ASKING[asking]} {sub} }}"
    assert answer(text, version) == "depends"
    with real.serving(exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            for _ in range(real.REQUESTS):
                real.request(listening, "/", 1)
                assert answered.acquire(timeout=60)
        assert server.accepted == (1 if kind in POOLED else real.REQUESTS)


class Http2:
    """Answers HTTP/2 without a body; its settings come with the first answer, as those of fast servers do."""

    def __init__(self) -> None:
        self._known: dict[socket.socket, h2.connection.H2Connection] = {}

    def exchange(self, connection: socket.socket) -> bool:
        if connection not in self._known:
            config = h2.config.H2Configuration(client_side=False)
            self._known[connection] = h2.connection.H2Connection(config)
            self._known[connection].initiate_connection()
        peer = self._known[connection]
        data = connection.recv(65536)
        for event in peer.receive_data(data) if data else ():
            if isinstance(event, h2.events.StreamEnded) and event.stream_id is not None:
                peer.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
        connection.sendall(peer.data_to_send())
        return bool(data)


@needs_nginx
@every_version
def test_an_http2_connection_ends_with_an_answer_without_a_body(version: str, tmp_path: Path) -> None:
    text = (
        POOL + "server { listen SOCKET; location / { proxy_pass http://app; "
        "proxy_http_version 2; proxy_method HEAD; } }"
    )
    assert answer(text, version) == "not reused"
    if versions.parse(version) < versions.HTTP2_UPSTREAM:
        assert real.refusal(PROGRAMS[version], tmp_path, f"events {{}} http {{ {text} }}") is not None
        return
    with real.serving(Http2().exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            real.request(listening)
        assert server.accepted == real.REQUESTS


SUB = f"proxy_pass http://app; {KEPT}"
CASES = {
    "exact": ("location = /s { " + SUB + " }", "auth_request /s;", "depends"),
    "exact, with a query": ("location = /s { " + SUB + " }", "auth_request /s?x=1;", "depends"),
    "internal prefix": ("location /s { internal; " + SUB + " }", "auth_request /s/verify;", "depends"),
    "the same prefix": ("location /s { " + SUB + " }", "mirror /s;", "depends"),
    "a prefix that has clients too": ("location /s { " + SUB + " }", "auth_request /s/verify;", "depends"),
    "a pattern before the prefix": (
        "location /s { return 204; } location ~ ^/s/v { " + SUB + " }",
        "auth_request /s/verify;",
        "depends",
    ),
    "a pattern in one word": ("location ~*^/S/ { " + SUB + " }", "auth_request /s/verify;", "depends"),
    "a prefix before the pattern": (
        "location ^~ /s { return 204; } location ~ ^/s/v { " + SUB + " }",
        "auth_request /s/verify;",
        "reused",
    ),
    "what sends them itself": ("location /s { mirror /s/copy; " + SUB + " }", "", "reused"),
    "for all": ("} server { mirror /copy; location / { " + SUB + " }", "", "reused"),
    "HEAD": ("location = /s { " + SUB + " proxy_method HEAD; }", "auth_request /s;", "reused"),
    "off": ("location = /s { " + SUB + " }", "auth_request off;", "reused"),
    "without a pool": ("location = /s { proxy_pass http://10.0.0.9; }", "auth_request /s;", "not reused"),
    "of another server": ("} server { location = /s { " + SUB + " }", "auth_request /s;", "reused"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_there_for_subrequests(name: str) -> None:
    location, asking, expected = CASES[name]
    text = POOL + f"server {{ location / {{ {asking} return 204; }} {location} }}"
    assert answer(text, "1.22.1") == expected


def test_a_line_outside_of_all_servers_asks_in_each() -> None:
    text = (
        POOL + "auth_request /s/verify; server { location / { return 204; } location ^~ /s/ { " + SUB + " } }"
    )
    assert answer(text, "1.22.1") == "depends"


@pytest.mark.parametrize(
    ("lines", "version", "expected"),
    [
        ("proxy_http_version 2; proxy_method HEAD;", "1.31.4", "not reused"),
        ("proxy_http_version 2;", "1.31.4", "reused"),
        (KEPT + "proxy_method HEAD;", "1.31.4", "reused"),
        ("proxy_http_version 2; proxy_pass_request_body off;", "1.30.0", "not reused"),
        ("proxy_http_version 2; proxy_set_body x;", "1.30.0", "not reused"),
        ("proxy_http_version 2; proxy_pass_request_body off;", "1.30.1", "reused"),
    ],
)
def test_answers_over_http2(lines: str, version: str, expected: str) -> None:
    text = POOL + f"server {{ location / {{ proxy_pass http://app; {lines} }} }}"
    assert answer(text, version) == expected
