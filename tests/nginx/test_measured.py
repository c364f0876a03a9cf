"""What a probe measured of servers decides about their pool, before what is given or assumed."""

from __future__ import annotations

import pytest

from nginx.check import CheckResult, check
from nginx.fix.repair import Repair, fix
from nginx.idle_times import IdleLimit, format_time, safe_idle_s
from nginx.measured import MeasuredServer, split_address
from nginx.rules import CheckSettings

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
FIVE = MeasuredServer("10.0.0.1:8080", idle_s=4.98, spread_s=0.04, idle="4.98..5.02 s")


SITE = f"server {{ location / {{ proxy_pass http://app; {KEPT} }} }}"
WITHOUT_POOL = f"upstream app {{ server 10.0.0.1:8080; }} {SITE}"


def pooled(more: str = "", servers: str = "server 10.0.0.1:8080;") -> str:
    return f"upstream app {{ {servers} keepalive 32; {more} }} {SITE}"


def judged(text: str, *measured: MeasuredServer, **settings: float) -> CheckResult:
    given = CheckSettings(measured=measured, **settings)  # type: ignore[arg-type]
    return check("x", ["1.31.4"], text=text, settings=given)


def messages(found: CheckResult, rule: str) -> list[str]:
    return [each.message for each in found.findings if each.rule == rule]


def repaired(text: str, *measured: MeasuredServer, version: str = "1.22.1") -> Repair:
    settings = CheckSettings(measured=measured)
    return fix("x", [version], settings=settings, text=text)


def test_the_finding_says_where_the_time_comes_from() -> None:
    assert messages(judged(pooled(), FIVE), "NK021") == [
        'upstream "app" idles for 60 s, its servers 4.98..5.02 s (measured by a probe of 10.0.0.1:8080): '
        "sporadic 502"
    ]


@pytest.mark.parametrize(
    ("more", "is_found"),
    [
        ("keepalive_timeout 4s;", False),
        ("keepalive_timeout 4900ms;", False),
        ("keepalive_timeout 4950ms;", True),
        ("keepalive_timeout 5s;", True),
    ],
)
def test_a_time_within_the_spread_is_too_long(more: str, *, is_found: bool) -> None:
    assert bool(messages(judged(pooled(more), FIVE), "NK021")) == is_found


def test_measured_counts_more_than_given() -> None:
    assert not messages(judged(pooled("keepalive_timeout 4s;"), FIVE, backend_idle_s=1.0), "NK021")
    endless = MeasuredServer("10.0.0.1:8080", kept_s=120.0)
    assert messages(judged(pooled(), backend_idle_s=5.0), "NK021")
    assert not messages(judged(pooled(), endless, backend_idle_s=5.0), "NK021")


def test_what_is_measured_of_another_server_says_nothing() -> None:
    other = MeasuredServer("10.0.0.2:8080", idle_s=1.0, idle="1.00..1.01 s", closes=True, requests=1)
    found = judged(pooled(), other, backend_idle_s=120.0)
    assert not found.findings or {each.rule for each in found.findings}.isdisjoint(
        {"NK021", "NK059", "NK060"}
    )
    assert found.locations[0].verdicts["1.31.4"].answer == "reused"


def test_of_several_servers_the_first_to_close_decides() -> None:
    other = MeasuredServer("10.0.0.2:8080", idle_s=2.0, idle="2.00..2.01 s")
    text = pooled("keepalive_timeout 3s;", "server 10.0.0.1:8080; server 10.0.0.2:8080;")
    assert not messages(judged(text, FIVE), "NK021")
    assert "10.0.0.2:8080" in messages(judged(text, FIVE, other), "NK021")[0]


@pytest.mark.parametrize(
    ("measured", "servers", "is_meant"),
    [
        ("10.0.0.1:80", "server 10.0.0.1;", True),
        ("10.0.0.1:8080", "server 10.0.0.1;", False),
        ("127.0.0.1:3000", "server localhost:3000;", True),
        ("[::1]:3000", "server localhost:3000;", True),
        ("APP.internal:3000", "server app.internal:3000;", True),
        ("10.0.0.1:80", "server unix:/run/app.sock;", False),
        ("[2001:db8::1]:80", "server [2001:db8::1];", True),
    ],
)
def test_whose_server_it_is(measured: str, servers: str, *, is_meant: bool) -> None:
    server = MeasuredServer(measured, idle_s=1.0, idle="1.00..1.01 s")
    assert bool(messages(judged(pooled(servers=servers), server), "NK021")) == is_meant


@pytest.mark.parametrize(("name", "is_meant"), [("app", True), ("APP", True), ("other", False)])
def test_a_name_decides_where_it_is_given(name: str, *, is_meant: bool) -> None:
    server = MeasuredServer("192.0.2.9:1", name, idle_s=1.0, idle="1.00..1.01 s")
    assert bool(messages(judged(pooled(), server), "NK021")) == is_meant


