"""Characters that look like white space: nginx takes them for a part of a word, and so does the check."""

from __future__ import annotations

import pytest

from nginx import tree
from nginx.check import check
from nginx.finding import Severity

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
POOL = "upstream app { server 10.0.0.1:8080; keepalive 8; }\n"
ODD = ["\ufeff", "\u00a0", "\u3000", "\v", "\f", "\x1f", "\x85", "\u200b", "\u2028", "\u00ad", "\ufffd"]
NUMBERS = {each: f"U+{ord(each):04X}" for each in ODD}


def errors(text: str) -> list[tuple[str, int, str]]:
    found = check("x", ["1.22.1"], text=text).findings
    return [(each.rule, each.place.line, each.message) for each in found if each.severity is Severity.ERROR]


@pytest.mark.parametrize("odd", ODD, ids=NUMBERS.values())
def test_in_a_directives_name_they_make_another_name(odd: str) -> None:
    text = POOL + f"server {{ location / {{\n  {odd}proxy_pass http://app; {KEPT} }} }}"
    (rule, line, message), *_ = errors(text)
    assert (rule, line) == ("NX001", 3)
    assert f'unknown directive "{odd}proxy_pass"' in message
    assert f"{NUMBERS[odd]} (" in message
    assert "at column 3 " in message


@pytest.mark.parametrize("odd", sorted(set(ODD) - {"\ufffd"}), ids=str.encode)
@pytest.mark.parametrize(
    "line",
    ["upstream app@{ server 10.0.0.1; }", "server { listen 80@; }", "proxy_http_version 1.1@;"],
)
def test_in_an_argument_they_make_another_word(odd: str, line: str) -> None:
    found = errors(line.replace("@", odd))
    assert ("NX004", 1) in [(rule, line) for rule, line, _ in found]
    assert all(NUMBERS[odd] in message for rule, _, message in found if rule == "NX004")


def test_the_name_of_an_upstream_ends_where_nginx_ends_it() -> None:
    text = (
        POOL.replace("app {", "app\u00a0{") + f"server {{ location / {{ proxy_pass http://app; {KEPT} }} }}"
    )
    (location,) = check("x", ["1.22.1"], text=text).locations
    assert location.verdicts["1.22.1"].answer == "not reused"


@pytest.mark.parametrize(
    "line",
    [
        "# a\u00a0comment\n",
        'add_header X "a\u00a0b";',
        "return 200 a\u3000b;",
        "server_name münchen.example;",
        "log_format main '\u00a0$uri';",
        "access_by_lua_block { local a =\u00a01 }",
        "proxy_pass\thttp://app\r\n;",
    ],
)
def test_elsewhere_they_may_be_meant(line: str) -> None:
    read = tree.parse(line, "x")
    assert (read.problems, read.odd_words) == ([], [])


def test_a_byte_order_mark_stays_in_the_text() -> None:
    read = tree.parse("\ufeffevents {}\n", "x")
    assert read.directives[0].name == "\ufeffevents"
    assert "U+FEFF (a byte order mark) at column 1" in read.problems[0].reason
