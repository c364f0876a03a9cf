"""What rules say about protocols and about servers that close by themselves, behind real nginx."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from backends.protocols.behaviour import Behaviour
from backends.protocols.http2 import Http2
from backends.protocols.responder import PeerError
from nginx import versions
from tests.nginx import real
from tests.nginx.rules.proving import KEPT, POOL, PROGRAMS, accepted, flagged, proves, site

CLIENTS = 4


class Multiplexed:
    """A server that speaks HTTP/2 without TLS, and answers once so many requests are there."""

    def __init__(self, together: int) -> None:
        self._met = threading.Barrier(together, timeout=10)
        self._known: dict[socket.socket, Http2] = {}

    def exchange(self, connection: socket.socket) -> bool:
        if connection not in self._known:
            self._known[connection] = Http2(Behaviour(b"ok"))
            connection.sendall(self._known[connection].greeting())
        data = connection.recv(65536)
        for answer in self._known[connection].feed(data) if data else ():
            for _ in range(answer.requests):
                self._met.wait()
            connection.sendall(answer.data)
        return bool(data)


def at_once(listening: Path) -> None:
    threads = [threading.Thread(target=real.request, args=(listening, "/", 1)) for _ in range(CLIENTS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


@proves("NK014")
@pytest.mark.parametrize(("clients", "connections"), [(1, 1), (CLIENTS, CLIENTS)])
def test_http2_to_the_server_is_pooled_and_not_multiplexed(
    version: str, clients: int, connections: int, tmp_path: Path
) -> None:
    text = site("location / { proxy_pass http://app; proxy_http_version 2; }")
    if versions.parse(version) < versions.HTTP2_UPSTREAM:
        refusal = real.refusal(
            PROGRAMS[version], tmp_path, f"events {{}} http {{ {text} }}".replace("MORE", "")
        )
        assert refusal is not None
        return
    assert "NK014" in flagged(text, version)
    with real.serving(Multiplexed(clients).exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            if clients == 1:
                assert real.request(listening) == [200] * real.REQUESTS
            else:
                at_once(listening)
        assert server.accepted == connections


@proves("NK054")
@pytest.mark.parametrize(("field", "is_refused"), [("Connection upgrade", True), ('Connection ""', False)])
def test_a_connection_field_reaches_a_server_over_http2_and_is_refused(
    version: str, field: str, *, is_refused: bool, tmp_path: Path
) -> None:
    text = site(f"location / {{ grpc_pass grpc://app; grpc_set_header {field}; }}")
    assert ("NK054" in flagged(text, version)) == is_refused
    multiplexed = Multiplexed(1)

    def strict(connection: socket.socket) -> bool:
        with suppress(PeerError):
            return multiplexed.exchange(connection)
        return False

    with real.serving(strict) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert set(real.request(listening)) == ({502} if is_refused else {200})


@proves("NK036")
def test_grpc_needs_only_the_pool(version: str, tmp_path: Path) -> None:
    text = site("location / { grpc_pass grpc://app; }")
    assert "NK036" in flagged(text, version)
    assert accepted(version, tmp_path, text, ["/"] * 4, Multiplexed(1).exchange) == 1


@proves("NK037")
@pytest.mark.parametrize(("target", "is_reused"), [("app", True), ("BACKEND", False)])
def test_memcached_needs_only_the_pool(version: str, target: str, *, is_reused: bool, tmp_path: Path) -> None:
    text = site(f"location / {{ set $memcached_key $uri; memcached_pass {target}; }}")
    assert "NK037" in flagged(text, version)
    connections = accepted(version, tmp_path, text, ["/"] * 4, real.memcached_exchange)
    assert connections == (1 if is_reused else 4)


@proves("NK044")
@pytest.mark.parametrize("early", [True, False])
def test_an_answer_before_the_body_is_whole_costs_the_connection(
    version: str, *, early: bool, tmp_path: Path
) -> None:
    answered = threading.Event()

    def exchange(connection: socket.socket) -> bool:
        if early:
            real.read_until(connection, b"\r\n\r\n")
        else:
            real.read_request(connection)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        answered.set()
        return True

    text = site(
        f"location / {{ proxy_pass http://app; {KEPT} proxy_request_buffering off; client_max_body_size 0; }}"
    )
    assert "NK044" in flagged(text, version)
    with real.serving(exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            client = real.client(listening)
            client.putrequest("POST", "/")
            client.putheader("Content-Length", "8")
            client.endheaders(b"half" if early else b"all of it"[:8])
            assert answered.wait(10)
            assert client.getresponse().status == 413
            assert not early or server.was_left(1)
            client.close()
            assert real.request(listening, "/", 1) == [413]
        assert server.accepted == (2 if early else 1)


CLOSING = {
    "it says so": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
    "no length": (b"HTTP/1.1 200 OK\r\n\r\nok", False),
    "nothing of the kind": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
}


@proves("NK046")
@pytest.mark.parametrize("how", CLOSING)
def test_a_server_that_closes_by_itself_is_not_reused(version: str, how: str, tmp_path: Path) -> None:
    answer, stays = CLOSING[how]

    def exchange(connection: socket.socket) -> bool:
        real.read_request(connection)
        connection.sendall(answer)
        return stays or b"1.0 200" in answer  # even where it does not close at once

    text = site(f"location / {{ proxy_pass http://app; {KEPT} }}")
    assert accepted(version, tmp_path, text, ["/"] * 4, exchange) == (1 if stays else 4)


@proves("NK052")
def test_an_upgraded_connection_does_not_return_to_the_pool(version: str, tmp_path: Path) -> None:
    def exchange(connection: socket.socket) -> bool:
        head = real.read_request(connection)
        if "websocket" not in head:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return True
        upgraded = b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n" + upgraded)
        raise EOFError(connection.recv(1))  # until the client leaves

    lines = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c;"
    text = "map $http_upgrade $c { default upgrade; '' ''; }" + site(
        f"location / {{ proxy_pass http://app; {lines} }}", POOL
    )
    assert "NK052" in flagged(text, version)
    with real.serving(exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening, count=2) == [200, 200]
            assert server.accepted == 1
            client = real.client(listening)
            client.request("GET", "/", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
            assert client.getresponse().status == 101
            assert server.accepted == 1  # the pooled one was taken
            client.close()
            assert server.was_left(1)
            assert real.request(listening, count=2) == [200, 200]
        assert server.accepted == 2
