"""What a log_format makes of a line, for formats as people write them and for what clients may send."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.watch.requests.log_format import COMBINED, LogLine, parse_format
from bench.watch.requests.source import SourceError

UPSTREAM = f'{COMBINED} up="$upstream_addr" us="$upstream_status" ct="$upstream_connect_time"'
JSON = (
    '{"time":"$time_iso8601","agent":"$http_user_agent","up":"$upstream_addr","us":"$upstream_status",'
    '"status":$status,"n":$connection_requests}'
)
HEAD = '127.0.0.1 - - [30/Nov/2026:18:52:30 +0000] "GET / HTTP/1.1" 200 2 "-" "curl/8"'

LINES = [
    (UPSTREAM, f'{HEAD} up="10.0.0.1:80" us="200" ct="0.001"', LogLine("10.0.0.1:80", "200")),
    (
        UPSTREAM,
        f'{HEAD} up="10.0.0.1:80, [::1]:80 : unix:/tmp/s" us="502, 504 : 200" ct="-, 0.0 : 0.001"',
        LogLine("10.0.0.1:80, [::1]:80 : unix:/tmp/s", "502, 504 : 200"),
    ),
    (UPSTREAM, f'{HEAD} up="-" us="-" ct="-"', LogLine("-", "-")),
    (UPSTREAM, f'{HEAD} up="app" us="502" ct="-"', LogLine("app", "502")),
    (
        "$upstream_addr $upstream_status $status",
        "10.0.0.1:80, 10.0.0.2:80 502, 200 200",
        LogLine("10.0.0.1:80, 10.0.0.2:80", "502, 200"),
    ),
    ("$status $upstream_addr", "200 10.0.0.1:80, 10.0.0.2:80", LogLine("10.0.0.1:80, 10.0.0.2:80")),
    ("$time_local|$upstream_addr", "30/Nov/2026:18:52:30 +0000|10.0.0.1:80", LogLine("10.0.0.1:80")),
    ("${server_port};$connection;$connection_requests;", "8080;17;1;", LogLine("", "", "8080", True)),
    ("${server_port};$connection;$connection_requests;", "8080;17;12;", LogLine("", "", "8080", False)),
    ("$connection_requests", "1", LogLine(is_first=True)),
    ("$connection_requests", "11", LogLine()),
    ("$host$uri $upstream_addr", "example.org/a/b 10.0.0.1:80", LogLine("10.0.0.1:80")),
    ("$scheme$server_port $upstream_addr", "https443 10.0.0.1:80", LogLine("10.0.0.1:80", server_port="443")),
    ("$upstream_addr $upstream_addr", "10.0.0.1:80 10.0.0.1:80", LogLine("10.0.0.1:80")),
    (
        JSON,
        '{"time":"x","agent":"a \\"b\\" \\\\","up":"10.0.0.1:80","us":"200","status":200,"n":1}',
        LogLine("10.0.0.1:80", "200", is_first=True),
    ),
    (JSON, '{"time":"x","agent":"","up":"","us":"","status":200,"n":7}', LogLine()),
    ('"$http_user_agent"$upstream_addr', '"a \\"b\\""10.0.0.1:80', LogLine("10.0.0.1:80")),
    ("combined", HEAD, LogLine()),
]


@pytest.mark.parametrize(("log_format", "line", "meaning"), LINES)
def test_lines(log_format: str, line: str, meaning: LogLine) -> None:
    known = parse_format(log_format)
    (groups,) = known.find_lines(f"{line}\n".encode())
    assert known.describe(groups) == meaning


@pytest.mark.parametrize(
    "line",
    [
        "",
        HEAD,
        f'{HEAD} up="10.0.0.1:80',
        f'{HEAD} up="10.0.0.1:80, " us="200"',
        f'{HEAD} up="10.0.0.1:80" us="OK"',
        "2026/11/30 18:52:30 [error] 1#1: *1 connect() failed",
    ],
)
def test_lines_that_do_not_fit(line: str) -> None:
    assert parse_format(UPSTREAM).find_lines(f"{line}\n".encode()) == []


def test_a_line_that_does_not_fit_leaves_the_others() -> None:
    good = f'{HEAD} up="10.0.0.1:80" us="200" ct="0.001"'
    found = parse_format(UPSTREAM).find_lines(f"{good}\nodd\n{good}\n".encode())
    assert len(found) == 2


def test_a_long_line_that_almost_fits_is_no_trap() -> None:
    """Each value might end at each of many places; tried in all combinations, this would never end."""
    spread = parse_format("$a $b $c $d $e $f $g $h $upstream_addr;")
    assert spread.find_lines(b"x " * 30_000 + b"\n") == []


REFUSED = {
    "": "has no variable in its format ''",
    "main": "has no variable in its format 'main'; write it as log_format has it",
    "$status\n$upstream_addr": "has a format of several lines",
}


@pytest.mark.parametrize(("log_format", "reason"), REFUSED.items())
def test_formats_that_are_none(log_format: str, reason: str) -> None:
    with pytest.raises(SourceError, match=re.escape(reason)):
        parse_format(log_format)


def escaped(value: str) -> str:
    """Return a value as nginx writes it by default (ngx_http_log_escape)."""
    raw = value.encode()
    return "".join(f"\\x{b:02X}" if b < 32 or b > 126 or b in b'"\\' else chr(b) for b in raw) or "-"


ADDRESSES = st.lists(
    st.sampled_from(["10.0.0.1:80", "[2001:db8::1]:8080", "unix:/run/app.sock", "app"]),
    min_size=1,
    max_size=4,
)


@given(st.text(), st.text(), ADDRESSES, st.sampled_from([", ", " : "]))
def test_what_a_client_sends_does_not_change_what_is_read(
    agent: str, request: str, addresses: list[str], separator: str
) -> None:
    upstream = separator.join(addresses)
    statuses = separator.join("200" for _ in addresses)
    line = (
        f'127.0.0.1 - - [30/Nov/2026:18:52:30 +0000] "{escaped(request)}" 200 2 "-" "{escaped(agent)}"'
        f' up="{upstream}" us="{statuses}" ct="0.000"\n'
    )
    known = parse_format(UPSTREAM)
    (groups,) = known.find_lines(line.encode())
    assert known.describe(groups) == LogLine(upstream, statuses)


@given(st.text(st.characters(codec="utf-8")), ADDRESSES)
def test_nor_does_it_in_json(agent: str, addresses: list[str]) -> None:
    upstream = ", ".join(addresses)
    line = f'{{"time":"x","agent":{json.dumps(agent)},"up":"{upstream}","us":"200","status":200,"n":3}}\n'
    known = parse_format(JSON)
    (groups,) = known.find_lines(line.encode())
    assert known.describe(groups) == LogLine(upstream, "200")
