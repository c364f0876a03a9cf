"""No advice is against the nginx that is judged, and none is against another advice."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from nginx.check import CheckResult, check
from nginx.finding import Finding, Severity
from nginx.rules import CATALOGUE, CheckSettings

VERSIONS = (["1.0.15"], ["1.14.0"], ["1.18.0"], ["1.22.1"], ["1.28.0"], ["1.31.4"], ["1.22.1", "1.31.4"])
SINCE = {
    r"keepalive \d+;": "1.1.4",
    r"proxy_http_version 1\.1": "1.1.4",
    r"fastcgi_keep_conn": "1.1.4",
    r"zone\b": "1.9.0",
    r"keepalive_(?:timeout|requests) .*;": "1.15.3",
    r"keepalive_time\b": "1.19.10",
    r"(?:server .* )?resolve\b": "1.27.3",
    r"keepalive_min_timeout": "1.27.4",
    r"proxy_http_version 2": "1.29.4",
    r"keepalive 0": "1.29.7",
    r"keepalive \d+ local": "1.29.7",
}
"""What an advice can name, and the version that it came with (CHANGES of nginx)."""
CLIENTS = {r"keepalive_(?:timeout|requests) .*;"}
"""What is older where it is about clients."""
UNPROVEN = {"NK046"}
EXAMPLES = [rule for rule in CATALOGUE.values() if rule.id not in UNPROVEN]


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def undated(finding: Finding, judged: list[str]) -> Iterator[str]:
    """Yield the lines of an advice that a judged version refuses, and about which it does not say so."""
    for line, rest in re.findall(r"`([^`]+)`([^`]*)", finding.fix):
        for pattern, since in SINCE.items():
            is_old = pattern in CLIENTS and finding.rule.startswith("CK")
            if not re.match(pattern, line) or is_old or min(map(number, judged)) >= number(since):
                continue
            if f"since {since}" not in finding.fix and not rest.startswith(" (since"):
                yield f"{finding.rule}: {line}"


@pytest.mark.parametrize("judged", VERSIONS, ids="+".join)
@pytest.mark.parametrize("rule", EXAMPLES, ids=lambda rule: rule.id)
def test_an_advice_names_the_version_of_what_an_older_one_refuses(rule: object, judged: list[str]) -> None:
    assert isinstance(rule, type(CATALOGUE["NK001"]))
    for text in (rule.bad, rule.good):
        for settings in (rule.shown_with, CheckSettings(backend_idle_s=5, workers=4, concurrency=400)):
            found = check("x", judged, text=text, settings=settings)
            assert [line for each in found.findings for line in undated(each, judged)] == []


KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
MAP = "map $http_upgrade $up { default upgrade; '' ''; }\n"
APPLIED: dict[str, list[tuple[str, str]]] = {
    "CK101": [("keepalive_timeout 0;", "")],
    "CK102": [("keepalive_requests 100;", "")],
    "CK103": [("keepalive_disable safari;", "")],
    "CK104": [("keepalive_timeout 30s;", "keepalive_timeout 75s;")],
    "CK105": [("http {", "http { keepalive_min_timeout 5s;")],
    "CK106": [("lingering_close off;", "")],
    "CK107": [("send_timeout 2s;", "send_timeout 10s;")],
    "CK108": [("add_header Connection keep-alive;", "")],
    "CK110": [("worker_connections 64;", "worker_connections 1024;")],
    "CK111": [("tcp_nodelay off;", "")],
    "NK001": [("8080;", "8080; keepalive 32;")],
    "NK002": [(";\n    }", "; proxy_http_version 1.1;\n    }")],
    "NK003": [(";\n    }", '; proxy_set_header Connection "";\n    }')],
    "NK003b": [("location /old/ {", 'location /old/ { proxy_set_header Connection "";')],
    "NK004": [("Connection close;", 'Connection "";')],
    "NK005": [("Host $host;", 'Host $host; proxy_set_header Connection "";')],
    "NK006": [
        ("server {", "upstream NAME { server 127.0.0.1:8080; keepalive 32; }\nserver {"),
        ("127.0.0.1:8080; } }", f"NAME; proxy_set_header Host 127.0.0.1:8080; {KEPT} }} }}"),
    ],
    "NK008": [("keepalive 64; least_conn;", "least_conn; keepalive 64;")],
    "NK009": [("'' close;", "'' '';")],
    "NK010": [("Connection upgrade;", "Connection $up;"), ("upstream app", MAP + "upstream app")],
    "NK011": [("$http_connection", '""')],
    "NK012": [(" proxy_set_header Connection upgrade;", "")],
    "NK013": [("keep-alive", '""')],
    "NK015": [("keepalive 0;", "keepalive 32;")],
    "NK016": [("8080;", "8080; keepalive 32;")],
    "NK017": [("8080;", "8080; keepalive 32; keepalive_requests 1000; keepalive_timeout 60;")],
    "NK018": [("8080;", "8080; keepalive 32;")],
    "NK019": [("http2 on;", "")],
    "NK020": [("keepalive_requests 10;", "keepalive_requests 1000;")],
    "NK021": [("keepalive 32;", "keepalive 32; keepalive_timeout 4s;")],
    "NK022": [("keepalive 2;", "keepalive 6;")],
    "NK023": [("keepalive 64;", "keepalive 12;")],
    "NK024": [("worker_connections 512;", "worker_connections 2000;")],
    "NK025": [("timeout http_502", "error timeout http_502")],
    "NK026": [("proxy_next_upstream off;", "")],
    "NK028": [("proxy_ssl_session_reuse off;", "")],
    "NK029": [
        ("upstream app", "upstream b { server 10.0.0.1:8443; keepalive 64; }\nupstream app"),
        ("location /b/ { proxy_pass https://app;", "location /b/ { proxy_pass https://b;"),
    ],
    "NK030": [
        ("upstream app", "upstream b { server 10.0.0.1:8443; keepalive 64; }\nupstream app"),
        ("https://app;", "https://b;"),
    ],
    "NK031": [(" keepalive 64;", "")],
    "NK032": [(" keepalive 64;", "")],
    "NK039": [("upstream app {", "upstream app { zone app 64k;")],
    "NK041": [("internal;", "internal; proxy_method HEAD;")],
    "NK043": [("proxy_ignore_client_abort off;", "proxy_ignore_client_abort on;")],
    "NK049": [("127.0.0.1:8080;", "127.0.0.1:8080; proxy_http_version 1.1;")],
    "NK051": [("http://backend;", "http://back-end;")],
    "NK054": [("Connection upgrade;", 'Connection "";')],
    "NK056": [
        ("http://10.0.0.1:8080;", "http://10.0.0.1:8080; proxy_http_version 1.1; proxy_buffering off;")
    ],
    "NK057": [("gzip_types text/event-stream;", "")],
    "NK058": [("5s", "1h")],
    "NK059": [("keepalive 32;", "keepalive 32; keepalive_requests 100;")],
    "NK061": [("proxy_limit_rate 64k;", "limit_rate 64k;")],
}
"""What each advice makes of its example: pairs of a text and what takes its place."""
NO_EDIT = {
    "NK007": "needs a name that is not here, or a resolver",
    "NK014": "is to weigh",
    "NK027": "is to weigh",
    "NK033": "needs the capacity of the application",
    "NK034": "needs the capacity of the application",
    "NK035": "changes the application",
    "NK038": "is that of the other findings",
    "NK040": "needs a resolver",
    "NK042": "is to weigh",
    "NK045": "is to weigh",
    "NK047": "is to weigh",
    "NK050": "changes how the servers are given",
    "NK053": "is an option of the command",
    "NK055": "is an option of the command",
    "NK060": "changes the server",
    "NX002": "is about the rendered text",
    "NX003": "needs the right name",
    "NX005": "needs another nginx",
    "NX004": "makes another text of it",
}
"""Why an advice is no edit."""


def severe(found: CheckResult) -> set[str]:
    return {each.rule for each in found.findings if each.severity >= Severity.HIGH}


def test_each_advice_is_tried() -> None:
    advising = {
        rule.id
        for rule in EXAMPLES
        for each in check("x", [rule.shown_on], text=rule.bad, settings=rule.shown_with).findings
        if each.rule == rule.id and each.fix
    }
    assert set(APPLIED).isdisjoint(NO_EDIT)
    assert set(APPLIED) | set(NO_EDIT) == advising


@pytest.mark.parametrize("rule_id", APPLIED)
def test_no_advice_is_against_another(rule_id: str) -> None:
    """Where an example follows its advice, the finding is gone, and no other rule is severe then."""
    rule = CATALOGUE[rule_id]
    text = rule.bad
    for old, new in APPLIED[rule_id]:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    for judged in ([rule.shown_on], ["1.22.1", "1.31.4"]):
        before = check("x", judged, text=rule.bad, settings=rule.shown_with)
        if any(each.rule == rule_id and "(since" in each.fix for each in before.findings):
            continue  # it says that an older version refuses it
        after = check("x", judged, text=text, settings=rule.shown_with)
        assert severe(after) <= severe(before) - ({rule_id} if judged == [rule.shown_on] else set())
        kept = {str(each.severity) for each in after.findings if each.rule == rule_id}
        assert judged != [rule.shown_on] or kept <= {"info"}


BIND = "proxy_bind $remote_addr transparent;"


def at(lines: str, pool: str = "") -> str:
    """Return an upstream `a` with a pool, or without, and a location with these lines."""
    return f"upstream a {{ server 10.0.0.1; {pool} }} server {{ location / {{ {lines} }} }}"


FOLLOWED = {
    # versions, text; nothing in it is severe
    "a pool that is switched off for the clients' addresses": (
        ["1.31.4"],
        at(f"{BIND} proxy_pass http://a;", "keepalive 0;"),
    ),
    "none before 1.29.7": (["1.22.1"], at(f"{BIND} proxy_pass http://a;")),
    "an address that is the clients'": (["1.22.1", "1.31.4"], at(f"{BIND} proxy_pass http://10.0.0.2;")),
    "the old way to close": (
        ["1.31.4"],
        at(f"{BIND} proxy_http_version 1.0; proxy_set_header Connection close; proxy_pass http://10.0.0.2;"),
    ),
    "Exchange": (
        ["1.22.1", "1.31.4"],
        "server { location /owa/ { proxy_pass https://10.0.0.1; } }",
    ),
    "a server name for each request": (
        ["1.31.4"],
        "upstream a { server 10.0.0.1:443; keepalive 0; }"
        "server { location / { proxy_pass https://a; proxy_ssl_server_name on; proxy_ssl_name $host; } }",
    ),
}


@pytest.mark.parametrize(("judged", "text"), FOLLOWED.values(), ids=FOLLOWED)
def test_what_follows_an_advice_is_not_severe(judged: list[str], text: str) -> None:
    found = check("x", judged, text=text)
    assert severe(found) == set()
    assert [each.rule for each in found.findings if "keepalive 32" in each.fix] == []


APART = "upstream {} {{ server 10.0.0.1:8443; keepalive 64; }}\n"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("proxy_pass http://a;", "proxy_pass http://b;", {"NK051"}),
        ("proxy_pass http://a;", "proxy_pass https://b;", set()),
        ("proxy_pass http://a;", "grpc_pass b;", set()),
        ("proxy_pass http://a;", "proxy_pass http://b; proxy_http_version 2;", set()),
        ("proxy_pass https://a; proxy_ssl_name x;", "proxy_pass https://b; proxy_ssl_name y;", set()),
        (f"proxy_pass http://a; {BIND}", "proxy_pass http://b;", {"NK031"}),
        ("proxy_pass http://a;", "proxy_pass http://b; proxy_set_header Connection close;", {"NK004"}),
    ],
)
def test_pools_that_have_to_be_apart_are_not_reported(first: str, second: str, expected: set[str]) -> None:
    text = APART.format("a") + APART.format("b")
    text += f"server {{ {KEPT} location / {{ {first} }} location /b {{ {second} }} }}"
    found = {each.rule for each in check("x", ["1.31.4"], text=text).findings}
    assert found & {"NK051", "NK029", "NK030", "NK031", "NK004"} == expected


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("server 10.0.0.1;", True),
        ("server 0.0.0.1;", False),
        ("server 0.0.0.0:1; balancer_by_lua_block { b() }", False),
        ("server 10.0.0.1; balancer_by_lua_file b.lua;", False),
        ("server {{ backend }};", False),
        ("server ${BACKEND};", False),
    ],
)
def test_placeholders_are_no_servers(block: str, expected: bool) -> None:
    text = f"upstream a {{ {block} keepalive 8; }} upstream b {{ {block} keepalive 8; }}"
    text += (
        f"server {{ {KEPT} location / {{ proxy_pass http://a; }} location /b {{ proxy_pass http://b; }} }}"
    )
    assert any(each.rule == "NK051" for each in check("x", ["1.31.4"], text=text).findings) == expected


def header(*values: str, upgrade: bool = False, more: str = "") -> str:
    lines = " ".join(f"proxy_set_header Connection {value};" for value in values)
    lines += " proxy_set_header Upgrade $http_upgrade;" if upgrade else ""
    return MAP + more + at(f"{lines} proxy_pass http://a;", "keepalive 8;")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (header('""', "upgrade"), 'keep `proxy_set_header Connection "";` (x:2) and remove the others'),
        (header("close", '""'), 'keep `proxy_set_header Connection "";` (x:2) and remove the others'),
        (
            header('""', "$up", upgrade=True),
            "keep `proxy_set_header Connection $up;` (x:2) and remove the others",
        ),
        (header("close", "keep-alive"), 'replace them by one `proxy_set_header Connection "";`'),
        (header('""', "upgrade", upgrade=True), "replace them by one line with a map on $http_upgrade"),
    ],
)
def test_which_line_to_keep(text: str, kept: str) -> None:
    (found,) = (each for each in check("x", ["1.31.4"], text=text).findings if each.rule == "NK012")
    assert found.fix.startswith(kept)


@pytest.mark.parametrize(
    ("value", "more", "decides"),
    [
        ("$http_connection", "", "http_connection"),
        ("$m", "map $http_upgrade $m { default upgrade; '' $http_connection; }", "http_connection"),
        ("$m", "map $n $m { default $n; } map $uri $n { default $arg_c; }", "arg_c"),
        ("$m", "map $http_connection $m { ~*close close; default ''; }", "http_connection"),
        ("$m", "map $http_connection $m { ~*upgrade upgrade; default ''; }", None),
        ("$m", "map $http_upgrade $m { default upgrade; '' close; }", None),
        ("$m", "map $http_upgrade $m { default upgrade; '' ''; }", None),
    ],
)
def test_clients_decide_through_a_map_too(value: str, more: str, decides: str | None) -> None:
    found = [
        each
        for each in check("x", ["1.31.4"], text=header(value, more=more)).findings
        if each.rule == "NK011"
    ]
    assert bool(found) == (decides is not None)
    assert all(f"${decides} " in each.message for each in found)


def sized(settings: CheckSettings, keepalive: int, servers: int = 1, more: str = "") -> list[Finding]:
    """Return what is found about a pool to some servers."""
    listed = " ".join(f"server 10.0.0.{number};" for number in range(servers))
    text = f"upstream a {{ {listed} keepalive {keepalive}; {more} }}"
    text += f"server {{ location / {{ proxy_pass http://a; {KEPT} }} }}"
    return check("x", ["1.31.4"], text=text, settings=settings).findings


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("limit", [1, 10, 200])
@pytest.mark.parametrize("servers", [1, 10])
@pytest.mark.parametrize("keepalive", [1, 64])
@pytest.mark.parametrize("concurrency", [None, 100])
def test_sizes_that_are_advised_are_not_refused(
    workers: int, limit: int, servers: int, keepalive: int, concurrency: int | None
) -> None:
    """What is to be written by one rule is nothing that another would have changed."""
    settings = CheckSettings(workers=workers, concurrency=concurrency, backend_max_connections=limit)
    for finding in sized(settings, keepalive, servers):
        for wanted in re.findall(r"write `keepalive (\d+);`", finding.fix):
            again = [each for each in sized(settings, int(wanted), servers) if each.severity > Severity.LOW]
            assert {each.rule for each in again}.isdisjoint({"NK022", "NK023"}), finding.fix


@pytest.mark.parametrize("idle_s", [0.5, 1, 1.5, 2, 5, 20, 60, 61, 3600])
def test_a_time_that_is_advised_is_short_enough(idle_s: float) -> None:
    settings = CheckSettings(backend_idle_s=idle_s)
    for finding in sized(settings, 8):
        for line in re.findall(r"write `(keepalive_timeout \w+;)`", finding.fix):
            assert "NK021" not in {each.rule for each in sized(settings, 8, more=line)}


@pytest.mark.parametrize(
    ("text", "settings", "advised"),
    [
        ("server { location / { fastcgi_pass 10.0.0.1:9000; } }", CheckSettings(), None),
        ("server { location / { proxy_pass http://unix:/run/puma.sock; } }", CheckSettings(), None),
        (at("fastcgi_pass a;"), CheckSettings(), None),
        (at("fastcgi_pass a; fastcgi_keep_conn on;"), CheckSettings(), None),
        (at("fastcgi_pass a;"), CheckSettings(workers=2, backend_max_connections=40), "keepalive 10;"),
        (at("fastcgi_pass a;"), CheckSettings(workers=2, upstream_max_connections={"A": 4}), "keepalive 1;"),
        (at("proxy_pass http://a;"), CheckSettings(), "keepalive 32;"),
    ],
)
def test_a_pool_is_advised_only_where_the_servers_bear_it(
    text: str, settings: CheckSettings, advised: str | None
) -> None:
    fixes = " ".join(each.fix for each in check("x", ["1.22.1"], text=text, settings=settings).findings)
    assert re.findall(r"keepalive \d+;", fixes) == ([advised] if advised else [])
    assert ("--backend-max-connections" in fixes) == (advised is None)
