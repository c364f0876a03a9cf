"""What is done about what an nginx says, by a scripted one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.prove.accepting import Refusal, accepted
from bench.prove.changes import Ledger
from nginx import tree
from nginx.serializer import SerializedConfig
from nginx.variables import Definitions

TEXT = """http {
    gzip_static on;
    upstream app { keepalive 4; server a; }
    server { location / { gzip_static off; add_header X $geoip_org; } }
}"""
PREFIX = "2026/11/25 10:00:00 [emerg] 7#7: "


def judged(
    check: Callable[[str], str | None], *, is_whole: bool = True, ledger: Ledger | None = None
) -> SerializedConfig | Refusal:
    lines = tree.parse(TEXT, "mine.conf").directives
    found = Definitions(is_whole=is_whole)
    return accepted(lines, check, found, ledger or Ledger(), version="1.2.3")


def unknown_while(word: str, said: str) -> Callable[[str], str | None]:
    return lambda text: PREFIX + said if word in text else None


def test_what_is_accepted_stays() -> None:
    text = judged(lambda _text: None)
    assert isinstance(text, SerializedConfig)
    assert "gzip_static on;" in text.text


def test_what_it_does_not_know_is_left_out_everywhere_and_said() -> None:
    ledger = Ledger()
    said = 'unknown directive "gzip_static" in /scratch/nginx.conf:2'
    text = judged(unknown_while("gzip_static", said), ledger=ledger)
    assert isinstance(text, SerializedConfig)
    assert "gzip_static" not in text.text
    (change,) = ledger.changes
    assert (change.kind, change.what, change.why) == (
        "left out",
        "gzip_static",
        "nginx 1.2.3 does not know it",
    )
    assert [place.line for place in change.places] == [2, 4]


def test_what_decides_about_reuse_is_never_left_out() -> None:
    found = judged(unknown_while("keepalive", 'unknown directive "keepalive" in /scratch/nginx.conf:4'))
    assert isinstance(found, Refusal)
    assert str(found) == 'mine.conf:3: unknown directive "keepalive"'


@pytest.mark.parametrize(("variable", "is_whole"), [("geoip_org", True), ("of_a_module", False)])
def test_variables_that_something_left_out_defines_are_empty(variable: str, is_whole: bool) -> None:
    ledger = Ledger()

    def check(text: str) -> str | None:
        return None if f'map "" ${variable} {{' in text else f'{PREFIX}unknown "{variable}" variable'

    text = judged(check, is_whole=is_whole, ledger=ledger)
    assert isinstance(text, SerializedConfig)
    assert [(change.kind, change.what) for change in ledger.changes] == [("added", f"${variable}")]


def test_a_variable_that_nobody_defines_is_refused() -> None:
    found = judged(lambda _text: f'{PREFIX}unknown "of_nobody" variable')
    assert found == Refusal('unknown "of_nobody" variable', None)


@pytest.mark.parametrize(
    ("said", "words", "line"),
    [
        (f'{PREFIX}invalid value "x" in /scratch/nginx.conf:5', 'invalid value "x"', 3),
        ('nginx: [emerg] "x" directive is duplicate in /s/nginx.conf:9', '"x" directive is duplicate', 4),
        (f"{PREFIX}could not build server_names_hash", "could not build server_names_hash", None),
        ("Segmentation fault", "Segmentation fault", None),
    ],
)
def test_a_refusal_names_the_users_line(said: str, words: str, line: int | None) -> None:
    found = judged(lambda _text: said)
    assert isinstance(found, Refusal)
    assert (found.words, found.place and found.place.line) == (words, line)


def test_an_nginx_that_never_agrees_ends() -> None:
    found = judged(lambda _text: f'{PREFIX}unknown directive "x" in /s/nginx.conf:1')
    assert isinstance(found, Refusal)
    assert "200" in found.words
