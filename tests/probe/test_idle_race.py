"""The idle race behind real proxies: it shows as 502 or a reset, and is gone with what `advise` says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bench.probe.advice import advise
from bench.probe.limits import ProbeSettings
from bench.probe.model import Ending, IdleTimeout, KeepAliveCase, ProbeResult
from bench.probe.probing import probe
from bench.probe.progress import tell_nobody
from bench.probe.target import parse_target
from tests import needs
from tests.probe import fronts
from tests.probe.clients import LOST, Answer, Clients
from tests.probe.dying_server import DyingServer, dying_server

pytestmark = pytest.mark.long

IDLE_S = 2.0
CLIENTS = 8
HAPROXY_RETRIES = 3
"""Its default."""


def result(server: DyingServer, *, idle_s: float = IDLE_S, max_requests: int | None = None) -> ProbeResult:
    """Return what a probe finds out about a server."""
    host, _, port = server.address.rpartition(":")
    idle = IdleTimeout(idle_s, idle_s + 0.05, (idle_s, idle_s + 0.05), Ending.FIN)
    kept = (KeepAliveCase("HTTP/1.1 GET", True),)
    return ProbeResult(server.address, host, int(port), "/", cases=kept, idle=idle, max_requests=max_requests)


def advised(name: str, found: ProbeResult) -> tuple[str, ...]:
    """Return the lines of the advice for one proxy."""
    return next(each.lines for each in advise(found) if each.proxy.lower() == fronts.product(name))


@contextmanager
def lab(
    name: str, folder: Path, lines: Sequence[str], server: DyingServer, count: int = CLIENTS
) -> Iterator[Clients]:
    """Run a proxy with clients whose first requests have filled its pool."""
    with fronts.running(name, folder, server.address, lines) as listening:
        clients = Clients(listening, count)
        try:
            assert clients.send("GET") == [200] * count
            yield clients
        finally:
            clients.close()


def lose_requests(name: str, folder: Path, lines: Sequence[str], server: DyingServer) -> list[Answer]:
    """Send a POST from each client once the proxy or the server has ended each connection."""
    with lab(name, folder, lines, server) as clients:
        server.wait_for_ends(CLIENTS)
        return clients.send("POST")


@pytest.mark.parametrize("name", needs.subjects(*fronts.FRONTS))
def test_a_request_meets_the_end_of_an_idle_connection(name: str, tmp_path: Path) -> None:
    with dying_server(IDLE_S, CLIENTS) as server:
        answers = lose_requests(name, tmp_path, fronts.by_default(name, server.address), server)
        assert (server.left, server.met) == (0, CLIENTS)
        assert set(answers) <= {502, 503, LOST}


@pytest.mark.parametrize("name", needs.subjects(*fronts.FRONTS))
def test_with_what_is_advised_the_proxy_ends_it_first(name: str, tmp_path: Path) -> None:
    with dying_server(IDLE_S, CLIENTS) as server:
        answers = lose_requests(name, tmp_path, advised(name, result(server)), server)
        assert (server.dying, server.met) == (0, 0)
        assert answers == [200] * CLIENTS


@pytest.mark.long
@pytest.mark.parametrize("name", needs.subjects(*fronts.FRONTS))
def test_what_a_probe_measures_is_enough(name: str, tmp_path: Path) -> None:
    """The server takes 0.4 s to close: the world sees its end later than it stops to read."""
    with dying_server(IDLE_S, window_s=0.4) as server:
        found = probe(parse_target(server.address), ProbeSettings(max_s=20), None, tell_nobody)
        assert found.idle is not None
        assert min(found.idle.seen_s) > IDLE_S  # on a busy machine they spread, and what is advised is less
    with dying_server(IDLE_S, CLIENTS) as server:
        host, _, port = server.address.rpartition(":")
        lines = advised(name, replace(found, host=host, port=int(port)))
        assert lose_requests(name, tmp_path, lines, server) == [200] * CLIENTS
        assert server.met == 0


@pytest.mark.parametrize("name", needs.subjects(*fronts.NGINX, "envoy"))
@pytest.mark.parametrize("is_advised", [False, True])
def test_a_request_too_many_meets_the_end(name: str, *, is_advised: bool, tmp_path: Path) -> None:
    most = 3
    with dying_server(60, most_requests=most) as server:
        lines = advised(name, result(server, idle_s=60, max_requests=most))
        lines = lines if is_advised else tuple(fronts.by_default(name, server.address))
        with lab(name, tmp_path, lines, server, count=1) as clients:
            assert [clients.send("GET") for _ in range(most - 1)] == [[200]] * (most - 1)
            server.wait_for_ends(1)
            answers = clients.send("POST")
        assert (server.met == 0, answers == [200]) == (is_advised, is_advised)


@pytest.mark.parametrize("name", needs.subjects(*fronts.FRONTS))
def test_a_server_that_closes_without_saying_so_gets_no_pool(name: str, tmp_path: Path) -> None:
    with dying_server(60, most_requests=1) as server:
        host, _, port = server.address.rpartition(":")
        cases = (KeepAliveCase("HTTP/1.1 GET", False, ending=Ending.FIN),)
        found = ProbeResult(server.address, host, int(port), "/", cases=cases)
        with lab(name, tmp_path, advised(name, found), server, count=1) as clients:
            server.wait_for_ends(1)
            assert [clients.send("POST") for _ in range(3)] == [[200]] * 3
        assert server.met == 0


@pytest.mark.parametrize("name", needs.subjects(*fronts.HAPROXY))
def test_haproxy_repeats_what_met_an_end_all_the_same(name: str, tmp_path: Path) -> None:
    """Without its pool-purge-delay, so that nothing but retry-on is left.

    A repetition may meet the end of another connection: with more of them than `retries` some would be lost.
    """
    with dying_server(IDLE_S, HAPROXY_RETRIES) as server:
        lines = [re.sub(r" pool-purge-delay \w+", "", line) for line in advised(name, result(server))]
        with lab(name, tmp_path, lines, server, count=HAPROXY_RETRIES) as clients:
            server.wait_for_ends(HAPROXY_RETRIES)
            assert clients.send("GET") == [200] * HAPROXY_RETRIES
        assert server.met == HAPROXY_RETRIES
