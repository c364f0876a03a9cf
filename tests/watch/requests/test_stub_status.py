"""nginx's stub_status as a source: its own reading subtracted, one connection kept, restarts, odd pages."""

from __future__ import annotations

import itertools
import socket
import subprocess
from pathlib import Path

import pytest

from bench.watch import requests
from bench.watch.model import Direction, RequestFlow
from bench.watch.requests import http_get
from bench.watch.requests.source import SourceError
from bench.watch.requests.stub_status import parse_page
from tests import needs
from tests.nginx import real
from tests.watch.requests.scripted_server import ScriptedServer, http, scripted


def page(accepts: int, handled: int, count: int) -> str:
    """Return what nginx answers with."""
    return (
        f"Active connections: 1 \nserver accepts handled requests\n {accepts} {handled} {count} \n"
        "Reading: 0 Writing: 1 Waiting: 0 \n"
    )


def pages(*counts: tuple[int, int, int]) -> list[bytes]:
    return [http(page(*each)) for each in counts]


def spec(server: ScriptedServer) -> str:
    return f"nginx-status:http://{server.where}/status"


PAGES = {
    page(3, 3, 17): (3, 3, 17),
    page(4294967296, 4294967295, 99999999999): (4294967296, 4294967295, 99999999999),
    # Tengine's.
    "Active connections: 1 \nserver accepts handled requests request_time\n 3 3 17 1234\n": (3, 3, 17),
}


@pytest.mark.parametrize(("text", "counters"), PAGES.items())
def test_pages(text: str, counters: tuple[int, int, int]) -> None:
    assert parse_page(text.encode()) == counters


@pytest.mark.parametrize("text", ["", "<html>Welcome</html>", "server accepts handled requests\n 1 2"])
def test_other_pages(text: str) -> None:
    with pytest.raises(SourceError, match="another page than that of stub_status; name the location"):
        parse_page(text.encode())


def test_what_reading_adds_is_subtracted() -> None:
    # One request of this source is in each answer; 6 more requests came, on 2 connections, and then none.
    with scripted(pages((10, 10, 100), (12, 12, 107), (12, 12, 108))) as server:
        source = requests.open_source(spec(server))
        label = f"nginx stub_status http://{server.where}/status"
        assert source.read() == (RequestFlow(label, 6, None, Direction.INCOMING, None, 0, connections=2),)
        assert [(flow.requests, flow.connections) for flow in source.read()] == [(0, 0)]
        source.close()
        assert server.accepted == 1
        assert server.requests[0].startswith(b"GET /status HTTP/1.1\r\n")


def test_a_server_that_keeps_no_connection_gets_a_new_one_each_time_and_that_is_subtracted_too() -> None:
    with scripted(pages((10, 10, 100), (14, 14, 104), (15, 15, 105)), closes=True) as server:
        source = requests.open_source(spec(server))
        assert [(flow.requests, flow.connections) for flow in source.read()] == [(3, 3)]
        assert [(flow.requests, flow.connections) for flow in source.read()] == [(0, 0)]
        source.close()
        assert server.accepted == 3


def test_a_kept_connection_that_ended_is_replaced_once() -> None:
    answers = [*pages((1, 1, 1)), b"", *pages((3, 3, 8))]
    with scripted(answers) as server:
        source = requests.open_source(spec(server))
        # One request and one connection of this source: what the old connection did not take is no request.
        assert [(flow.requests, flow.connections) for flow in source.read()] == [(6, 1)]
        source.close()
        assert server.accepted == 2


def test_a_restart_counts_from_zero() -> None:
    with scripted(pages((500, 500, 9000), (3, 3, 21)), closes=True) as server:
        source = requests.open_source(spec(server))
        assert [(flow.requests, flow.connections) for flow in source.read()] == [(20, 2)]
        assert "counts from zero again" in source.notes[0]
        source.close()


def test_connections_that_nginx_drops_are_told() -> None:
    with scripted(pages((10, 10, 10), (19, 12, 12))) as server:
        source = requests.open_source(spec(server))
        source.read()
        assert source.notes == ("nginx has dropped 7 connections: worker_connections allows no more",)
        source.close()


