"""Verdicts against real nginx: what they say about reuse is what a counting server sees.

Each row is the text of http {} with BACKEND for the server's address, and the verdict before and since
1.29.7; each is held against the model for both, and against the nginx programs found here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx import versions
from nginx.check import check
from tests import needs
from tests.nginx import real

BEFORE, SINCE = "1.22.1", "1.31.4"
PROGRAMS = real.programs()
R, N = "reused", "not reused"

POOL = "upstream app { server BACKEND; keepalive 4; }"
BARE = "upstream app { server BACKEND; }"
KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'


def at(lines: str, around: str = "") -> str:
    return f"server {{ listen SOCKET; {around} location / {{ {lines} }} }}"


UPGRADE_MAP = "map $http_upgrade $connection_upgrade {{ default upgrade; '' {}; }}"
VIA_MAP = "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection $connection_upgrade;"

TABLE = {
    # the pool
    "everything right": (POOL + at(f"proxy_pass http://app; {KEPT}"), R, R),
    "no directive at all": (BARE + at("proxy_pass http://app;"), N, R),
    "no keepalive": (BARE + at(f"proxy_pass http://app; {KEPT}"), N, R),
    "literal address": (at(f"proxy_pass http://BACKEND; {KEPT}"), N, N),
    "upper case name": (POOL + at(f"proxy_pass http://APP; {KEPT}"), R, R),
    "upstream named like an address": (
        "upstream BACKEND { server BACKEND; keepalive 4; }" + at(f"proxy_pass http://BACKEND; {KEPT}"),
        N,
        N,
    ),
    "balancer behind keepalive": (
        "upstream app { server BACKEND; keepalive 4; least_conn; }" + at(f"proxy_pass http://app; {KEPT}"),
        N,
        R,
    ),
    "balancer before keepalive": (
        "upstream app { least_conn; server BACKEND; keepalive 4; }" + at(f"proxy_pass http://app; {KEPT}"),
        R,
        R,
    ),
    "one request per connection": (
        "upstream app { server BACKEND; keepalive 4; keepalive_requests 1; }"
        + at(f"proxy_pass http://app; {KEPT}"),
        N,
        N,
    ),
    "no idle time": (
        "upstream app { server BACKEND; keepalive 4; keepalive_timeout 0; }"
        + at(f"proxy_pass http://app; {KEPT}"),
        N,
        N,
    ),
    # the request
    "HTTP/1.0 by default": (POOL + at('proxy_pass http://app; proxy_set_header Connection "";'), N, R),
    "HTTP/1.0": (
        POOL + at('proxy_pass http://app; proxy_http_version 1.0; proxy_set_header Connection "";'),
        N,
        N,
    ),
    "HTTP/1.0 with keep-alive": (
        POOL + at("proxy_pass http://app; proxy_http_version 1.0; proxy_set_header Connection keep-alive;"),
        R,
        R,
    ),
    "close by default": (POOL + at("proxy_pass http://app; proxy_http_version 1.1;"), N, R),
    "close": (
        POOL + at("proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection close;"),
        N,
        N,
    ),
    "close in a list": (
        POOL + at('proxy_pass http://app; proxy_http_version 1.1; proxy_set_header connection "TE, Close";'),
        N,
        N,
    ),
    "empty and close": (
        POOL + at(f"proxy_pass http://app; {KEPT} proxy_set_header Connection close;"),
        N,
        N,
    ),
    "upgrade always": (
        POOL + at("proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection Upgrade;"),
        R,
        R,
    ),
    "the client's own field": (
        POOL
        + at("proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection $http_connection;"),
        R,
        R,
    ),
    "what the client writes": (
        POOL + at("proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection $args;"),
        R,
        R,
    ),
    # inheritance
    "inherited from the server": (POOL + at("proxy_pass http://app;", KEPT), R, R),
    "inheritance lost": (POOL + at("proxy_pass http://app; proxy_set_header Host x;", KEPT), N, R),
    "nested location inherits": (
        POOL + at(f"{KEPT} location /a {{ proxy_pass http://app; }} proxy_pass http://app;"),
        R,
        R,
    ),
    "if inherits": (
        POOL + at(f"{KEPT} if ($request_method = GET) {{ proxy_pass http://app; break; }} return 404;"),
        R,
        R,
    ),
    "limit_except inherits": (
        POOL + at(f"{KEPT} proxy_pass http://BACKEND; limit_except POST {{ proxy_pass http://app; }}"),
        R,
        R,
    ),
    # variables
    "map of many guides": (UPGRADE_MAP.format("close") + POOL + at(VIA_MAP), N, N),
    "map that keeps": (UPGRADE_MAP.format("''") + POOL + at(VIA_MAP), R, R),
    "map without a default": (
        "map $http_upgrade $connection_upgrade { websocket upgrade; }" + POOL + at(VIA_MAP),
        R,
        R,
    ),
    "map of a set variable": (
        "map $http_upgrade $connection_upgrade { default upgrade; '' $plain; }"
        + POOL
        + at(f"{VIA_MAP} set $plain '';", "set $plain close;"),
        R,
        R,
    ),
    "set on the server": (
        POOL
        + at(
            "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection $c;", "set $c close;"
        ),
        N,
        N,
    ),
    "set in an if that does not hold": (
        POOL
        + at(
            "set $c ''; if ($http_upgrade) { set $c close; } "
            "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection $c;"
        ),
        R,
        R,
    ),
    "set in the outer location does not run": (
        POOL
        + at(
            "set $c close; proxy_http_version 1.1; proxy_set_header Connection $c; "
            "location ~ . { proxy_pass http://app; }"
        ),
        R,
        R,
    ),
    # variable targets
    "upstream by variable": (POOL + at(f"set $to app; proxy_pass http://$to; {KEPT}"), R, R),
    "path by variable": (POOL + at(f"proxy_pass http://app$request_uri; {KEPT}"), R, R),
    "scheme by variable": (POOL + at(f"set $s http; proxy_pass $s://app; {KEPT}"), R, R),
    "address by variable": (POOL + at(f"set $to http://BACKEND; proxy_pass $to; {KEPT}"), N, N),
    "upstream called like the server": (
        "upstream app.example { server BACKEND; keepalive 4; }"
        f"server {{ listen SOCKET; server_name app.example; location / {{ "
        f"proxy_pass http://$server_name; {KEPT} }} }}",
        R,
        R,
    ),
    "captured path": (
        POOL + f"server {{ listen SOCKET; location ~ ^(/.*)$ {{ proxy_pass http://app$1; {KEPT} }} }}",
        R,
        R,
    ),
    "map of hosts": (
        "map $arg_x $to { default app; b app; }" + POOL + at(f"proxy_pass http://$to; {KEPT}"),
        R,
        R,
    ),
}
FASTCGI = {
    "keep_conn and pool": (POOL + at("fastcgi_pass app; fastcgi_keep_conn on;"), R, R),
    "keep_conn left out": (POOL + at("fastcgi_pass app;"), N, N),
    "keep_conn without pool": (at("fastcgi_pass BACKEND; fastcgi_keep_conn on;"), N, N),
    "keep_conn and no keepalive": (BARE + at("fastcgi_pass app; fastcgi_keep_conn on;"), N, R),
}
MEMCACHED = {
    "pool": (POOL + at("set $memcached_key x; memcached_pass app;"), R, R),
    "no keepalive": (BARE + at("set $memcached_key x; memcached_pass app;"), N, R),
    "address": (at("set $memcached_key x; memcached_pass BACKEND;"), N, N),
}
ROWS = [
    pytest.param(exchange, text, before, since, id=f"{name}: {row}")
    for name, exchange, table in (
        ("http", real.http_exchange, TABLE),
        ("fastcgi", real.fastcgi_exchange, FASTCGI),
        ("memcached", real.memcached_exchange, MEMCACHED),
    )
    for row, (text, before, since) in table.items()
]


def judged(text: str, version: str) -> tuple[str, str | None]:
    locations = check("x", [version], text=text).locations
    verdict = locations[-1].verdicts[version]
    return verdict.answer, verdict.closes_first


@pytest.mark.parametrize(("exchange", "text", "before", "since"), ROWS)
def test_model(exchange: real.Exchange, text: str, before: str, since: str) -> None:
    text = text.replace("BACKEND", "127.0.0.1:8080")
    assert judged(text, BEFORE)[0] == before
    assert judged(text, SINCE)[0] == since


@needs.unless(bool(PROGRAMS), "nginx")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize(("exchange", "text", "before", "since"), ROWS)
def test_traffic(
    version: str, exchange: real.Exchange, text: str, before: str, since: str, *, tmp_path: Path
) -> None:
    expected = since if versions.parse(version) >= versions.POOL_BY_DEFAULT else before
    with real.serving(exchange) as server:
        text = text.replace("BACKEND", server.address)
        answer, closes_first = judged(text, version)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            statuses = real.request(listening)
            assert closes_first != "nginx" or server.was_left(real.REQUESTS)
    assert statuses == [200] * real.REQUESTS
    assert answer == expected
    assert server.accepted == (1 if answer == R else real.REQUESTS)
