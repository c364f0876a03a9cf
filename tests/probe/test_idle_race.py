"""The idle race behind real proxies: it shows as 502 or a reset, and is gone with what `advise` says."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.probe.advice import advise
from bench.probe.model import Ending, IdleTimeout, ProbeResult
from tests import needs
from tests.nginx import real
from tests.probe import fronts
from tests.probe.dying_server import DyingServer, dying_server

IDLE_S = 2.0
CLIENTS = 8
LOST = "the connection was closed without a response"


def result(server: DyingServer, *, idle_s: float = IDLE_S, max_requests: int | None = None) -> ProbeResult:
    """Return what a probe finds out about a server."""
    host, _, port = server.address.rpartition(":")
    idle = IdleTimeout(idle_s, idle_s + 0.05, (idle_s, idle_s + 0.05), Ending.FIN)
    return ProbeResult(server.address, host, int(port), "/", idle=idle, max_requests=max_requests)


def advised(name: str, found: ProbeResult) -> tuple[str, ...]:
    """Return the lines of the advice for one proxy."""
    return next(each.lines for each in advise(found) if each.proxy.lower() == name)


class Clients:
    """Clients that each keep a connection to the proxy, and send their requests at the same time."""

    def __init__(self, listening: Path) -> None:
        self._connections = [real.client(listening) for _ in range(CLIENTS)]

    def send(self, method: str) -> list[int | str]:
        """Send one request each; return the statuses, or LOST."""
        answers: list[int | str] = []
        threads = [
            threading.Thread(target=lambda each=each: answers.append(_request(each, method)))
            for each in self._connections
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def close(self) -> None:
        for each in self._connections:
            each.close()


def _request(connection: http.client.HTTPConnection, method: str) -> int | str:
    try:
        connection.request(method, "/", body=b"x" if method == "POST" else None)
        answer = connection.getresponse()
        answer.read()
    except (ConnectionError, http.client.HTTPException):
        return LOST
    return answer.status


@contextmanager
def lab(name: str, folder: Path, lines: Sequence[str], server: DyingServer) -> Iterator[Clients]:
    """Run a proxy with clients whose first requests have filled its pool."""
    with fronts.running(name, folder, server.address, lines) as listening:
        clients = Clients(listening)
        try:
            assert clients.send("GET") == [200] * CLIENTS
            yield clients
        finally:
            clients.close()


@pytest.mark.parametrize("name", needs.subjects(*fronts.FRONTS))
def test_a_request_meets_the_end_of_an_idle_connection(name: str, tmp_path: Path) -> None:
    with dying_server(IDLE_S, CLIENTS) as server:
        with lab(name, tmp_path, fronts.by_default(name, server.address), server) as clients:
            server.wait_for_ends(CLIENTS)
            answers = clients.send("POST")
        assert server.left == 0
        assert server.met == CLIENTS
        assert {502, 503, LOST} >= set(answers)


@pytest.mark.parametrize("name", needs.subjects(*fronts.FRONTS))
def test_with_what_is_advised_the_proxy_ends_it_first(name: str, tmp_path: Path) -> None:
    with dying_server(IDLE_S, CLIENTS) as server:
        with lab(name, tmp_path, advised(name, result(server)), server) as clients:
            server.wait_for_ends(CLIENTS)
            answers = clients.send("POST")
        assert (server.dying, server.met) == (0, 0)
        assert answers == [200] * CLIENTS
