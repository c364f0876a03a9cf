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
        ("jdomain a.example interval=5; keepalive 8;", "reused"),
        ("session_sticky; server a; keepalive 8;", "reused"),
        ("server a; ntlm; keepalive 8;", "reused"),
        ("balancer_by_lua_block { b.set_current_peer(a) } server a; keepalive 8;", "reused"),
        ("server a; balancer_by_lua_block { b.set_current_peer(a) }", "not reused"),
        ("keepalive 8; server a; balancer_by_lua_block { pick() }", "not reused"),
        ("zone app 64k; state /var/lib/app; keepalive 8;", "reused"),
    ],
)
def test_known_lines_in_an_upstream(lines: str, before: str) -> None:
    assert judged(upstream(lines)) == [(before, ()), ("reused", ())]


@pytest.mark.parametrize("name", ["warmed_pool", "Keepalive_own", "least_requests"])
def test_an_unknown_line_in_an_upstream_decides(name: str) -> None:
    assert judged(upstream(f"server a; {name} 8; keepalive 8;")) == [("depends", (name,))] * 2


@pytest.mark.parametrize(
    "lines",
    [
        "server a; ntlm;",
        "server a; ntlm 200; ntlm_timeout 30s;",
        "server a; ntlm; keepalive 0;",
        "server a; balancer_by_lua_block { b.enable_keepalive(60, 100) }",
        "server a; balancer_by_lua 'b.enable_keepalive()'; keepalive 8;",
        "server a; balancer_by_lua_block { gateway.balance() }",
        "server a; balancer_by_lua_file pick.lua;",
        "server a; keepalive 8; jdomain a.example;",
    ],
)
def test_what_keeps_connections_itself_decides(lines: str) -> None:
    (name,) = {name for answer, names in judged(upstream(lines)) for name in names if answer == "depends"}
    assert name in lines


@pytest.mark.parametrize(
    "lines",
    [
        "location /admin { dyups_interface; }",
        'location /admin { content_by_lua_block { require("ngx.dyups").update(n, b) } }',
        "location /admin { content_by_lua 'local d = require \"ngx.dyups\" d.update(n, b)'; }",
    ],
)
def test_upstreams_that_change_at_run_time_lose_their_pools(lines: str) -> None:
    text = upstream("server a; keepalive 8;") + f"server {{ {lines} }}"
    found = judged(text)
    assert [answer for answer, _ in found] == ["depends"] * 2
    assert found[0][1][0] in lines


def test_servers_that_change_at_run_time_keep_their_pool() -> None:
    text = upstream("zone app 64k; server a; keepalive 8;") + "server { location /u { dynamic_upstream; } }"
    assert judged(text) == [("reused", ())] * 2


@pytest.mark.parametrize("name", ["redis2_pass", "memc_pass", "rate_limit_pass"])
def test_an_unknown_pass_is_named(name: str) -> None:
    text = f"upstream app {{ server a; }} server {{ location / {{ {name} app; }} }}"
    assert judged(text) == [("depends", (name,))] * 2
    assert not {finding.rule for finding in check("x", VERSIONS, text=text).findings} & {"NK001", "NK006"}


def test_an_upload_is_passed_to_a_location() -> None:
    assert not check("x", VERSIONS, text="server { location / { upload_pass @app; } }").locations


@pytest.mark.parametrize(
    ("lines", "is_flagged"),
    [
        ("server a; ntlm; keepalive 8;", (True, True)),
        ("server a; keepalive 8; ntlm;", (False, True)),
        ("server a; ntlm;", (False, False)),
    ],
)
def test_a_shared_pool_before_one_that_is_bound_to_clients(lines: str, is_flagged: tuple[bool, bool]) -> None:
    found = [check("x", [version], text=upstream(lines)).findings for version in VERSIONS]
    assert tuple(any(finding.rule == "NK032" for finding in each) for each in found) == is_flagged
