"""HAProxy's stats socket as a source: servers, frontends, TCP and Unix sockets, restarts, odd answers."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from bench.subjects import programs
from bench.watch import requests
from bench.watch.model import Direction
from bench.watch.requests import RequestSource
from bench.watch.requests.counting import CountedHop, Counts
from bench.watch.requests.haproxy import parse_stat
from bench.watch.requests.source import SourceError
from tests import needs
from tests.nginx import real
from tests.watch.requests.scripted_server import scripted

OUTGOING, INCOMING = Direction.OUTGOING, Direction.INCOMING
COLUMNS = "# pxname,svname,stot,econ,eresp,wretr,req_tot,addr,mode,conn_tot,connect,reuse,\n"
PROMPT = b"\n> "
_PATIENCE_S = 60


def server(name: str, requests_: int, connect: int, addr: str, **more: int) -> str:
    """Return the row of a server."""
    fields = {"econ": 0, "eresp": 0, "wretr": 0} | more
    failed = f"{fields['econ']},{fields['eresp']},{fields['wretr']}"
    return f"app,{name},{requests_},{failed},,{addr},http,,{connect},{requests_ - connect},\n"


def frontend(requests_: int, connections: int, name: str = "front") -> str:
    return f"{name},FRONTEND,{connections},,,,{requests_},,http,{connections},,,\n"


def table(*rows: str) -> str:
    return COLUMNS + "".join(rows)


def answers(
    stat: str, *, uptime_s: int = 10, pid: int = 7, is_new: bool = True, stopping: int = 0
) -> list[bytes]:
    """Return what HAProxy answers to one look: the prompt on a new connection, its state, the table."""
    info = f"Name: HAProxy\nVersion: 2.6.12\nPid: {pid}\nUptime_sec: {uptime_s}\nStopping: {stopping}\n"
    shown = [info.encode() + PROMPT, stat.encode() + PROMPT]
    return [PROMPT, *shown] if is_new else shown


TABLES = [
    (table(server("s1", 9, 4, "10.0.0.1:80")), {CountedHop(OUTGOING, 80, "10.0.0.1"): Counts(9, 4, 0)}),
    (
        # Two attempts failed of five, one of which was tried again; one answer broke off.
        table(server("s1", 9, 5, "10.0.0.1:80", econ=1, wretr=1, eresp=1)),
        {CountedHop(OUTGOING, 80, "10.0.0.1"): Counts(9, 3, 2)},
    ),
    (
        # The same server in two backends, another over IPv6, one over a Unix socket, and clients.
        table(
            frontend(30, 3),
            server("s1", 9, 4, "10.0.0.1:80"),
            server("s1", 1, 1, "10.0.0.1:80"),
            server("s2", 5, 5, "[2001:db8::1]:81"),
            server("s3", 5, 5, "unix@/run/app.sock"),
            frontend(12, 2, "other"),
        ),
        {
            CountedHop(INCOMING): Counts(42, 5, 0),
            CountedHop(OUTGOING, 80, "10.0.0.1"): Counts(10, 5, 0),
            CountedHop(OUTGOING, 81, "2001:db8::1"): Counts(5, 5, 0),
        },
    ),
    # A socket of level user shows no addresses.
    (table(server("s1", 9, 4, ""), server("s2", 1, 1, "")), {CountedHop(OUTGOING): Counts(10, 5, 0)}),
    # Newer ones count requests apart from sessions.
    (
        table("app,s1,3,0,0,0,11,10.0.0.1:80,http,,3,8,\n"),
        {CountedHop(OUTGOING, 80, "10.0.0.1"): Counts(11, 3, 0)},
    ),
    (table(), {}),
]


@pytest.mark.parametrize(("text", "counts"), TABLES)
def test_tables(text: str, counts: dict[CountedHop, Counts]) -> None:
    assert parse_stat(text) == (counts, ())


def test_servers_that_get_tcp_are_told() -> None:
    found = parse_stat(table("db,s1,3,0,0,0,,10.0.0.1:5432,tcp,,3,0,\n", "db,FRONTEND,3,,,,,,tcp,3,,,\n"))
    assert found == ({}, ("HAProxy passes TCP on to 1 server, and counts no requests there",))


@pytest.mark.parametrize("text", ["", "Permission denied\n", "Unknown command. Please enter one of\n"])
def test_answers_that_are_no_table(text: str) -> None:
    with pytest.raises(SourceError, match="to `show stat`; name a `stats socket` of level operator"):
        parse_stat(text)


def totals(source: RequestSource) -> list[tuple[int, int | None]]:
    return [(flow.requests, flow.connections) for flow in source.read()]


def test_over_tcp_one_connection_is_kept() -> None:
    script = [
        *answers(table(server("s1", 9, 4, "10.0.0.1:80"))),
        *answers(table(server("s1", 12, 5, "10.0.0.1:80")), is_new=False),
        *answers(table(server("s1", 12, 5, "10.0.0.1:80")), is_new=False),
    ]
    with scripted(script, b"\n") as stats:
        source = requests.open_source(f"haproxy:{stats.where}")
        assert totals(source) == [(3, 1)]
        assert totals(source) == [(0, 0)]
        source.close()
        assert stats.accepted == 1
        assert set(stats.requests) == {b"prompt", b"show info", b"show stat -1 5 -1"}


def test_over_a_file_the_process_that_listens_now_is_asked(tmp_path: Path) -> None:
    script = [
        *answers(table(server("s1", 9, 4, "10.0.0.1:80"))),
        *answers(table(server("s1", 12, 5, "10.0.0.1:80"))),
    ]
    with scripted(script, b"\n", path=tmp_path / "stats.sock") as stats:
        source = requests.open_source(f"haproxy:{tmp_path / 'stats.sock'}")
        assert totals(source) == [(3, 1)]
        source.close()
        assert stats.accepted == 2


def test_a_process_that_stops_is_left_for_the_one_that_took_its_place() -> None:
    ending = answers(table(), is_new=False, stopping=1)[:1]
    script = [
        *answers(table(server("s1", 900, 4, "10.0.0.1:80")), uptime_s=500),
        *ending,
        *answers(table(server("s1", 1200, 20, "10.0.0.1:80")), uptime_s=500, pid=8),
    ]
    with scripted(script, b"\n") as stats:
        source = requests.open_source(f"haproxy:{stats.where}")
        assert totals(source) == [(1200, 20)]
        assert "counts from zero again" in source.notes[0]
        source.close()
        assert stats.accepted == 2


def test_a_kept_connection_that_ended_is_made_anew() -> None:
    script = [
        *answers(table(server("s1", 9, 4, "10.0.0.1:80"))),
        b"",
        *answers(table(server("s1", 12, 5, "10.0.0.1:80")), uptime_s=11),
    ]
    with scripted(script, b"\n") as stats:
        source = requests.open_source(f"haproxy:{stats.where}")
        assert totals(source) == [(3, 1)]
        source.close()


def test_a_server_that_is_another(tmp_path: Path) -> None:
    with (
        scripted([b""], b"\n") as other,
        pytest.raises(ValueError, match="ends the connection without an answer; name"),
    ):
        requests.open_source(f"haproxy:{other.where}")
    with pytest.raises(ValueError, match="No such file or directory; name the address of its `stats socket`"):
        requests.open_source(f"haproxy:{tmp_path / 'missing.sock'}")


# With HAProxy itself


@contextmanager
def running(
    folder: Path, upstream: str, *arguments: str
) -> Iterator[tuple[int, int, subprocess.Popen[bytes]]]:
    """Run HAProxy; yields the ports on which it takes requests and tells its counters, and the process."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    front, stats = ports
    config = folder / "haproxy.cfg"
    config.write_text(
        f"global\n    stats socket {folder}/stats.sock level operator\n"
        f"    stats socket ipv4@127.0.0.1:{stats}\n    nbthread 1\n"
        "defaults\n    mode http\n    http-reuse always\n"
        "    timeout connect 60s\n    timeout client 60s\n    timeout server 60s\n"
        f"listen app\n    bind 127.0.0.1:{front}\n    server one {upstream}\n"
    )
    program = programs.find("haproxy").path
    with subprocess.Popen([program, *arguments, "-db", "-f", config], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + _PATIENCE_S
            # The file is there before anybody listens at it.
            while not _accepts(("127.0.0.1", stats)) or not _accepts(str(folder / "stats.sock")):
                assert process.poll() is None
                assert time.monotonic() < deadline, "HAProxy does not listen"
            yield front, stats, process
        finally:
            process.terminate()


def _accepts(address: tuple[str, int] | str) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


def request(port: int, count: int) -> None:
    """Send requests over one connection."""
    client = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    for _ in range(count):
        client.request("GET", "/")
        assert client.getresponse().read() == b"ok"
    client.close()


@needs.program("haproxy")
@pytest.mark.parametrize("over", ["a file", "tcp"])
def test_real_haproxy(over: str, tmp_path: Path) -> None:
    with (
        real.serving(real.http_exchange) as upstream,
        running(tmp_path, upstream.address) as (front, stats, _),
    ):
        where = str(tmp_path / "stats.sock") if over == "a file" else f"127.0.0.1:{stats}"
        source = requests.open_source(f"haproxy:{where}")
        before = upstream.accepted
        request(front, 7)
        found = {each.direction: each for each in source.read()}
        host, _, port = upstream.address.partition(":")
        there = found[OUTGOING]
        assert (there.peer, there.port, there.requests, there.failed) == (host, int(port), 7, 0)
        assert there.connections == upstream.accepted - before
        assert (found[INCOMING].requests, found[INCOMING].connections) == (7, 1)
        assert [(each.requests, each.connections) for each in source.read()] == [(0, 0), (0, 0)]
        source.close()


@needs.program("haproxy")
@pytest.mark.parametrize("over", ["a file", "tcp"])
def test_a_reload_of_real_haproxy(over: str, tmp_path: Path) -> None:
    """The old process ends only once this source has left it."""
    with (
        real.serving(real.http_exchange) as upstream,
        running(tmp_path, upstream.address, "-W") as (front, stats, master),
    ):
        where = str(tmp_path / "stats.sock") if over == "a file" else f"127.0.0.1:{stats}"
        source = requests.open_source(f"haproxy:{where}")
        request(front, 5)
        assert {each.requests for each in source.read()} == {5}
        old = workers(master.pid)
        deadline = time.monotonic() + _PATIENCE_S
        while workers(master.pid) & old:
            assert time.monotonic() < deadline, "HAProxy does not reload"
            if workers(master.pid) == old:
                master.send_signal(signal.SIGUSR2)  # it may miss one while it starts
            source.read()
            time.sleep(0.2)
        counted: set[int] = set()
        while not counted or counts_anew(source):
            assert time.monotonic() < deadline, "HAProxy does not stop to reload"
            request(front, 3)
            counted = {each.requests for each in source.read()}
        assert counted == {3}
        source.close()


def counts_anew(source: RequestSource) -> bool:
    """Return whether the last read was the first one of a new process."""
    return any("counts from zero" in note for note in source.notes)


def workers(pid: int) -> set[str]:
    """Return the processes below a master."""
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
