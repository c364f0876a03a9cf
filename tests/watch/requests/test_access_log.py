"""Requests counted by an access log: of clients, of each server, tried again, failed, redirected."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.watch import requests
from bench.watch.model import Direction, RequestFlow
from bench.watch.requests import RequestSource
from bench.watch.requests.counting import CountedHop, server_hop
from tests import needs
from tests.nginx import real
from tests.watch.requests.counted import assert_counted

FORMAT = '$server_port $connection_requests "$upstream_addr" "$upstream_status"'
_PATIENCE_S = 60
OUTGOING, INCOMING = Direction.OUTGOING, Direction.INCOMING


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return an empty log."""
    path = tmp_path / "access.log"
    path.touch()
    return path


@pytest.fixture
def source(log: Path) -> Iterator[RequestSource]:
    """Return the source that follows it."""
    opened = requests.open_source(f"nginx-log:{log}", FORMAT)
    yield opened
    opened.close()


def flows(source: RequestSource) -> set[tuple[Direction, int | None, str | None, int, int, int | None]]:
    return {
        (each.direction, each.port, each.peer, each.requests, each.failed, each.connections)
        for each in source.read()
    }


def write(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_requests_of_clients_and_of_servers(log: Path, source: RequestSource) -> None:
    write(
        log,
        '80 1 "10.0.0.1:8080" "200"',
        '80 2 "10.0.0.1:8080" "200"',
        '80 3 "10.0.0.2:8080" "500"',
        '443 1 "-" "-"',
    )
    assert flows(source) == {
        (INCOMING, 80, None, 3, 0, 1),
        (INCOMING, 443, None, 1, 0, 1),
        (OUTGOING, 8080, "10.0.0.1", 2, 0, None),
        (OUTGOING, 8080, "10.0.0.2", 1, 0, None),
    }
    assert source.notes == ()
    assert flows(source) == set()


def test_each_server_that_was_tried_had_a_request(log: Path, source: RequestSource) -> None:
    write(
        log,
        '80 1 "10.0.0.1:80, 10.0.0.2:80" "502, 200"',
        '80 2 "10.0.0.1:80, 10.0.0.1:80" "504, 502"',
        '80 3 "10.0.0.1:80 : [2001:db8::1]:81, [::ffff:10.0.0.3]:82" "200 : 502, 404"',
    )
    assert flows(source) == {
        (INCOMING, 80, None, 3, 0, 1),
        (OUTGOING, 80, "10.0.0.1", 4, 3, None),
        (OUTGOING, 80, "10.0.0.2", 1, 0, None),
        (OUTGOING, 81, "2001:db8::1", 1, 1, None),
        (OUTGOING, 82, "10.0.0.3", 1, 0, None),
    }


def test_what_is_no_hop_over_tcp(log: Path, source: RequestSource) -> None:
    write(log, '80 1 "unix:/run/app.sock" "200"', '80 1 "app" "502"', '80 1 "app, 10.0.0.1:80" "502, 200"')
    assert flows(source) == {(INCOMING, 80, None, 3, 0, 3), (OUTGOING, 80, "10.0.0.1", 1, 0, None)}
    assert source.notes == (
        f"nginx access log {log}: 2 requests found no server of their upstream {{}} alive",
    )


def test_lines_that_do_not_fit_are_told(log: Path, source: RequestSource) -> None:
    write(log, '80 1 "10.0.0.1:80" "200"', "nonsense", "", '80 2 "-" "-"')
    assert flows(source) == {(INCOMING, 80, None, 2, 0, 1), (OUTGOING, 80, "10.0.0.1", 1, 0, None)}
    assert source.notes == (f"nginx access log {log}: 2 of 4 lines do not fit its format",)


def test_fewer_statuses_than_servers_leave_the_rest_open(log: Path, source: RequestSource) -> None:
    write(log, '80 1 "10.0.0.1:80, 10.0.0.2:80" "502"', '80 2 "10.0.0.1:80" ""')
    assert flows(source) == {
        (INCOMING, 80, None, 2, 0, 1),
        (OUTGOING, 80, "10.0.0.1", 2, 1, None),
        (OUTGOING, 80, "10.0.0.2", 1, 0, None),
    }


def test_a_format_without_upstreams_counts_clients_only_and_says_so(log: Path) -> None:
    source = requests.open_source(f"nginx-log:{log}", "combined")
    write(log, '127.0.0.1 - - [30/Nov/2026:18:52:30 +0000] "GET / HTTP/1.1" 200 2 "-" "curl/8"')
    label = f"nginx access log {log}"
    assert source.read() == (RequestFlow(label, 1, None, INCOMING, None, 0, None),)
    assert source.notes == (
        f"{label}: its format has no $upstream_addr, so it counts requests of clients only",
    )
    source.close()


def test_the_format_may_be_that_of_the_running_configuration(log: Path) -> None:
    source = requests.open_source(f"nginx-log:{log}", known_formats={str(log): FORMAT})
    write(log, '80 1 "10.0.0.1:80" "200"')
    assert len(flows(source)) == 2
    source.close()


ADDRESSES = {
    "10.0.0.1:80": CountedHop(OUTGOING, 80, "10.0.0.1"),
    "[::1]:8080": CountedHop(OUTGOING, 8080, "::1"),
    "[2001:DB8:0::1]:1": CountedHop(OUTGOING, 1, "2001:db8::1"),
    "[::ffff:10.0.0.1]:80": CountedHop(OUTGOING, 80, "10.0.0.1"),
    "app": None,
    "app:80": None,
    "10.0.0.1": None,
    "": None,
    "999.0.0.1:80": None,
}


@pytest.mark.parametrize(("address", "hop"), ADDRESSES.items())
def test_addresses(address: str, hop: CountedHop | None) -> None:
    assert server_hop(address) == hop


@needs.program("nginx")
def test_real_nginx_with_a_server_that_is_down(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        down = listener.getsockname()[1]
    log = tmp_path / "up.log"
    log_format = (
        '$connection $connection_requests "$request" "$http_user_agent" '
        "[$upstream_addr] [$upstream_status] [$upstream_connect_time] $server_port"
    )
    with real.serving(real.http_exchange) as server:
        host, _, port = server.address.partition(":")
        http_block = (
            f"log_format up '{log_format}'; upstream app {{"
            f" server 127.0.0.1:{down} max_fails=0; server {server.address} backup; }}\n"
            f"server {{ access_log {log} up;\n"
            "listen SOCKET; location / { proxy_pass http://app; proxy_http_version 1.1; "
            'proxy_set_header Connection ""; } location /own { return 204; } }'
        )
        program = next(iter(real.programs().values()))
        with real.running(program, tmp_path, http_block) as listening:
            source = requests.open_source(f"nginx-log:{log}", log_format)
            assert set(real.request(listening, count=6)) == {200}
            assert set(real.request(listening, "/own", count=2)) == {204}
            expected = {
                (INCOMING, None, None, 8, 0, 2),
                (OUTGOING, int(port), host, 6, 0, None),
                (OUTGOING, down, "127.0.0.1", 6, 6, None),
            }
            assert_counted(source, expected)
            assert source.notes == ()
            source.close()


@needs.program("nginx")
def test_rotation_by_real_nginx(tmp_path: Path) -> None:
    log = tmp_path / "up.log"
    http_block = (
        f"log_format up '{FORMAT}';\n"
        f"server {{ access_log {log} up;\nlisten SOCKET; location / {{ return 204; }} }}"
    )
    program = next(iter(real.programs().values()))
    with real.running(program, tmp_path, http_block) as listening:
        source = requests.open_source(f"nginx-log:{log}", FORMAT)
        real.request(listening, count=3)
        log.rename(tmp_path / "up.log.1")
        real.request(listening, count=2)
        assert_counted(source, {(INCOMING, None, None, 5, 0, 2)})
        real.request(listening, count=1)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGUSR1)
        deadline = time.monotonic() + _PATIENCE_S
        while not log.exists():
            assert time.monotonic() < deadline, "nginx does not open the log anew"
            time.sleep(0.005)
        real.request(listening, count=2)
        assert_counted(source, {(INCOMING, None, None, 3, 0, 2)})
        source.close()
