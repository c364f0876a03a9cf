"""Every rule has a configuration that it flags and one that it must not flag."""

from __future__ import annotations

import pytest

from nginx.check import check
from nginx.rules import CATALOGUE, Rule

OLD, NEW = "1.22.1", "1.31.4"
BY_TRAFFIC = {"NK046"}
SHOWN = sorted((rule for rule in CATALOGUE.values() if rule.id not in BY_TRAFFIC), key=lambda rule: rule.id)


def flagged(rule: Rule, text: str) -> bool:
    examination = check("nginx.conf", [rule.shown_on], settings=rule.shown_with, text=text)
    return any(finding.rule == rule.id for finding in examination.findings)


@pytest.mark.parametrize("rule", SHOWN, ids=lambda rule: rule.id)
def test_bad_example_is_flagged(rule: Rule) -> None:
    assert flagged(rule, rule.bad)


@pytest.mark.parametrize("rule", SHOWN, ids=lambda rule: rule.id)
def test_good_example_is_not_flagged(rule: Rule) -> None:
    assert not flagged(rule, rule.good)


@pytest.mark.parametrize("rule", CATALOGUE.values(), ids=lambda rule: rule.id)
def test_good_example_has_no_fault_that_another_rule_finds_about_reuse(rule: Rule) -> None:
    examination = check("nginx.conf", [rule.shown_on], settings=rule.shown_with, text=rule.good)
    assert [each.rule for each in examination.findings if CATALOGUE[each.rule].about_reuse] == []


@pytest.mark.parametrize("rule", CATALOGUE.values(), ids=lambda rule: rule.id)
def test_rule_explains_itself(rule: Rule) -> None:
    assert rule.summary.endswith(".")
    assert rule.name == rule.name.lower()


POOL = "upstream app { server 10.0.0.1:8080; keepalive 8; }\n"
KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'


H2 = "location /h2 { proxy_pass http://app; proxy_http_version 2; }"


def at(lines: str, pool: str = POOL, around: str = "") -> str:
    return f"{pool}server {{ {around} location / {{ {lines} }} }}"


def whole(http: str, main: str = "") -> str:
    return f"{main} events {{}} http {{ {http} }}"


