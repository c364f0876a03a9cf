"""Pools that keep less than is needed: the answer, and how much is reused."""

from __future__ import annotations

import pytest

from nginx.check import check
from nginx.finding import Severity
from nginx.fix.repair import fix
from nginx.rules import CheckSettings
from nginx.verdict import Verdict

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
TWO = "server a; server b;"


def verdict(lines: str, concurrency: int | None = None, workers: int = 1) -> Verdict:
    text = f"upstream app {{ {lines} }} server {{ location / {{ proxy_pass http://app; {KEPT} }} }}"
    settings = CheckSettings(workers=workers, concurrency=concurrency)
    (location,) = check("x", ["1.22.1"], text=text, settings=settings).locations
    return location.verdicts["1.22.1"]


@pytest.mark.parametrize(
    ("lines", "share"),
    [
        (f"{TWO} keepalive 2;", None),
        (f"{TWO} keepalive 1;", 0.0),
        ("server a; server b backup; keepalive 1;", None),
        ("server a; server b down; keepalive 1;", None),
        ("server a down; server b backup; server c backup; keepalive 1;", 0.0),
        ("server a down; server b backup; keepalive 1;", None),
        ("server a weight=3; server b; keepalive 1;", 0.5),
        (f"{TWO} server c; keepalive 2;", 0.0),
        ("server a; keepalive 9; keepalive_requests 2;", 0.5),
        ("server a weight=3; server b; keepalive 1; keepalive_requests 4;", 0.375),
        ("server a; keepalive 9; keepalive_requests 8;", 0.875),
        ("server a; keepalive 9; keepalive_requests 10;", None),
    ],
)
def test_a_pool_for_some_of_the_servers(lines: str, share: float | None) -> None:
    found = verdict(lines)
    assert found.answer == ("reused" if share is None else "partly reused")
    assert (found.share and (found.share.least, found.share.most)) == (
        share if share is None else (share,) * 2
    )


def test_connections_for_few_requests_are_named_with_what_to_do() -> None:
    upstream = "upstream app { server a; keepalive 9; keepalive_requests 2; }"
    found = check(
        "x", ["1.22.1"], text=f"{upstream} server {{ location / {{ proxy_pass http://app; {KEPT} }} }}"
    )
    assert [each.rule for each in found.findings if each.passes] == ["NK020"]
    assert found.locations[0].rules["1.22.1"] == ("NK020",)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("server a down;", "not reused"),
        ("server a down; server b down backup;", "not reused"),
        ("server a down; balancer_by_lua_block { b.set_current_peer(h, p) }", "reused"),
        ("server a down; server b;", "reused"),
    ],
)
def test_servers_that_are_all_down(lines: str, expected: str) -> None:
    found = verdict(f"{lines} keepalive 8;")
    assert found.answer == expected
    assert ("502" in found.reason) == (expected == "not reused")


@pytest.mark.parametrize(
    ("line", "expected", "severity"),
    [
        ("keepalive_timeout 0;", "not reused", Severity.HIGH),
        ("keepalive_timeout 1ms;", "depends", Severity.MEDIUM),
        ("keepalive_time 0;", "depends", Severity.MEDIUM),
        ("keepalive_time 100ms;", "reused", None),
        ("keepalive_timeout 1s;", "reused", None),
    ],
)
def test_connections_that_hardly_any_request_finds(
    line: str, expected: str, severity: Severity | None
) -> None:
    upstream = f"upstream app {{ server a; keepalive 8; {line} }}"
    text = f"{upstream} server {{ location / {{ proxy_pass http://app; {KEPT} }} }}"
    found = check("x", ["1.22.1"], text=text)
    assert found.locations[0].verdicts["1.22.1"].answer == expected
    assert [each.severity for each in found.findings if each.rule == "NK020"] == [severity] * bool(severity)
    repaired = fix("x", ["1.22.1"], text=text).after.get("x", text)
    assert check("x", ["1.22.1"], text=repaired).locations[0].verdicts["1.22.1"].answer == "reused"


