"""Which lines the defaults of a newer nginx replace, by reading."""

from __future__ import annotations

import pytest

from bench.prove.workarounds import find_workarounds
from nginx import versions
from tests.proving import KEPT, model

OLD, NEW = versions.parse("1.22.1"), versions.parse("1.31.3")
POOL = "upstream app { server a; keepalive 32; }"
PASS = "server { location / { proxy_pass http://app; } }"
TWO = "server { location / { proxy_pass http://app; } location /a { proxy_pass http://app; } }"
BOTH = ["proxy_http_version 1.1", 'proxy_set_header Connection ""']

SUPERFLUOUS = {
    "all three": (
        f"{POOL} server {{ location / {{ proxy_pass http://app; {KEPT} }} }}",
        [*BOTH, "keepalive 32"],
    ),
    "inherited from http": (
        f"{POOL} {KEPT} server {{ location / {{ proxy_pass http://app; }} }}",
        [*BOTH, "keepalive 32"],
    ),
    "the last header line, which hides those outside": (
        f"{POOL} proxy_set_header Host x; server {{ location / {{ proxy_pass http://app; {KEPT} }} }}",
        ["proxy_http_version 1.1", "keepalive 32"],
    ),
    "beside other header lines": (
        f"{POOL} proxy_set_header Host x;"
        f" server {{ location / {{ proxy_pass http://app; {KEPT} proxy_set_header Host y; }} }}",
        [*BOTH, "keepalive 32"],
    ),
    "a close outside": (
        f"proxy_set_header Connection close; server {{ location / {{ proxy_pass http://a; {KEPT} }} }}",
        ["proxy_http_version 1.1"],
    ),
    "another version outside": (
        f"proxy_http_version 1.0; server {{ location / {{ proxy_pass http://a; {KEPT} }} }}",
        [BOTH[1]],
    ),
    "a pool that several locations share": (f"{POOL} {TWO}", []),
    "a local pool that several locations have": (
        f"upstream app {{ server a; keepalive 32 local; }} {TWO}",
        ["keepalive 32 local"],
    ),
    "a pool towards processes": (
        f"{POOL} server {{ location / {{ fastcgi_pass app; fastcgi_keep_conn on; }} }}",
        ["keepalive 32"],
    ),
    "other fields, other versions": (
        "server { location / { proxy_pass http://a; proxy_set_header Connection $http_connection;"
        ' proxy_set_header X ""; proxy_http_version 2; } }',
        [],
    ),
    "a pool that keeps nothing": (
        f"upstream app {{ server a; keepalive 32; keepalive_requests 1; }} {PASS}",
        [],
    ),
}


@pytest.mark.parametrize("name", SUPERFLUOUS)
def test_lines_that_the_defaults_replace(name: str) -> None:
    text, wanted = SUPERFLUOUS[name]
    assert sorted(map(str, find_workarounds(model(text), NEW))) == sorted(wanted)
    assert find_workarounds(model(text), OLD) == []


@pytest.mark.parametrize("local", ["", " local"])
@pytest.mark.parametrize("size", [0, 1, 16, 31, 33, 64])
def test_a_pool_of_another_size_is_none_that_the_default_replaces(size: int, local: str) -> None:
    assert find_workarounds(model(f"upstream app {{ server a; keepalive {size}{local}; }} {PASS}"), NEW) == []


def test_two_lines_in_one_line_are_two() -> None:
    location = "location / { proxy_pass http://a; proxy_http_version 1.1; }"
    text = f"server {{ proxy_http_version 1.0; {location} }} server {{ {location} }}"
    assert [line.start for line in find_workarounds(model(text), NEW)] == [text.rindex("proxy_http_version")]
