"""Lines of modules that are not part of nginx: known ones are judged, unknown ones are named."""

from __future__ import annotations

import pytest

from nginx.check import check

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
VERSIONS = ("1.22.1", "1.31.4")


def judged(text: str) -> list[tuple[str, tuple[str, ...]]]:
    (location,) = check("x", VERSIONS, text=text).locations
    return [(verdict.answer, verdict.depends_on) for verdict in location.verdicts.values()]


def upstream(lines: str) -> str:
    return f"upstream app {{ {lines} }} server {{ location / {{ proxy_pass http://app; {KEPT} }} }}"


@pytest.mark.parametrize(
    ("lines", "before"),
    [
        ("vnswrr; server a; keepalive 8;", "reused"),
        ("server a; keepalive 8; vnswrr;", "not reused"),
        ("server a; keepalive 8; check interval=3000 type=tcp;", "reused"),
        ("zone app 64k; state /var/lib/app; keepalive 8;", "reused"),
    ],
)
def test_known_lines_in_an_upstream(lines: str, before: str) -> None:
    assert judged(upstream(lines)) == [(before, ()), ("reused", ())]


@pytest.mark.parametrize("name", ["warmed_pool", "Keepalive_own", "least_requests"])
def test_an_unknown_line_in_an_upstream_decides(name: str) -> None:
    assert judged(upstream(f"server a; {name} 8; keepalive 8;")) == [("depends", (name,))] * 2


@pytest.mark.parametrize("name", ["redis2_pass", "memc_pass", "rate_limit_pass"])
def test_an_unknown_pass_is_named(name: str) -> None:
    text = f"upstream app {{ server a; }} server {{ location / {{ {name} app; }} }}"
    assert judged(text) == [("depends", (name,))] * 2
    assert not {finding.rule for finding in check("x", VERSIONS, text=text).findings} & {"NK001", "NK006"}


def test_an_upload_is_passed_to_a_location() -> None:
    assert not check("x", VERSIONS, text="server { location / { upload_pass @app; } }").locations
