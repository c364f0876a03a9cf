"""What rules say about workers, capacities and names: pools of several workers, servers that take few."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nginx import versions
from nginx.check import check
from nginx.rules import CheckSettings
from tests.nginx import real
from tests.nginx.resolver import resolving
from tests.nginx.rules.proving import KEPT, PATIENCE_S, PROGRAMS, Together, flagged, proves, site


def flagged_with(text: str, version: str, settings: CheckSettings) -> set[str]:
    return {finding.rule for finding in check("x", [version], text=text, settings=settings).findings}


def pool(size: int, server: str = "", more: str = "") -> str:
    return f"upstream app {{ server BACKEND{server}; keepalive {size}; {more} }}\n"


def request_in_thread(listening: Path, into: list[int], path: str = "/") -> threading.Thread:
    """Send one request from a client in its own thread."""
    thread = threading.Thread(target=lambda: into.extend(real.request(listening, path, 1)))
    thread.start()
    return thread


@dataclass
class Prefork(real.Server):
    """A server that serves so many connections at once, as one with a process for each does."""

    capacity: int = 1
    waits: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._free = threading.Semaphore(self.capacity)

    def _converse(self, connection: socket.socket) -> None:
        if not self._free.acquire(blocking=False):
            self.waits.set()
            self._free.acquire()
        try:
            super()._converse(connection)
        finally:
            self._free.release()


@proves("NK023")
@pytest.mark.parametrize("capacity", [1, 2])
def test_idle_connections_of_one_worker_starve_another(version: str, capacity: int, tmp_path: Path) -> None:
    text = site(f"location / {{ proxy_pass http://app; {KEPT} }}", pool(1))
    settings = CheckSettings(workers=2, backend_max_connections=capacity)
    assert ("NK023" in flagged_with(text, version, settings)) == (capacity < 2)
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    answers: list[int] = []
    with real.served(Prefork(real.http_exchange, capacity=capacity)) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], folders[1], text) as second:
            with real.running(PROGRAMS[version], folders[0], text) as first:
                assert real.request(first, count=1) == [200]
                thread = request_in_thread(second, answers)
                if capacity == 1:
                    assert server.waits.wait(PATIENCE_S)
                    assert answers == []  # the server waits for nothing but the idle connection
                else:
                    thread.join()
            thread.join()
        assert answers == [200]
        assert server.waits.is_set() == (capacity == 1)


@proves("NK024")
@pytest.mark.parametrize("size", [32, 1])
def test_idle_upstream_connections_take_the_place_of_clients(version: str, size: int, tmp_path: Path) -> None:
    events, together, clients = "worker_connections 24;", 8, 16
    text = site(
        f"location / {{ proxy_pass http://app; {KEPT} }} location /local {{ return 204; }}", pool(size)
    )
    whole = f"events {{ {events} }} http {{ {text.replace('SOCKET', '80')} }}"
    assert ("NK024" in flagged(whole, version)) == (size == 32)
    with real.serving(Together(together).exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text, events=events) as listening:
            answers: list[int] = []
            for thread in [request_in_thread(listening, answers) for _ in range(together)]:
                thread.join()
            assert answers == [200] * together
            with contextlib.ExitStack() as stack:
                waiting: list[http.client.HTTPConnection] = []
                for _ in range(clients):
                    waiting.append(stack.enter_context(contextlib.closing(real.client(listening))))
                    assert status(waiting[-1]) == 204
                closed = sum(status(client) is None for client in waiting)
    assert (closed > 0) == (size == 32)


def status(client: http.client.HTTPConnection) -> int | None:
    """Return the status of an answer on a connection that is open, or None where it was closed."""
    client.auto_open = 0
    try:
        client.request("GET", "/local")
        answer = client.getresponse()
        answer.read()
    except (ConnectionError, http.client.HTTPException):
        return None
    return answer.status


class Held:
    """A server that answers on command."""

    def __init__(self) -> None:
        self.came = threading.Semaphore(0)
        self.go_on = threading.Event()

    def exchange(self, connection: socket.socket) -> bool:
        head = real.read_request(connection)
        self.came.release()
        self.go_on.wait(PATIENCE_S)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return real.stays_open(head)


@proves("NK039")
@pytest.mark.parametrize("has_zone", [False, True])
def test_max_conns_counts_per_worker_without_a_zone(version: str, *, has_zone: bool, tmp_path: Path) -> None:
    text = site(
        f"location / {{ proxy_pass http://app; {KEPT} }}",
        pool(2, " max_conns=1", "zone app 64k;" if has_zone else ""),
    )
    assert ("NK039" in flagged(text, version)) != has_zone
    held = Held()
    first: list[int] = []
    second: list[int] = []
    with real.serving(held.exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.with_workers(PROGRAMS[version], tmp_path, text, 2) as (listening, workers):
            workers.only(0)
            threads = [request_in_thread(listening, first)]
            assert held.came.acquire(timeout=PATIENCE_S)
            workers.only(1)
            threads.append(request_in_thread(listening, second))
            if has_zone:
                threads[1].join()
            else:
                assert held.came.acquire(timeout=PATIENCE_S)  # two at once, where max_conns says one
            held.go_on.set()
            workers.all()
            for thread in threads:
                thread.join()
        assert (first, second) == ([200], [502 if has_zone else 200])
        assert server.accepted == (1 if has_zone else 2)


@proves("NK047")
@pytest.mark.parametrize("count", [1, 2])
def test_each_worker_has_a_pool_of_its_own(version: str, count: int, tmp_path: Path) -> None:
    text = site(f"location / {{ proxy_pass http://app; {KEPT} }}", pool(8))
    settings = CheckSettings(workers=count, concurrency=1)
    assert ("NK047" in flagged_with(text, version, settings)) == (count == 2)
    with real.serving(real.http_exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.with_workers(PROGRAMS[version], tmp_path, text, count) as (listening, workers):
            for number in (0, 1) * 2:
                workers.only(number % count)
                assert real.request(listening, count=1) == [200]
    assert server.accepted == count


@proves("NK040")
@pytest.mark.parametrize("follows", [False, True])
def test_a_name_is_resolved_once_unless_it_says_resolve(
    version: str, *, follows: bool, tmp_path: Path
) -> None:
    """The resolver's address leads nowhere: an nginx that queries it gets no answer."""
    server_line = "server localhost:PORT resolve; zone app 64k;" if follows else "server localhost:PORT;"
    text = "resolver RESOLVER ipv6=off;" + site(
        f"location / {{ proxy_pass http://app; {KEPT} }}", f"upstream app {{ {server_line} keepalive 8; }}\n"
    )
    is_new = versions.parse(version) >= versions.RESOLVE
    assert ("NK040" in flagged(text.replace("localhost", "app.test"), version)) != follows
    with resolving("127.0.0.9") as resolver, real.serving(real.http_exchange) as server:
        text = text.replace("PORT", server.address.rpartition(":")[2]).replace("RESOLVER", resolver.address)
        if follows and not is_new:
            assert real.refusal(PROGRAMS[version], tmp_path, f"events {{}} http {{ {text} }}") is not None
            return
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening, count=4) == [502 if follows else 200] * 4
            deadline = time.monotonic() + PATIENCE_S
            while follows and not resolver.queries:  # it resolves in the background
                assert time.monotonic() < deadline
                time.sleep(0.005)
            assert set(resolver.queries) == ({"localhost"} if follows else set())
        assert server.accepted == (0 if follows else 1)
