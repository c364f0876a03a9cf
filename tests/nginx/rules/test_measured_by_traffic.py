"""What rules say about servers that were measured, seen by a counting server behind real nginx."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nginx.check import check
from nginx.measured import MeasuredServer
from nginx.rules import CheckSettings
from tests.nginx import real
from tests.nginx.rules.proving import KEPT, POOL, PROGRAMS, proves, site

PASS = f"location / {{ proxy_pass http://app; {KEPT} }}"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MOST = 3


def flagged(text: str, version: str, measured: MeasuredServer) -> set[str]:
    """Return the rules that apply to a configuration whose server was measured."""
    settings = CheckSettings(measured=(measured,))
    return {finding.rule for finding in check("x", [version], text=text, settings=settings).findings}


def ending(most: int) -> real.Exchange:
    """Return a server that says nothing about its limit, and closes once a request too many is there."""
    served: dict[socket.socket, int] = {}

    def exchange(connection: socket.socket) -> bool:
        served[connection] = served.get(connection, 0) + 1
        real.read_request(connection)
        if served[connection] > most:
            return False
        connection.sendall(ANSWER)
        return True

    return exchange


@proves("NK059")
@pytest.mark.parametrize(("more", "statuses"), [("", [502]), (f"keepalive_requests {MOST};", [200])])
def test_a_request_too_many_meets_the_end(
    version: str, more: str, statuses: list[int], tmp_path: Path
) -> None:
    with real.serving(ending(MOST)) as server:
        text = site(PASS, more=more).replace("BACKEND", server.address)
        measured = MeasuredServer(server.address, requests=MOST)
        assert ("NK059" in flagged(text, version, measured)) == (not more)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening, count=MOST) == [200] * MOST
            assert real.request(listening, count=1, method="POST") == statuses


@proves("NK060")
def test_a_server_that_closes_leaves_the_pool_empty(version: str, tmp_path: Path) -> None:
    def exchange(connection: socket.socket) -> bool:
        real.read_request(connection)
        connection.sendall(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return False

    with real.serving(exchange) as server:
        text = site(PASS).replace("BACKEND", server.address)
        assert "NK060" in flagged(text, version, MeasuredServer(server.address, closes=True))
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            real.request(listening, count=5)
        assert server.accepted == 5
    assert "keepalive 8" in POOL
