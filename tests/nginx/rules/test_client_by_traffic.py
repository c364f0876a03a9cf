"""Rules about clients' connections, seen by clients of real nginx; and what nginx refuses."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import h2.connection
import pytest

from nginx import versions
from nginx.rules import CATALOGUE
from tests.nginx import real
from tests.nginx.rules.proving import PATIENCE_S, PROGRAMS, flagged, proves

_DATA, _HEADERS, _GOAWAY = 0x0, 0x1, 0x7
_END_STREAM = 0x1
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1 Version/17.0 Safari/605.1"


def server(lines: str) -> str:
    return f"server {{ listen SOCKET; {lines} location / {{ return 200 ok; }} }}"


@contextlib.contextmanager
def connected(version: str, folder: Path, text: str) -> Iterator[http.client.HTTPConnection]:
    """Yield a client's connection that is never opened a second time."""
    with (
        real.running(PROGRAMS[version], folder, text) as listening,
        contextlib.closing(real.client(listening)) as client,
    ):
        client.auto_open = 0
        yield client


def answers(client: http.client.HTTPConnection, count: int, fields: dict[str, str] | None = None) -> int:
    """Return how many of some requests one connection served."""
    for served in range(count):
        try:
            client.request("GET", "/", headers=fields or {})
            client.getresponse().read()
        except (ConnectionError, http.client.HTTPException):
            return served
    return count


LIMITS = {
    "CK101": [("keepalive_timeout 0;", 1, True), ("keepalive_requests 1;", 1, True), ("", 6, False)],
    "CK102": [("keepalive_requests 3;", 3, True), ("keepalive_requests 1000;", 6, False)],
    "CK103": [("keepalive_disable safari;", 1, True), ("keepalive_disable none;", 6, False)],
}


@proves("CK101", "CK102", "CK103")
@pytest.mark.parametrize(
    ("rule", "lines", "served", "is_flagged"), [(rule, *row) for rule, rows in LIMITS.items() for row in rows]
)
def test_requests_on_one_connection_of_a_client(
    version: str, rule: str, lines: str, served: int, *, is_flagged: bool, tmp_path: Path
) -> None:
    text = server(lines)
    assert (rule in flagged(text, version)) == is_flagged
    with connected(version, tmp_path, text) as client:
        assert answers(client, 6, {"User-Agent": SAFARI}) == served


@proves("CK104")
def test_an_idle_client_is_closed(version: str, tmp_path: Path) -> None:
    text = server("keepalive_timeout 100ms;")
    assert "CK104" in flagged(text, version)
    with connected(version, tmp_path, text) as client:
        assert answers(client, 1) == 1
        client.sock.settimeout(PATIENCE_S)
        assert client.sock.recv(1) == b""


@proves("CK105")
def test_workers_that_go_close_idle_clients(version: str, tmp_path: Path) -> None:
    if versions.parse(version) < versions.parse("1.27.4"):
        refused = real.refusal(
            PROGRAMS[version], tmp_path, "events {} http { keepalive_min_timeout 5s; server { } }"
        )
        assert refused is not None
        return
    text = server("")
    whole = f"worker_shutdown_timeout 10s; events {{}} http {{ {text.replace('SOCKET', '80')} }}"
    assert "CK105" in flagged(whole, version)
    assert "CK105" not in flagged(whole.replace("http {", "http { keepalive_min_timeout 5s;"), version)
    with (
        real.with_workers(PROGRAMS[version], tmp_path, text, 1) as (listening, _),
        contextlib.closing(real.client(listening)) as client,
    ):
        assert answers(client, 1) == 1
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGHUP)
        client.sock.settimeout(PATIENCE_S)
        assert client.sock.recv(1) == b""


@proves("CK107")
def test_a_client_that_does_not_read_is_cut(version: str, tmp_path: Path) -> None:
    length = 50_000_000

    def exchange(connection: socket.socket) -> bool:
        real.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        connection.sendall(bytes(length))
        return True

    inner = "send_timeout 50ms; location / { proxy_pass http://BACKEND; proxy_buffering off; }"
    text = f"server {{ listen SOCKET; {inner} }}"
    assert "CK107" in flagged(text, version)
    assert "CK107" not in flagged(text.replace("50ms", "60s"), version)
    with (
        real.serving(exchange) as upstream,
        connected(version, tmp_path, text.replace("BACKEND", upstream.address)) as client,
    ):
        client.request("GET", "/")
        assert upstream.was_left(1)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            client.getresponse().read()