ANSWERS = {
    http("", "404 Not Found"): "answers 404 Not Found; name the path of its counters",
    http("hello"): "answers with another page than that of stub_status",
    b"SSH-2.0-OpenSSH_9.2\r\n": "does not speak HTTP",
    b"": "ends the connection without an answer",
    http("", "302 Found", "Location: http://elsewhere/\r\n"): "answers 302 Found",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000): "answers with more than 1 MiB",
}


@pytest.mark.parametrize(("answer", "reason"), ANSWERS.items())
def test_answers_that_are_none(answer: bytes, reason: str) -> None:
    with scripted([answer], closes=True) as server, pytest.raises(ValueError, match=reason) as caught:
        requests.open_source(spec(server))
    assert str(caught.value).startswith(f"nginx-status:http://{server.where}/status: ")
    assert "\n" not in str(caught.value)


def test_a_silent_server_costs_the_time_limit_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_get, "TIME_LIMIT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ValueError, match="gives no answer within 1 s"):
            requests.open_source(f"nginx-status:http://127.0.0.1:{port}/")


def test_a_deadline_that_has_passed_leaves_no_time_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_get, "TIME_LIMIT_S", 0.0)
    with socket.socket() as sock, pytest.raises(TimeoutError):
        http_get.Deadline().bound(sock)


def test_bytes_that_come_one_by_one_do_not_prolong_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read would find bytes in time, and the answer has no end."""
    calls = itertools.count()

    class Drip(http_get.Deadline):
        def bound(self, sock: socket.socket) -> None:
            if next(calls) > 2:  # to connect, to send, and to read the beginning
                raise TimeoutError
            sock.settimeout(60)

    monkeypatch.setattr(http_get, "Deadline", Drip)
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1 << 19)
    with scripted([endless]) as server, pytest.raises(ValueError, match="within 1 s"):
        requests.open_source(spec(server))


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(
        ValueError, match=rf"^nginx-status:http://127\.0\.0\.1:{port}/: refuses the connection; "
    ):
        requests.open_source(f"nginx-status:http://127.0.0.1:{port}/")


def _has_status(program: str) -> bool:
    told = subprocess.run([program, "-V"], capture_output=True, check=True).stderr
    return b"http_stub_status_module" in told


@needs.program("nginx@system")
def test_real_nginx(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    http_block = (
        f"server {{ listen SOCKET; return 204; }}\n"
        f"server {{ listen 127.0.0.1:{port}; location = /status {{ stub_status; }} }}"
    )
    for program in real.programs().values():
        if not _has_status(program):
            continue  # the wheel's
        with real.running(program, tmp_path, http_block) as listening:
            source = requests.open_source(f"nginx-status:http://127.0.0.1:{port}/status")
            source.read()
            real.request(listening, count=5)
            real.request(listening, count=2)
            assert [(flow.requests, flow.connections) for flow in source.read()] == [(7, 2)]
            assert [(flow.requests, flow.connections) for flow in source.read()] == [(0, 0)]
            source.close()


@needs.program("nginx@system")
def test_a_restart_of_real_nginx(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    http_block = (
        "server { listen SOCKET; return 204; }\n"
        f"server {{ listen 127.0.0.1:{port}; location = /status {{ stub_status; }} }}"
    )
    program = next(each for each in real.programs().values() if _has_status(each))
    with real.running(program, tmp_path, http_block) as listening:
        source = requests.open_source(f"nginx-status:http://127.0.0.1:{port}/status")
        real.request(listening, count=30)
        assert [flow.requests for flow in source.read()] == [30]
    (tmp_path / "nginx.sock").unlink(missing_ok=True)
    assert source.read() == ()
    assert "its requests are missing here" in source.notes[0]
    with real.running(program, tmp_path, http_block) as listening:
        real.request(listening, count=4)
        # One of the connections was only to see that it listens.
        assert [(flow.requests, flow.connections) for flow in source.read()] == [(4, 2)]
        assert "answers again" in source.notes[0]
        assert "counts from zero again" in source.notes[1]
    source.close()
