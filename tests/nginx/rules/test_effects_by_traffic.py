"""What rules say about a part of the reuse, seen by a counting server behind real nginx.

Churn of pools that are too small or drained, stale connections and their retries, answers that are not
read, addresses that stay. Each test names its rules.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from nginx import versions
from nginx.check import check
from tests.nginx import real
from tests.nginx.rules.proving import (
    KEPT,
    POOL,
    POOL_OF_ONE,
    PROGRAMS,
    Together,
    accepted,
    flagged,
    is_returned,
    proves,
    site,
)


@proves("NK003b")
def test_a_location_that_closes_drains_the_pool_of_another(version: str, tmp_path: Path) -> None:
    close = "proxy_http_version 1.1; proxy_set_header Connection close;"
    text = site(
        f"location / {{ proxy_pass http://app; {KEPT} }} location /old {{ proxy_pass http://app; {close} }}"
    )
    assert "NK003b" in flagged(text, version)
    assert accepted(version, tmp_path, text, ["/", "/old"] * 4) == 4
    assert accepted(version, tmp_path, text, ["/"] * 8) == 1


@proves("NK016")
def test_local_pools_of_many_locations_evict_each_other(version: str, tmp_path: Path) -> None:
    new = versions.parse(version) >= versions.POOL_BY_DEFAULT
    locations = " ".join(f"location /{n}/ {{ proxy_pass http://app; {KEPT} }}" for n in range(40))
    paths = [f"/{n}/" for n in range(40)] * 2
    implicit = site(locations, "upstream app { server BACKEND; }\n")
    assert ("NK016" in flagged(implicit, version)) == new
    assert accepted(version, tmp_path, implicit, paths) == len(paths)
    shared = site(locations, "upstream app { server BACKEND; keepalive 32; }\n")
    assert "NK016" not in flagged(shared, version)
    assert accepted(version, tmp_path, shared, paths) == 1


@proves("NK022")
@pytest.mark.parametrize(("size", "expected"), [(1, 13), (4, 4)])
def test_a_small_pool_churns_under_concurrency(
    version: str, size: int, expected: int, tmp_path: Path
) -> None:
    text = site(f"location / {{ proxy_pass http://app; {KEPT} }}", POOL.replace("8", str(size)))
    with real.serving(Together(4).exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            for _ in range(4):
                threads = [threading.Thread(target=real.request, args=(listening, "/", 1)) for _ in range(4)]
                for each in threads:
                    each.start()
                for each in threads:
                    each.join()
        assert server.accepted == expected  # four, then those of four that were not kept, three times


def forgetful() -> real.Exchange:
    """Return a server that answers once per connection and closes on the second request: a stale one."""
    seen: set[socket.socket] = set()

    def exchange(connection: socket.socket) -> bool:
        real.read_request(connection)
        if connection in seen:
            return False
        seen.add(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    return exchange


@proves("NK021", "NK025", "NK026", "NK027")
@pytest.mark.parametrize(
    ("method", "lines", "rule", "expected"),
    [
        ("GET", "", None, 200),
        ("POST", "", None, 502),
        ("POST", "proxy_next_upstream error non_idempotent;", "NK025", 200),
        ("GET", "proxy_next_upstream http_503;", "NK025", 502),
        ("GET", "proxy_next_upstream off;", "NK026", 502),
        ("PUT", "", None, 200),
        ("PUT", "proxy_request_buffering off;", "NK027", 502),
    ],
)
def test_a_stale_connection(
    version: str, method: str, lines: str, rule: str | None, expected: int, *, tmp_path: Path
) -> None:
    text = site(f"location / {{ proxy_pass http://app; {KEPT} {lines} }}")
    assert rule is None or rule in flagged(text, version)
    with real.serving(forgetful()) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening, count=2, method=method) == [200, expected]


@proves("NK031")
@pytest.mark.parametrize("off", [True, False])
def test_a_pooled_connection_keeps_its_source_address(version: str, *, off: bool, tmp_path: Path) -> None:
    bind = f"location / {{ proxy_pass http://app; {KEPT} proxy_bind $arg_from; }}"
    pool = "upstream app { server BACKEND; }\n"
    if off and versions.parse(version) >= versions.POOL_BY_DEFAULT:
        pool = pool.replace("; }", "; keepalive 0; }")
    elif not off:
        pool = POOL
    sources: list[str] = []

    def exchange(connection: socket.socket) -> bool:
        head = real.read_request(connection)
        sources.append(connection.getpeername()[0])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return real.stays_open(head)

    text = site(bind, pool)
    assert ("NK031" in flagged(text, version)) == (not off)
    accepted(version, tmp_path, text, ["/?from=127.0.0.2", "/?from=127.0.0.3"], exchange)
    assert sources == ["127.0.0.2", "127.0.0.3" if off else "127.0.0.2"]


@proves("NK041")
@pytest.mark.parametrize(("method", "expected"), [("", 5), ("proxy_method HEAD;", 1)])
def test_an_answer_to_auth_request_is_not_read(
    version: str, method: str, expected: int, tmp_path: Path
) -> None:
    def exchange(connection: socket.socket) -> bool:
        head = real.read_request(connection)
        # More than what comes in one piece with the head, so that a part of it is left unread.
        body = b"" if head.startswith("HEAD") else bytes(100_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body)
        return True

    text = site(
        "location / { auth_request /auth/x; try_files /none @done; } location @done { return 204; } "
        f"location /auth {{ proxy_pass http://app; {KEPT} {method} }}"
    )
    assert ("NK041" in flagged(text, version)) == (not method)
    assert accepted(version, tmp_path, text, ["/"] * 5, exchange) == expected


@proves("NK042")
@pytest.mark.parametrize(("intercepts", "expected"), [(True, 4), (False, 1)])
def test_answers_that_are_replaced_are_not_read(
    version: str, *, intercepts: bool, expected: int, tmp_path: Path
) -> None:
    def exchange(connection: socket.socket) -> bool:
        real.read_request(connection)
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
        return True

    lines = "proxy_intercept_errors on;" if intercepts else ""
    text = site(
        f"error_page 503 /sorry; location = /sorry {{ return 200 sorry; }} "
        f"location / {{ proxy_pass http://app; {KEPT} {lines} }}"
    )
    assert ("NK042" in flagged(text, version)) == intercepts
    assert accepted(version, tmp_path, text, ["/"] * 4, exchange) == expected


@proves("NK043")
def test_a_client_that_leaves_takes_its_connection_along(version: str, tmp_path: Path) -> None:
    requested = threading.Event()

    def exchange(connection: socket.socket) -> bool:
        real.read_request(connection)
        requested.set()
        real.read_request(connection)  # nginx closes while it waits for the answer to the first
        raise AssertionError("a second request came on a connection that is not answered")

    text = site(f"location / {{ proxy_pass http://app; {KEPT} proxy_ignore_client_abort off; }}")
    assert "NK043" in flagged(text, version)
    assert "NK043" not in flagged(text.replace("abort off", "abort on"), version)
    with real.serving(exchange) as server:
        text = text.replace("BACKEND", server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            leaving = real.client(listening)
            leaving.request("GET", "/")
            assert requested.wait(60)
            leaving.close()
            assert server.was_left(1)


@proves("NK045")
@pytest.mark.parametrize(("lines", "is_busy"), [("proxy_buffering off;", True), ("", False)])
def test_an_unbuffered_response_occupies_its_connection_until_its_client_reads(
    version: str, lines: str, *, is_busy: bool, tmp_path: Path
) -> None:
    text = site(f"location / {{ proxy_pass http://app; {KEPT} {lines} }}", POOL_OF_ONE)
    assert ("NK045" in flagged(text, version)) == is_busy
    more_than_sockets_take = 4_000_000
    assert is_returned(version, tmp_path, text, more_than_sockets_take, expected=not is_busy) != is_busy


@proves("NK061")
@pytest.mark.parametrize(
    ("lines", "is_busy"),
    [
        ("proxy_limit_rate 10;", True),
        ("limit_rate 10;", False),
        ("proxy_limit_rate 0;", False),
        ("proxy_limit_rate 10; proxy_buffering off;", False),
    ],
)
def test_a_response_that_is_read_slowly_occupies_its_connection(
    version: str, lines: str, *, is_busy: bool, tmp_path: Path
) -> None:
    passing = f"proxy_pass http://app; {KEPT}"
    text = site(f"location /large {{ {passing} {lines} }} location / {{ {passing} }}", POOL_OF_ONE)
    assert ("NK061" in flagged(text, version)) == is_busy
    half_an_hour = 20_000  # bytes, and less than nginx and the sockets take
    assert is_returned(version, tmp_path, text, half_an_hour, expected=not is_busy) != is_busy


@proves("NK049")
def test_the_default_version_is_another_since_1_29_7(version: str, tmp_path: Path) -> None:
    lines: list[str] = []

    def exchange(connection: socket.socket) -> bool:
        head = real.read_request(connection)
        lines.append(head.split("\r\n", 1)[0])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        return False

    new = versions.parse(version) >= versions.POOL_BY_DEFAULT
    text = site("location / { proxy_pass http://BACKEND; }")
    assert ("NK049" in flagged(text, version)) == new
    accepted(version, tmp_path, text, ["/"], exchange)
    assert lines == [f"GET / HTTP/1.{int(new)}"]


@proves("NK019")
@pytest.mark.parametrize(
    ("pool", "lines"),
    [
        ("keepalive 8 local;", KEPT),
        ("keepalive 8;", "proxy_http_version 2;"),
        ("keepalive 8;", f"{KEPT} add_header_inherit merge;"),
        ("zone app 64k; server a.example resolve; resolver 127.0.0.1;", KEPT),
    ],
)
def test_what_needs_a_newer_nginx_is_refused(version: str, pool: str, lines: str, tmp_path: Path) -> None:
    text = (
        f"upstream app {{ server 127.0.0.1:9; {pool} }}\n"
        f"server {{ location / {{ proxy_pass http://app; {lines} }} }}"
    )
    refusal = real.refusal(PROGRAMS[version], tmp_path, f"events {{}}\nhttp {{ {text} }}")
    assert ("NK019" in _errors(text, version)) == (refusal is not None)


def _errors(text: str, version: str) -> set[str]:
    findings = check("x", [version], text=text).findings
    return {finding.rule for finding in findings if str(finding.severity) == "error"}
