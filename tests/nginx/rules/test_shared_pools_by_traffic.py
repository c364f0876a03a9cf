"""Rules about shared connections, seen by servers with TLS and by one that authenticates connections."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from tests.nginx import real
from tests.nginx.rules.proving import KEPT, POOL, PROGRAMS, flagged, proves, site

CLOSED = "proxy_http_version 1.1; proxy_set_header Connection close;"


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("app.example").configure_cert(context)
    return context


@dataclass
class Secure(real.Server):
    """A server behind TLS that records the name in each handshake, and whether it resumed a session."""

    names: list[str | None] = field(default_factory=list)
    resumed: list[bool] = field(default_factory=list)
    _tls: ssl.SSLContext = field(default_factory=_context)

    def __post_init__(self) -> None:
        self._tls.sni_callback = lambda connection, name, context: self.names.append(name)

    def _converse(self, connection: socket.socket) -> None:
        secure = self._tls.wrap_socket(connection, server_side=True)
        self.resumed.append(bool(secure.session_reused))
        super()._converse(secure)


def send_requests(server: Secure, version: str, folder: Path, text: str, paths: list[str]) -> None:
    """Ask for one path after the other, each from a client of its own."""
    with real.running(PROGRAMS[version], folder, text.replace("BACKEND", server.address)) as listening:
        for path in paths:
            assert real.request(listening, path, 1) == [200]


@proves("NK028")
@pytest.mark.parametrize("off", [True, False])
def test_sessions_are_resumed_unless_switched_off(version: str, *, off: bool, tmp_path: Path) -> None:
    line = "proxy_ssl_session_reuse off;" if off else ""
    text = site(f"location / {{ proxy_pass https://app; {CLOSED} {line} }}")
    assert ("NK028" in flagged(text, version)) == off
    with real.served(Secure(real.http_exchange)) as server:
        send_requests(server, version, tmp_path, text, ["/"] * 4)
        assert server.resumed == [False, *[not off] * 3]


def two_names(first: str, second: str, pools: str = POOL, other: str = "app") -> str:
    named = "proxy_ssl_server_name on; proxy_ssl_name"
    return site(
        f"location / {{ proxy_pass https://app; {KEPT} {named} {first}; }}"
        f"location /b/ {{ proxy_pass https://{other}; {KEPT} {named} {second}; }}",
        pools,
    )


@proves("NK029")
def test_a_pool_is_shared_whatever_name_was_asked_for(version: str, tmp_path: Path) -> None:
    shared = two_names("a.example", "b.example")
    apart = two_names("a.example", "b.example", POOL + POOL.replace("app", "other"), "other")
    for text, names in ((shared, ["a.example"]), (apart, ["a.example", "b.example"])):
        assert ("NK029" in flagged(text, version)) == (text is shared)
        with real.served(Secure(real.http_exchange)) as server:
            send_requests(server, version, tmp_path, text, ["/", "/b/"] * 2)
            assert server.names == names


@proves("NK030")
@pytest.mark.parametrize("sent", [KEPT, CLOSED])
def test_a_plain_connection_is_picked_for_tls(sent: str, version: str, tmp_path: Path) -> None:
    received: list[list[bytes]] = []
    known: dict[socket.socket, list[bytes]] = {}

    def exchange(connection: socket.socket) -> bool:
        if connection not in known:
            known[connection] = []
            received.append(known[connection])
        data = connection.recv(65536)
        if data:
            known[connection].append(data[:1])
        if not data.startswith(b"G"):
            return False
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    text = site(
        f"location / {{ proxy_pass http://app; {KEPT} }} location /b/ {{ proxy_pass https://app; {sent} }}"
    )
    assert "NK030" in flagged(text, version)
    assert "NK030" not in flagged(text.replace("https:", "http:"), version)
    with real.serving(exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening, "/", 1) == [200]
            assert real.request(listening, "/b/", 1) == [502]
    handshake = b"\x16"  # RFC 8446, section 5.1: the type of the record that a ClientHello comes in
    assert received[0] == [b"G", handshake]


def authenticating() -> Callable[[socket.socket], bool]:
    """Return a server that knows a user by the connection, as NTLM has it, and answers with the name."""
    users: dict[socket.socket, str] = {}

    def exchange(connection: socket.socket) -> bool:
        head = real.read_request(connection)
        for line in head.split("\r\n"):
            if line.lower().startswith("authorization: ntlm "):
                users[connection] = line.rpartition(" ")[2]
        name = users.get(connection, "anonymous")
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode())
        return real.stays_open(head)

    return exchange


@proves("NK032")
@pytest.mark.parametrize("pooled", [True, False])
def test_a_user_gets_the_connection_of_another(version: str, *, pooled: bool, tmp_path: Path) -> None:
    text = site(f"location /owa/ {{ proxy_pass http://app; {KEPT if pooled else CLOSED} }}")
    assert ("NK032" in flagged(text, version)) == pooled
    answers = []
    with real.serving(authenticating()) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            for fields in ({"Authorization": "NTLM alice"}, {}):
                client = real.client(listening)
                client.request("GET", "/owa/", headers=fields)
                answers.append(client.getresponse().read().decode())
                client.close()
    assert answers == ["alice", "alice" if pooled else "anonymous"]
