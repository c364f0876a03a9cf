"""The half-fixes of `bench incident`, before a real server: the watch sees which of them reuse nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket

import pytest

from bench.watch.finding import Pattern
from bench.watch.flows import Closer
from bench.watch.model import Direction, HostFlow, RequestFlow, Snapshot
from bench.watch.sampled import SampledWatch
from bench.watch.scope import open_scope
from bench.watch.verdict import judge
from tests import needs
from tests.nginx import real

pytestmark = [pytest.mark.long, needs.on_linux]

CLIENTS, PAUSE_S, SERVICE_S = 16, 0.05, 0.01
"""Each client asks, waits and asks again on one connection: some 270 requests a second, three in flight."""
WATCHED_S, EVERY_S = 4.0, 0.5
PROGRAMS = real.programs()
HTTP11, CLEARED = "proxy_http_version 1.1;", 'proxy_set_header Connection "";'
IDIOMS = {
    "default": ("", ""),
    "snippet": ("", HTTP11 + CLEARED),
    "pool-only": ("keepalive 16;", ""),
    "pool-http11": ("keepalive 16;", HTTP11),
    "small-pool": ("keepalive 2;", HTTP11 + CLEARED),
    "full": ("keepalive 16;", HTTP11 + CLEARED),
}
"""What is in upstream {}, and what is in the location."""
SHORT_THERE = (Pattern.SHORT_CONNECTIONS, Closer.THERE)
SHORT_HERE = (Pattern.SHORT_CONNECTIONS, Closer.HERE)
SMALL = (Pattern.SMALL_POOL, Closer.HERE)
SEEN = {
    "1.22": {
        "default": SHORT_THERE,
        "snippet": SHORT_HERE,
        "pool-only": SHORT_THERE,
        "pool-http11": SHORT_THERE,
        "small-pool": SMALL,
        "full": None,
    },
    # From 1.29.7 on an upstream {} keeps connections by default.
    "1.31": dict.fromkeys(IDIOMS) | {"small-pool": SMALL},
}


class Upstream:
    """Answers each request after a while, and counts them, as an access log would.

    Where the connection ends, its end is that of the answer: so nginx waits for it, and the server closes
    first.
    """

    def __init__(self) -> None:
        self.requests = 0

    def exchange(self, connection: socket) -> bool:
        """Answer one request; return whether the connection stays."""
        stays = real.stays_open(real.read_request(connection))
        time.sleep(SERVICE_S)
        field = "Content-Length: 2" if stays else "Connection: close"
        connection.sendall(f"HTTP/1.1 200 OK\r\n{field}\r\n\r\nok".encode())
        self.requests += 1
        return stays


@contextmanager
def clients(listening: Path) -> Iterator[None]:
    """Let clients ask through nginx on kept connections."""
    stop = threading.Event()

    def ask() -> None:
        with closing(real.client(listening)) as client:
            while not stop.wait(PAUSE_S):
                client.request("GET", "/")
                client.getresponse().read()

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in threads:
            each.join()


def watch(port: int, upstream: Upstream) -> list[Snapshot]:
    """Return what is seen of the hop to a server; the host's counters count other tests too."""
    seen: list[Snapshot] = []
    due, counted = time.monotonic(), upstream.requests
    with open_scope() as scope, closing(SampledWatch(scope)) as watching:
        while len(seen) < WATCHED_S / EVERY_S:
            due += EVERY_S
            time.sleep(max(0.0, due - time.monotonic()))
            snapshot, requests = watching.snapshot(), upstream.requests
            hops = (each for each in snapshot.hops if each.hop.port == port)
            ours = tuple(each for each in hops if each.hop.direction is Direction.OUTGOING)
            flow = RequestFlow("the server", requests - counted, port)
            seen.append(replace(snapshot, hops=ours, host_flow=HostFlow(), requests=(flow,)))
            counted = requests
    return seen


@pytest.mark.parametrize("idiom", IDIOMS)
@pytest.mark.parametrize("series", SEEN)
def test_the_watch_sees_which_half_fix_reuses_nothing(series: str, idiom: str, tmp_path: Path) -> None:
    program = next((path for version, path in PROGRAMS.items() if version.startswith(series)), None)
    if program is None:
        needs.skip(f"nginx {series}", "apt install nginx, make .venv/.proxies")
    pool, lines = IDIOMS[idiom]
    upstream = Upstream()
    with real.serving(upstream.exchange) as server:
        text = (
            f"keepalive_requests 1000000; upstream app {{ server {server.address}; {pool} }}"
            f" server {{ listen SOCKET; location / {{ proxy_pass http://app; {lines} }} }}"
        )
        with real.running(program, tmp_path, text) as listening, clients(listening):
            found = judge(watch(int(server.address.rpartition(":")[2]), upstream)).faults
    seen = [(each.pattern, each.closes_first) for each in found]
    assert seen == ([SEEN[series][idiom]] if SEEN[series][idiom] is not None else [])
    assert all(each.change for each in found)