DETAILS = {
    # rule, text, version, whether it is flagged
    "outer header is empty": (
        "NK005",
        at("proxy_set_header A b; proxy_pass http://app;", around=KEPT),
        OLD,
        True,
    ),
    "outer header closes anyway": (
        "NK005",
        at("proxy_set_header A b; proxy_pass http://app;", around="proxy_set_header Connection close;"),
        OLD,
        False,
    ),
    "path by variable behind a port": ("NK006", at("proxy_pass http://a.example:80$request_uri;"), OLD, True),
    "path by variable behind a port, not the host": (
        "NK007",
        at("proxy_pass http://a.example:80$request_uri;"),
        OLD,
        False,
    ),
    "host that a variable goes on with": ("NK007", at("proxy_pass http://app$suffix;"), OLD, True),
    "a socket file, which takes no port": (
        "NK048",
        "server { location / { proxy_pass http://unix:/run/app.sock; } }",
        NEW,
        False,
    ),
    "two balancing methods": (
        "NK008",
        at("proxy_pass http://app;", "upstream app { least_conn; ip_hash; server 10.0.0.1; keepalive 8; }"),
        OLD,
        True,
    ),
    "one balancing method": (
        "NK008",
        at("proxy_pass http://app;", "upstream app { ip_hash; server 10.0.0.1; keepalive 8; }"),
        OLD,
        False,
    ),
    "cached HTTP/2 with its own body": (
        "NK014",
        at("proxy_pass http://app; proxy_http_version 2; proxy_cache c; proxy_set_body x;"),
        "1.29.4",
        True,
    ),
    "limits of clients in a location": (
        "NK017",
        at(f"proxy_pass http://app; {KEPT} keepalive_requests 1000;", POOL.replace("keepalive 8;", "")),
        OLD,
        True,
    ),
    "limits of clients in a location without proxy_pass": (
        "NK017",
        at("root /srv; keepalive_requests 1000;", POOL.replace("keepalive 8;", "")),
        OLD,
        False,
    ),
    "local in older versions": (
        "NK019",
        at(f"proxy_pass http://app; {KEPT}", POOL.replace("8", "8 local")),
        "1.28",
        True,
    ),
    "1.1 where it is the default": ("NK019", at(f"proxy_pass http://app; {KEPT}"), NEW, True),
    "names after an upstream": (
        "NK029",
        at(f"proxy_pass https://app; {KEPT} proxy_ssl_server_name on;"),
        OLD,
        True,
    ),
    "source address of gRPC": (
        "NK031",
        at("grpc_pass grpc://app; grpc_bind $remote_addr transparent;"),
        OLD,
        True,
    ),
    "max_conns in a zone with workers": (
        "NK039",
        whole(
            at(
                f"proxy_pass http://app; {KEPT}",
                "upstream app { zone a 64k; server 10.0.0.1 max_conns=9; keepalive 8; }",
            ),
            "worker_processes 4;",
        ),
        OLD,
        True,
    ),
    "resolve without resolver": (
        "NK040",
        whole(at("proxy_pass http://app;", "upstream app { zone a 64k; server a.example resolve; }")),
        NEW,
        True,
    ),
    "resolve with resolver": (
        "NK040",
        whole(
            "resolver 127.0.0.1;"
            + at("proxy_pass http://app;", "upstream app { zone a 64k; server a.example resolve; }")
        ),
        NEW,
        False,
    ),
    "auth_request below a prefix": (
        "NK041",
        at(f"proxy_pass http://app; {KEPT}", around="location /x { auth_request /auth; }"),
        OLD,
        True,
    ),
    "auth_request to another location": (
        "NK041",
        at(
            f"proxy_pass http://app; {KEPT}",
            around="location /x { auth_request /auth; } location = /auth { return 204; }",
        ),
        OLD,
        False,
    ),
    "HTTP/1.1 and HTTP/2 from one pool": (
        "NK030",
        at(f"proxy_pass http://app; {KEPT}", around=H2),
        NEW,
        True,
    ),
    "HTTP/1.0 only from one pool": ("NK030", at(f"proxy_pass http://app; {KEPT}", around=H2), OLD, False),
    "a pool for each location": (
        "NK030",
        at(f"proxy_pass http://app; {KEPT}", around=H2).replace("keepalive 8;", ""),
        NEW,
        False,
    ),
    "a scheme that a variable holds": (
        "NK030",
        at(f"proxy_pass http://app; {KEPT}", around="location /b/ { proxy_pass $http_s://app; }"),
        OLD,
        False,
    ),
    "a rate of an outer level": (
        "NK061",
        at(f"proxy_pass http://app; {KEPT}", around="proxy_limit_rate 1m;"),
        OLD,
        True,
    ),
    "a rate that an inner level switches off": (
        "NK061",
        at(f"proxy_pass http://app; {KEPT} proxy_limit_rate 0;", around="proxy_limit_rate 1m;"),
        OLD,
        False,
    ),
    "a rate of nothing with a unit": (
        "NK061",
        at(f"proxy_pass http://app; {KEPT} proxy_limit_rate 0k;"),
        OLD,
        False,
    ),
    "a rate without buffering": (
        "NK061",
        at(f"proxy_pass http://app; {KEPT} proxy_limit_rate 1m;", around="proxy_buffering off;"),
        OLD,
        False,
    ),
    "a rate that a variable gives": (
        "NK061",
        at(f"proxy_pass http://app; {KEPT} proxy_limit_rate $rate;", around="set $rate 1m;"),
        NEW,
        False,
    ),
    "a rate without a pool": (
        "NK061",
        at("proxy_pass http://10.0.0.1; proxy_limit_rate 1m;"),
        OLD,
        False,
    ),
    "a rate of FastCGI": (
        "NK061",
        at("fastcgi_pass app; fastcgi_keep_conn on; fastcgi_limit_rate 1m;"),
        OLD,
        True,
    ),
    "a rate of another module": (
        "NK061",
        at("fastcgi_pass app; fastcgi_keep_conn on; proxy_limit_rate 1m;"),
        OLD,
        False,
    ),
    "100 requests by default": ("CK102", whole("server { listen 80; }"), "1.18.0", True),
    "1000 requests by default": ("CK102", whole("server { listen 80; }"), OLD, False),
    "HTTP/2 by listen": ("CK112", "server { listen 443 ssl http2; keepalive_requests 2000; }", OLD, True),
}


@pytest.mark.parametrize(("rule", "text", "version", "expected"), DETAILS.values(), ids=DETAILS)
def test_details(rule: str, text: str, version: str, *, expected: bool) -> None:
    findings = check("nginx.conf", [version], text=text).findings
    assert any(finding.rule == rule for finding in findings) == expected