def test_a_pool_in_which_protocols_fail_on_each_others_connections_is_not_called_reused() -> None:
    passes = (
        f"location /a {{ proxy_pass http://app; {KEPT} }} location /b {{ proxy_pass https://app; {KEPT} }}"
    )
    silence = "# bench: ignore NK030"
    for text, expected in ((passes, "depends"), (f"{passes} {silence}", "reused")):
        found = check("x", ["1.22.1"], text=f"upstream app {{ server a; keepalive 8; }} server {{ {text}\n}}")
        assert {each.verdicts["1.22.1"].answer for each in found.locations} == {expected}


@pytest.mark.parametrize(
    ("idle", "concurrency", "workers", "least"),
    [(4, 64, 1, 4 / 64), (64, 64, 1, None), (16, 64, 4, None), (8, 64, 4, 0.5)],
)
def test_a_pool_for_some_of_the_requests_in_flight(
    idle: int, concurrency: int, workers: int, least: float | None
) -> None:
    found = verdict(f"server a; keepalive {idle};", concurrency, workers)
    assert found.answer == ("reused" if least is None else "partly reused")
    assert (found.share and found.share.least) == (least if least is None else pytest.approx(least, abs=0.01))


WEIGHTED = "server a weight=3; server b;"


@pytest.mark.parametrize(
    ("lines", "idle", "in_flight", "least"),
    [
        (TWO, 3, 3, 2 / 3),
        (TWO, 4, 3, None),
        (TWO, 4, 4, None),
        (TWO, 31, 31, None),
        (f"{TWO} server c;", 4, 4, 0.75),
        (f"{TWO} server a;", 3, 3, None),
        (WEIGHTED, 2, 2, 0.5),
        (WEIGHTED, 3, 2, None),
        (f"least_conn; {WEIGHTED}", 2, 2, None),
        (f"least_conn; {TWO}", 5, 5, 0.8),
        (f"least_conn; {TWO}", 6, 5, None),
        # Rounds of 8 begin with one of three turns of 24, and with others after a request alone.
        ("server a weight=20; server b weight=3; server c;", 8, 8, 0.825),
        ("server a weight=20; server b weight=3; server c;", 10, 8, None),
    ],
)
def test_a_pool_for_the_requests_in_flight_of_servers_in_turn(
    lines: str, idle: int, in_flight: int, least: float | None
) -> None:
    found = verdict(f"{lines} keepalive {idle};", in_flight)
    assert found.answer == ("reused" if least is None else "partly reused")
    assert (found.share and found.share.least) == (least if least is None else pytest.approx(least, abs=0.01))
    if found.share is not None:
        assert verdict(f"{lines} keepalive {found.share.needed};", in_flight).answer == "reused"


@pytest.mark.parametrize(
    ("method", "idle", "needed"),
    [
        ("random", 32, 64),
        ("random", 64, None),
        ("hash $uri", 32, 64),
        ("ip_hash", 63, 64),
        ("least_conn", 32, None),
    ],
)
def test_a_method_that_spreads_requests_unevenly_needs_a_pool_for_all_of_them_at_each_server(
    method: str, idle: int, needed: int | None
) -> None:
    found = verdict(f"{method}; {TWO} keepalive {idle};", 32)
    assert found.answer == ("reused" if needed is None else "partly reused")
    assert (found.share and found.share.needed) == needed


def test_a_small_pool_behind_a_key_reuses_what_the_requests_make_of_it() -> None:
    found = verdict(f"hash $uri; {TWO} keepalive 1;")
    assert found.share is not None
    assert (found.share.least, found.share.most) == (0, 1)
    at_random = verdict(f"random; {TWO} keepalive 1;")
    assert at_random.share is not None
    assert at_random.share.least == pytest.approx(0.5, abs=0.1)


def test_any_number_in_flight_is_judged_at_once() -> None:
    found = verdict("server a; keepalive 500000000;", 1_000_000_000)
    assert found.share is not None
    assert found.share.least == pytest.approx(0.5)
