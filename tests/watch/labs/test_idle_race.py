"""Requests that meet the FIN of an idle connection, behind nginx and before real servers.

The worker of nginx is busy (stopped) while the server ends its idle connections and some requests come. When
it goes on it takes the requests first, since they came first, and sends them on connections that have ended.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from socket import socket

import pytest

from bench.observe.sock_diag import CLOSE_WAIT, ESTABLISHED, SockDiag
from bench.subjects import programs
from bench.watch.exact import ExactWatch
from bench.watch.finding import Certainty, Pattern
from bench.watch.flows import Closer, total
from bench.watch.model import Direction, HopFlow, HostFlow, Snapshot, Source
from bench.watch.requests.access_log import AccessLogSource
from bench.watch.scope import open_scope
from bench.watch.session import Session
from bench.watch.verdict import NOTHING, WatchVerdict, judge
from tests import needs
from tests.nginx import real
from tests.probe.servers import SERVERS, RealServer, running

pytestmark = [pytest.mark.long, needs.on_linux, needs.program("nginx"), pytest.mark.usefixtures("may_trace")]

CLIENTS, LATE, ROUNDS = 6, 2, 6
"""Of so many clients so many send a request when the server has ended its connections, in each round."""
IDLE_S = 2.0
"""Rounds last longer than a burst, even without three of them: a late look knows no idle time."""
EVERY_S, PATIENCE_S = 0.5, 60.0
FORMAT = '$connection_requests "$upstream_addr" "$upstream_status"'
SITE = """
log_format reuse '{format}';
upstream app {{ server 127.0.0.1:{port}; keepalive 32; {pool} }}
server {{
    listen SOCKET; access_log {log} reuse;
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }}
}}
"""

StartServer = Callable[[Path], AbstractContextManager[int]]


@contextmanager
def impatient(folder: Path) -> Iterator[int]:
    """Run a server of ours that ends a connection after IDLE_S, and yield its port."""

    def exchange(connection: socket) -> bool:
        connection.settimeout(IDLE_S)
        return real.http_exchange(connection)

    with real.serving(exchange) as server:
        yield int(server.address.rpartition(":")[2])


def idle_for_a_while(server: RealServer, folder: Path) -> AbstractContextManager[int]:
    """Run a real server that is told IDLE_S."""
    return running(server, folder, IDLE_S)


def servers() -> list[object]:
    """Return a server of ours, and real ones, whose time is up after some seconds."""
    found: list[object] = [pytest.param(impatient, id="ours")]
    for server in SERVERS:
        if server.name in ("node", "gunicorn gthread"):
            is_here = needs.unless(server.is_here, server.program or server.package, server.remedy)
            found.append(
                pytest.param(
                    partial(idle_for_a_while, server), marks=[is_here], id=server.name.replace(" ", "-")
                )
            )
    return found


@dataclass(frozen=True)
class Front:
    """An nginx of one process before a server, and the clients that it has."""

    pid: int
    port: int
    """The server's."""
    clients: list[HTTPConnection]

    def send(self, method: str, count: int = CLIENTS) -> list[int]:
        """Send requests that nginx finds all at once, and return the statuses."""
        with self.busy():
            self.write(method, count)
        return self.read(count)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keep the process from going on."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            _until(lambda: Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def write(self, method: str, count: int) -> None:
        """Send requests."""
        for client in self.clients[:count]:
            client.request(method, "/", body=b"x" if method == "POST" else None)

    def read(self, count: int) -> list[int]:
        """Return the statuses of the answers."""
        answers = [client.getresponse() for client in self.clients[:count]]
        return [answer.status for answer in answers if answer.read() is not None]

    def held(self, *states: int) -> int:
        """Return how many connections to the server are in one of `states`."""
        with closing(SockDiag()) as diag:
            return int((diag.dump(states).remote_port == self.port).sum())


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it never came to it"
        time.sleep(0.01)


@contextmanager
def front(folder: Path, port: int, pool: str) -> Iterator[Front]:
    """Run nginx with clients that it knows."""
    text = SITE.format(format=FORMAT, port=port, pool=pool, log=folder / "access.log")
    with ExitStack() as stack:
        listening = stack.enter_context(real.running(programs.find("nginx").path, folder, text))
        clients = [stack.enter_context(closing(real.client(listening))) for _ in range(CLIENTS)]
        file = folder / "pid"
        _until(lambda: file.exists() and file.read_text().strip() != "")
        found = Front(int(file.read_text()), port, clients)
        for client in clients:
            client.request("GET", "/")
            assert client.getresponse().read()
        yield found