def test_a_server_that_closes_leaves_nothing_to_reuse() -> None:
    found = judged(pooled(), MeasuredServer("10.0.0.1:8080", closes=True))
    verdict = found.locations[0].verdicts["1.31.4"]
    assert (verdict.answer, verdict.closes_first) == ("not reused", "backend")
    assert "measured by a probe of 10.0.0.1:8080" in verdict.reason
    assert found.locations[0].rules["1.31.4"] == ("NK060",)
    assert messages(found, "NK060")


@pytest.mark.parametrize(
    ("more", "requests", "says_last", "is_found"),
    [
        ("", 100, False, True),
        ("", 100, True, False),
        ("", 1000, False, False),
        ("keepalive_requests 100;", 100, False, False),
        ("keepalive_requests 101;", 100, False, True),
    ],
)
def test_the_requests_of_a_connection(more: str, requests: int, *, says_last: bool, is_found: bool) -> None:
    server = MeasuredServer("10.0.0.1:8080", requests=requests, says_last=says_last)
    assert bool(messages(judged(pooled(more), server), "NK059")) == is_found


@pytest.mark.parametrize(
    ("limit", "requests", "advised"),
    [
        (100, None, "raise keepalive_requests to 1000 or more"),
        (100, 100, None),
        (10, 100, "raise keepalive_requests to 100"),
        (500, 1000, "raise keepalive_requests to 1000"),
        (500, 5000, "raise keepalive_requests to 1000 or more"),
        (1, 1, "raise the servers' own limit"),
    ],
)
def test_a_limit_of_requests_is_raised_no_higher_than_the_servers(
    limit: int, requests: int | None, advised: str | None
) -> None:
    server = MeasuredServer("10.0.0.1:8080", requests=requests)
    found = judged(pooled(f"keepalive_requests {limit};"), server)
    assert [each.fix for each in found.findings if each.rule == "NK020"] == ([advised] if advised else [])


def test_fix_sizes_a_new_pool_by_it() -> None:
    served = MeasuredServer("10.0.0.1:8080", idle_s=4.98, spread_s=0.04, idle="4.98..5.02 s", requests=100)
    repair = repaired(WITHOUT_POOL, served)
    (after,) = repair.after.values()
    assert "keepalive 32;" in after
    assert "keepalive_timeout 4s;" in after
    assert "keepalive_requests 100;" in after


def test_fix_writes_no_limit_that_is_met_already() -> None:
    text = pooled("keepalive_timeout 3s;").replace("proxy_http_version 1.1;", "proxy_http_version 1.0;")
    (after,) = repaired(text, FIVE).after.values()
    assert "keepalive_timeout 3s;" in after
    assert "keepalive_timeout 4s;" not in after


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        (MeasuredServer("10.0.0.1:8080", closes=True), "closes after each response (measured by a probe of"),
        (MeasuredServer("10.0.0.1:8080", idle_s=0.05, idle="0.05..0.06 s"), "too soon to reuse them"),
    ],
)
def test_fix_makes_no_pool_that_holds_nothing(measured: MeasuredServer, reason: str) -> None:
    repair = repaired(WITHOUT_POOL, measured)
    assert not repair.after
    assert [reason in each.reason for each in repair.skipped] == [True]


def test_fix_gives_a_new_upstream_the_limits_of_its_server() -> None:
    text = f"server {{ location / {{ proxy_pass http://10.0.0.1:8080; {KEPT} }} }}"
    (after,) = repaired(text, FIVE).after.values()
    assert "keepalive_timeout 4s;" in after


@pytest.mark.parametrize("limit_s", [0.01, 0.3, 0.5, 1.0, 1.4, 2.0, 4.98, 60.0, 3600.0])
@pytest.mark.parametrize("spread_s", [0.0, 0.1, 5.0])
def test_the_safe_time_is_shorter(limit_s: float, spread_s: float) -> None:
    safe_s = safe_idle_s(limit_s, spread_s)
    assert 0 <= safe_s < limit_s
    assert safe_s <= max(0.0, limit_s - spread_s)
    if safe_s:
        assert IdleLimit(limit_s, spread_s).allows(safe_s)
    assert not IdleLimit(limit_s, spread_s).allows(None)


@pytest.mark.parametrize(("seconds", "text"), [(4.0, "4s"), (0.25, "250ms"), (0.001, "1ms"), (59.0, "59s")])
def test_a_time_is_written_as_nginx_reads_it(seconds: float, text: str) -> None:
    assert format_time(seconds) == text


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("10.0.0.1", ("10.0.0.1", 80)),
        ("[::1]", ("localhost", 80)),
        ("[2001:db8::1]:81", ("2001:db8::1", 81)),
        ("2001:db8::1", ("2001:db8::1", 80)),
        ("unix:/run/a.sock", ("unix:/run/a.sock", 0)),
    ],
)
def test_addresses_are_compared_by_host_and_port(address: str, wanted: tuple[str, int]) -> None:
    assert split_address(address) == wanted
