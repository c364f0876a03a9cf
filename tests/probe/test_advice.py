"""What the proxies must be told about a server, from what a probe found out."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bench.probe.advice import PURGES, Advice, advise, purge_delay_s, spread_s
from bench.probe.model import Ending, IdleTimeout, KeepAliveCase, ProbeResult

FIVE = IdleTimeout(4.98, 5.02, (4.98, 5.02, 5.0), Ending.FIN)
KEPT = (KeepAliveCase("HTTP/1.1 GET", True, status=200),)
FOUND = ProbeResult("10.0.0.1:8080", "10.0.0.1", 8080, "/", idle=FIVE, cases=KEPT)
PROXIES = ("nginx", "HAProxy", "Envoy", "Caddy")


def for_each(found: ProbeResult) -> dict[str, Advice]:
    return {each.proxy: each for each in advise(found)}


def text(advice: Advice) -> str:
    return "\n".join(advice.lines)


def test_each_proxy_is_told_how_to_end_first() -> None:
    found = for_each(FOUND)
    assert tuple(found) == PROXIES
    assert text(found["nginx"]) == (
        "upstream backend {\n    server 10.0.0.1:8080;\n    keepalive 32;\n    keepalive_timeout 4s;\n}"
    )
    assert "server app1 10.0.0.1:8080 pool-purge-delay 250ms" in text(found["HAProxy"])
    assert text(found["Envoy"]).endswith("common_http_protocol_options:\n      idle_timeout: 4s")
    assert "        keepalive 4s\n" in text(found["Caddy"])
    assert all("4.98 s" in each.why for each in found.values())


@pytest.mark.parametrize(
    ("low_s", "seen_s", "kept"),
    [
        (4.98, (), "4s"),
        (5.0, (5.0, 5.0), "4s"),
        (2.0, (), "1s"),
        (1.0, (), "500ms"),
        (0.5, (), "250ms"),
        (59.9, (), "59s"),
        (120.0, (120.0, 148.0), None),
        (60.0, (60.0, 88.0), "32s"),
    ],
)
def test_the_time_lies_below_what_single_connections_showed(
    low_s: float, seen_s: tuple[float, ...], kept: str | None
) -> None:
    idle = IdleTimeout(low_s, max((low_s, *seen_s)), seen_s, Ending.FIN)
    lines = text(for_each(replace(FOUND, idle=idle))["nginx"])
    wanted = [] if kept is None else [kept]
    assert re.findall(r"keepalive_timeout (\w+);", lines) == wanted


def test_a_default_that_is_short_enough_stays() -> None:
    found = for_each(replace(FOUND, idle=IdleTimeout(75.0, 75.4, (75.0, 75.4), Ending.FIN)))
    assert found["nginx"].lines == ()
    assert "That is its default" in found["nginx"].why
    assert "keepalive 74s" in text(found["Caddy"])
    assert "pool-purge-delay 4625ms" in text(found["HAProxy"])
    assert "idle_timeout: 74s" in text(found["Envoy"])


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        ({"max_requests": 100}, ["100", "100"]),
        ({"max_requests": 100, "max_requests_announced": True}, []),
        ({"max_requests": None, "requests_tried": 60}, []),
    ],
)
def test_requests_are_limited_where_the_server_ends_without_saying_so(
    changes: dict[str, int], limits: list[str]
) -> None:
    found = for_each(replace(FOUND, **changes))  # type: ignore[arg-type]
    lines = text(found["nginx"]) + text(found["Envoy"])
    assert re.findall(r"(?:keepalive_requests|max_requests_per_connection:) (\d+)", lines) == limits
    assert ("cannot limit" in found["Caddy"].why) == bool(limits)


def test_a_server_that_closes_in_silence_gets_no_pool() -> None:
    cases = (KeepAliveCase("HTTP/1.1 GET", False, ending=Ending.FIN),)
    found = for_each(replace(FOUND, idle=None, cases=cases))
    assert "    keepalive_requests 1;\n" in text(found["nginx"])
    assert "http-server-close" in text(found["HAProxy"])
    assert "max_requests_per_connection: 1" in text(found["Envoy"])
    assert "keepalive off" in text(found["Caddy"])
    assert all("without saying so" in each.why for each in found.values())


def test_a_server_that_says_that_it_closes_needs_nothing() -> None:
    cases = (KeepAliveCase("HTTP/1.1 GET", False, announced=True, ending=Ending.FIN),)
    found = advise(replace(FOUND, idle=None, cases=cases))
    assert [each.lines for each in found] == [()] * len(PROXIES)
    assert all("there is no race, and no reuse" in each.why for each in found)


def test_what_is_kept_after_other_requests_only_is_no_use_to_a_proxy() -> None:
    cases = (KeepAliveCase("HTTP/1.1 GET", False), KeepAliveCase("HTTP/1.0 with keep-alive", True))
    assert "keepalive off" in text(for_each(replace(FOUND, cases=cases))["Caddy"])


@pytest.mark.parametrize("ending", [Ending.FIN, Ending.SILENCE])
def test_an_idle_time_near_zero_leaves_no_pool(ending: Ending) -> None:
    found = for_each(replace(FOUND, idle=IdleTimeout(0.02, 0.04, (0.02, 0.04), ending)))
    assert "keepalive off" in text(found["Caddy"])
    assert all("0.02 s" in each.why for each in found.values())
    assert all(("in silence" in each.why) == (ending is Ending.SILENCE) for each in found.values())


def test_a_spread_that_begins_near_zero_leaves_no_pool() -> None:
    found = advise(replace(FOUND, idle=IdleTimeout(1.0, 9.0, (1.0, 9.0), Ending.FIN)))
    assert all("next to nothing" in each.why for each in found)


def test_a_server_that_ends_nothing_while_it_is_watched() -> None:
    found = for_each(replace(FOUND, idle=IdleTimeout(120.0, None)))
    assert found["nginx"].lines == ()
    assert "idle_timeout: 119s" in text(found["Envoy"])
    assert "pool-purge-delay" not in text(found["HAProxy"])
    assert all("no end within 120 s" in each.why for each in found.values())
    assert all("longer --max" in each.why for each in found.values())


@pytest.mark.parametrize("idle", [None, IdleTimeout(0.1, None)])
def test_an_idle_time_that_did_not_show_leaves_no_pool(idle: IdleTimeout | None) -> None:
    found = advise(replace(FOUND, idle=idle))
    assert all("did not show: probe again" in each.why for each in found)
    assert "keepalive off" in text(found[-1])


def test_ipv6_stands_in_brackets() -> None:
    found = for_each(replace(FOUND, host="::1"))
    assert "server [::1]:8080;" in text(found["nginx"])


def test_the_json_has_all_of_it() -> None:
    assert advise(FOUND)[0].to_json() == {
        "proxy": "nginx",
        "lines": list(advise(FOUND)[0].lines),
        "why": advise(FOUND)[0].why,
    }


@pytest.mark.parametrize("idle", [FIVE, IdleTimeout(75.0, 75.4, (75.0, 75.4), Ending.RST)])
def test_no_sentence_is_long(idle: IdleTimeout) -> None:
    results = [
        replace(FOUND, idle=idle, max_requests=100),
        replace(FOUND, idle=None),
        replace(FOUND, idle=None, cases=()),
        replace(FOUND, idle=IdleTimeout(0.01, 0.02)),
        replace(FOUND, idle=IdleTimeout(20.0, None)),
    ]
    for each in (advice for found in results for advice in advise(found)):
        sentences = re.split(r"[.;:] (?=[A-Za-z])", each.why)
        assert max(len(sentence.split()) for sentence in sentences) <= 30, each.why


@pytest.mark.parametrize("idle", [1, 4, 32, 1000])
def test_haproxy_has_emptied_an_unused_pool_in_time(idle: int) -> None:
    """As srv_cleanup_idle_conns() counts: needed is halved by each look, and so is what is beyond it."""
    used, needed, looks = idle, 0, 0
    left = idle
    while left:
        looks += 1
        beyond = left - max(used, needed)
        needed = max((needed + used) // 2, used)
        used = 0
        left -= max(0, beyond // 2 + beyond % 2)
    assert looks <= PURGES
    assert purge_delay_s(4.0) * PURGES <= 4.0


def test_the_spread_is_that_of_single_connections() -> None:
    assert spread_s(FIVE) == pytest.approx(0.04)
    assert spread_s(IdleTimeout(1.0, 9.0)) == 0.0