@contextmanager
def watched(folder: Path, port: int) -> Iterator[list[Snapshot]]:
    """Watch the hop to a server while the block lasts, with the requests of nginx's access log."""
    seen: list[Snapshot] = []
    stop = threading.Event()
    with open_scope() as scope, closing(ExactWatch(scope)) as watch, ExitStack() as stack:
        log = stack.enter_context(closing(AccessLogSource(str(folder / "access.log"), FORMAT)))
        session = Session(watch, judge, [log], EVERY_S)

        def wait(seconds: float) -> bool:
            return stop.wait(max(0.0, seconds))

        thread = threading.Thread(
            target=session.run, args=([lambda look: seen.append(_only(look.snapshot, port))], wait)
        )
        thread.start()
        try:
            _until(lambda: bool(seen))
            yield seen
        finally:
            stop.set()
            thread.join()
        for _ in range(2):
            seen.append(_only(session.look(is_last=True).snapshot, port))


def _only(snapshot: Snapshot, port: int) -> Snapshot:
    hops = (each for each in snapshot.hops if each.hop.port == port)
    ours = tuple(each for each in hops if each.hop.direction is Direction.OUTGOING)
    requests = tuple(each for each in snapshot.requests if each.direction is Direction.OUTGOING)
    return replace(snapshot, hops=ours, requests=requests, host_flow=HostFlow())


def counted(seen: list[Snapshot]) -> HopFlow:
    """Return what was counted in all."""
    if any(each.source is not Source.EXACT for each in seen):
        needs.skip("the kernel's events", "a machine that is less busy")
    return total(each.flow for snapshot in seen for each in snapshot.hops)


def verdicts(seen: list[Snapshot]) -> tuple[WatchVerdict, WatchVerdict]:
    """Return the verdict by sockets alone, and the one with the requests."""
    return judge([replace(each, requests=()) for each in seen]), judge(seen)


@pytest.mark.parametrize("start", servers())
def test_requests_that_meet_the_fin_of_an_idle_connection_are_seen(
    start: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    with ExitStack() as stack:
        port = stack.enter_context(start(tmp_path / "server"))
        nginx = stack.enter_context(front(tmp_path, port, ""))
        with watched(tmp_path, port) as seen:
            for _ in range(ROUNDS):
                assert nginx.send("GET") == [200] * CLIENTS
                with nginx.busy():
                    nginx.write("POST", LATE)
                    _until(lambda: nginx.held(ESTABLISHED) == 0)
                    ended = nginx.held(CLOSE_WAIT)
                assert nginx.read(LATE) == [502] * LATE
    assert ended >= CLIENTS
    assert counted(seen).reset_after_fin == LATE * ROUNDS
    for verdict, certainty in zip(verdicts(seen), (Certainty.LIKELY, Certainty.SURE), strict=True):
        (found,) = verdict.faults
        assert (found.pattern, found.closes_first, found.certainty) == (
            Pattern.IDLE_RACE,
            Closer.THERE,
            certainty,
        )
        assert found.facts[0].startswith("They had been idle for ")
    assert f"{LATE * ROUNDS} requests failed meanwhile." in found.facts


@pytest.mark.parametrize("start", servers())
def test_a_proxy_that_gives_connections_up_before_the_server_loses_nothing(
    start: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    with ExitStack() as stack:
        port = stack.enter_context(start(tmp_path / "server"))
        nginx = stack.enter_context(front(tmp_path, port, "keepalive_timeout 1s;"))
        with watched(tmp_path, port) as seen:
            for _ in range(ROUNDS):
                assert nginx.send("GET") == [200] * CLIENTS
                _until(lambda: nginx.held(ESTABLISHED, CLOSE_WAIT) == 0)
                assert nginx.send("POST", LATE) == [200] * LATE
    flow = counted(seen)
    assert (flow.closed_there, flow.reset_there, flow.reset_after_fin) == (0, 0, 0)
    for verdict in verdicts(seen):
        assert (verdict.faults, verdict.headline) == ((), NOTHING)


def test_idle_connections_that_the_server_ends_while_nobody_asks_lose_nothing(tmp_path: Path) -> None:
    with impatient(tmp_path) as port, front(tmp_path, port, "") as nginx, watched(tmp_path, port) as seen:
        for _ in range(ROUNDS):
            assert nginx.send("GET") == [200] * CLIENTS
            _until(lambda: nginx.held(ESTABLISHED, CLOSE_WAIT) == 0)
    flow = counted(seen)
    assert (flow.closed_there, flow.reset_after_fin) == (CLIENTS * ROUNDS, 0)
    for verdict in verdicts(seen):
        assert (verdict.faults, verdict.headline) == ((), NOTHING)
