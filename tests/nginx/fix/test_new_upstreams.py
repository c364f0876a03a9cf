"""Repairs of targets that a variable names or a resolver finds: they go on being found as they were."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nginx import versions
from nginx.fix.repair import Repair, fix
from tests import needs
from tests.nginx import real
from tests.nginx.fix.repairing import CONNECTION, VERSION, Recorder, added, at, exchanged, removed
from tests.nginx.resolver import resolving

OLD, NEW = "1.22.1", "1.31.4"
PROGRAMS = real.programs()
FOLLOWS = {name: program for name, program in PROGRAMS.items() if versions.parse(name) >= versions.RESOLVE}
HOST = "app.test"
RESOLVER = "    resolver RESOLVER ipv6=off;\n"

# How a location comes to its target, and what it passes to afterwards; NAME is that of the upstream {}.
ADDRESSES = {
    "an address": (["set $to BACKEND;", "proxy_pass http://$to;"], "http://NAME"),
    "a URL": (["set $to http://BACKEND;", "proxy_pass $to;"], "http://NAME"),
    "in parts": (
        ["set $how http;", "set $to BACKEND;", "proxy_pass $how://$to$request_uri;"],
        "http://NAME$request_uri",
    ),
    "with a path": (
        ["set $to BACKEND;", "proxy_pass http://$to/two$uri?$args;"],
        "http://NAME/two$uri?$args",
    ),
}
NAMED = {
    name: ([line.replace("BACKEND", f"{HOST}:PORT") for line in lines], passed)
    for name, (lines, passed) in ADDRESSES.items()
} | {
    "no variable but the path": ([f"proxy_pass http://{HOST}:PORT$request_uri;"], "http://NAME$request_uri"),
}


def repaired(folder: Path, text: str, *nginx_versions: str) -> Repair:
    path = folder / "site.conf"
    path.write_text(text)
    return fix(path, nginx_versions)


def resolved(listening: Path) -> None:
    """Ask until nginx knows the address: an upstream {} resolves in the background."""
    deadline = time.monotonic() + 60
    while real.request(listening, "/one/", 1) == [502]:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def passed(lines: list[str]) -> str:
    (line,) = [line for line in lines if line.startswith("proxy_pass ")]
    return line.removeprefix("proxy_pass ").removesuffix(";")


def name_in(lines: list[str]) -> str:
    return lines[0].split()[1]


@pytest.mark.parametrize(("lines", "to"), ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_behind_a_variable_is_named_on_every_version(
    lines: list[str], to: str, tmp_path: Path
) -> None:
    text = at(*lines, VERSION, CONNECTION).replace("BACKEND", "127.0.0.1:9000")
    found = added(repair := repaired(tmp_path, text, OLD, NEW))
    assert passed(found) == to.replace("NAME", name_in(found))
    assert "server 127.0.0.1:9000;" in found
    assert "proxy_set_header Host 127.0.0.1:9000;" in found
    # Without variables nginx would begin to rewrite redirects by default.
    assert ("proxy_redirect off;" in found) == ("$" not in to)
    assert len(removed(repair)) == 1


@pytest.mark.parametrize(("lines", "to"), NAMED.values(), ids=NAMED)
def test_a_name_goes_on_being_resolved(lines: list[str], to: str, tmp_path: Path) -> None:
    text = at(*lines, VERSION, CONNECTION, around="    resolver 127.0.0.53 valid=10s;\n")
    found = added(repaired(tmp_path, text.replace("PORT", "9000"), NEW))
    name = name_in(found)
    assert found[:6] == [
        f"upstream {name} {{",
        f"zone {name} 64k;",
        f"server {HOST}:9000 resolve;",
        "resolver 127.0.0.53 valid=10s;",
        "keepalive 32;",
        "}",
    ]
    assert passed(found) == to.replace("NAME", name)


@pytest.mark.parametrize(
    ("lines", "around", "nginx_versions", "reason"),
    [
        (["set $to app.test;", "proxy_pass http://$to;"], RESOLVER, [OLD, NEW], "needs 1.27.3"),
        (["set $to app.test;", "proxy_pass http://$to;"], "", [NEW], "no resolver is here"),
        (["set $to 10.0.0.1;", "proxy_pass http://$to/two;"], "", [NEW], "the rest of the request's path"),
        (
            ["set $to 10.0.0.1;", "if ($arg_a) { set $to 10.0.0.2; }", "proxy_pass http://$to;"],
            "",
            [NEW],
            "may be http://10.0.0.1, http://10.0.0.2",
        ),
        (["proxy_pass http://$arg_to;"], RESOLVER, [NEW], "each request decides what http://$arg_to"),
        (["proxy_pass http://$arg_to:81;"], RESOLVER, [NEW], "each request decides what http://$arg_to:81"),
        (["proxy_pass http://$arg_to:81;"], "", [OLD], "each request decides"),
    ],
)
def test_what_would_not_be_the_same_is_refused(
    lines: list[str], around: str, nginx_versions: list[str], reason: str, tmp_path: Path
) -> None:
    repair = repaired(tmp_path, at(*lines, VERSION, CONNECTION, around=around), *nginx_versions)
    assert not repair.after
    assert [reason in refusal.reason for refusal in repair.skipped] == [True], repair.skipped


@needs.unless(bool(PROGRAMS), "nginx")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize("lines", [row[0] for row in ADDRESSES.values()], ids=ADDRESSES)
def test_reuse_behind_a_variable_is_proven_and_nothing_else_changes(
    lines: list[str], version: str, tmp_path: Path
) -> None:
    recorder = Recorder()
    with real.serving(recorder.exchange) as server:
        text = at(*lines).replace("BACKEND", server.address)
        before = exchanged(PROGRAMS[version], tmp_path, text, server, recorder)
        accepted = server.accepted
        after = repaired(tmp_path, text, version).after[str(tmp_path / "site.conf")]
        assert exchanged(PROGRAMS[version], tmp_path, after, server, recorder) == before
        assert (accepted, server.accepted - accepted) == (real.REQUESTS, 1)


@needs.unless(bool(FOLLOWS), f"nginx {versions.RESOLVE} or newer", needs.REMEDIES["nginx@wheel"])
@pytest.mark.parametrize("version", FOLLOWS)
@pytest.mark.parametrize("lines", [row[0] for row in NAMED.values()], ids=NAMED)
def test_reuse_of_a_resolved_name_is_proven_and_nothing_else_changes(
    lines: list[str], version: str, tmp_path: Path
) -> None:
    recorder = Recorder()
    with real.serving(recorder.exchange) as server, resolving() as resolver:
        text = at(*lines, around=RESOLVER).replace("RESOLVER", resolver.address)
        text = text.replace("PORT", server.address.rpartition(":")[2])
        before = exchanged(FOLLOWS[version], tmp_path, text, server, recorder)
        accepted, queried = server.accepted, len(resolver.queries)
        repair = repaired(tmp_path, text, version)
        assert repair.resolved_in_background == repair.repaired
        after = repair.after[str(tmp_path / "site.conf")]
        assert exchanged(FOLLOWS[version], tmp_path, after, server, recorder, until=resolved) == before
        assert (accepted, server.accepted - accepted) == (real.REQUESTS, 1)
        assert set(resolver.queries[queried:]) == {HOST}