@proves("CK108")
def test_an_added_connection_field_reaches_clients_only(version: str, tmp_path: Path) -> None:
    heads: list[str] = []

    def exchange(connection: socket.socket) -> bool:
        heads.append(real.read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        return False

    text = (
        "server { listen SOCKET; add_header Connection keep-alive; location / { proxy_pass http://BACKEND; "
        'proxy_http_version 1.1; proxy_set_header Connection ""; } }'
    )
    assert "CK108" in flagged(text, version)
    with (
        real.serving(exchange) as upstream,
        connected(version, tmp_path, text.replace("BACKEND", upstream.address)) as client,
    ):
        client.request("GET", "/")
        answer = client.getresponse()
        answer.read()
        assert answer.headers.get_all("Connection") == ["keep-alive", "keep-alive"]
    assert "connection:" not in heads[0].lower()


@proves("CK110")
@pytest.mark.parametrize("connections", [16, 256])
def test_few_worker_connections_close_idle_clients(version: str, connections: int, tmp_path: Path) -> None:
    events, text, count = f"worker_connections {connections};", server(""), 24
    whole = f"events {{ {events} }} http {{ {text.replace('SOCKET', '80')} }}"
    assert ("CK110" in flagged(whole, version)) == (connections == 16)
    with (
        real.running(PROGRAMS[version], tmp_path, text, events=events) as listening,
        contextlib.ExitStack() as stack,
    ):
        clients: list[http.client.HTTPConnection] = []
        for _ in range(count):
            clients.append(stack.enter_context(contextlib.closing(real.client(listening))))
            clients[-1].auto_open = 0
            assert answers(clients[-1], 1) == 1
        closed = sum(answers(client, 1) == 0 for client in clients)
    assert (closed > 0) == (connections == 16)


@proves("CK112")
def test_keepalive_requests_counts_streams(version: str, tmp_path: Path) -> None:
    text = server("keepalive_requests 3;").replace("SOCKET", "SOCKET http2")
    assert "CK112" in flagged(text.replace("SOCKET", "80"), version)
    with (
        real.running(PROGRAMS[version], tmp_path, text) as listening,
        contextlib.closing(real.client(listening)) as client,
    ):
        assert streams_served(client.sock) == 3


def streams_served(connection: socket.socket) -> int:
    """Return how many streams a server answers before it says that it goes (RFC 9113, sections 4.1, 6.8).

    Its frames are read here: h2 takes no answer that comes after a GOAWAY, and nginx sends it before.
    """
    sending, received = h2.connection.H2Connection(), connection.makefile("rb")
    sending.initiate_connection()
    served, goes = 0, False
    with received:
        while not goes:
            fields = [(":method", "GET"), (":scheme", "http"), (":authority", "x.example"), (":path", "/")]
            sending.send_headers(sending.get_next_available_stream_id(), fields, end_stream=True)
            connection.sendall(sending.data_to_send())
            is_answered = False
            while not is_answered:
                head = received.read(9)
                received.read(int.from_bytes(head[:3], "big"))
                goes = goes or head[3] == _GOAWAY
                is_answered = head[3] in {_DATA, _HEADERS} and bool(head[4] & _END_STREAM)
            served += 1
    return served


@proves("CK113")
@pytest.mark.parametrize("limit", ["1ms", "1h"])
def test_a_busy_client_is_closed_after_its_time(version: str, limit: str, tmp_path: Path) -> None:
    text, many = server(f"keepalive_time {limit}; keepalive_requests 100000;"), 1000
    assert ("CK113" in flagged(text, version)) == (limit == "1ms")
    with connected(version, tmp_path, text) as client:
        assert (answers(client, many) == many) == (limit == "1h")


@proves("NX001", "NX003")
@pytest.mark.parametrize("rule", ["NX001", "NX003"])
def test_nginx_refuses_what_is_said_to_be_refused(version: str, rule: str, tmp_path: Path) -> None:
    about_text = CATALOGUE[rule]

    def refusal_of(text: str) -> str | None:
        own = f"access_log off; {real.temporary(tmp_path)}"
        whole = f"pid {tmp_path}/pid; events {{}} http {{ {own} {text} }}"
        return real.refusal(PROGRAMS[version], tmp_path, whole)

    assert refusal_of(about_text.bad) is not None
    listening = f"server {{ listen unix:{tmp_path}/nginx.sock;"
    assert refusal_of(about_text.good.replace("server {", listening, 1)) is None
