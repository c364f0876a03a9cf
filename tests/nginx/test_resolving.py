"""Targets with variables that nginx looks up for each request: without a resolver each one is a 502."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx.check import check
from tests import needs
from tests.nginx import real

PROGRAMS = real.programs()
HOST = "set $h localhost; proxy_pass http://$h:PORT;"
OTHER = "location /other { proxy_pass http://localhost:PORT; }"
CASES = {
    "a host": (HOST, "", 502),
    "only the path": ("proxy_pass http://localhost:PORT$request_uri;", "", 502),
    "an address": ("set $h 127.0.0.1; proxy_pass http://$h:PORT;", "", 200),
    "without variables": ("proxy_pass http://localhost:PORT;", "", 200),
    "a literal target elsewhere": (HOST, OTHER, 200),
    "in another case": (HOST.replace("localhost", "LocalHost"), OTHER, 200),
    "a literal target with another port": (HOST, OTHER.replace("PORT", "1"), 502),
    "a literal target of another protocol": (HOST, "location /o { fastcgi_pass localhost:PORT; }", 200),
}


@pytest.mark.parametrize("name", CASES)
def test_what_needs_a_resolver(name: str) -> None:
    lines, around, status = CASES[name]
    text = f"events {{}} http {{ server {{ {around} location / {{ {lines} }} }} }}".replace("PORT", "8080")
    found = check("x", ["1.22.1"], text=text)
    verdict = found.locations[-1].verdicts["1.22.1"]
    assert verdict.answer == "not reused"
    assert ("no resolver" in verdict.reason) == (status == 502)
    assert ("no resolver" in str(found.to_json()["findings"])) == (status == 502)


@needs.unless(bool(PROGRAMS), "nginx")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize("name", CASES)
def test_by_traffic(name: str, version: str, tmp_path: Path) -> None:
    lines, around, status = CASES[name]
    with real.serving(real.http_exchange) as server:
        text = f"server {{ listen SOCKET; {around} location / {{ {lines} }} }}"
        text = text.replace("PORT", server.address.rpartition(":")[2])
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening, "/", 1) == [status]


@pytest.mark.parametrize(
    "text",
    [
        "server { location / { proxy_pass http://$host$uri; } }",
        "http { resolver 127.0.0.53; server { location / { proxy_pass http://$host; } } }",
        "http { include more.conf; server { location / { proxy_pass http://$host; } } }",
        "http { upstream app { server a; } server { location / { set $h app; proxy_pass http://$h; } } }",
        "http { server { location / { set $h unix:/run/a.sock; proxy_pass http://$h; } } }",
    ],
)
def test_where_nothing_is_to_be_looked_up_or_more_may_follow(text: str) -> None:
    found = check("x", ["1.22.1"], text=text)
    assert "no resolver" not in str(found.to_json())


def test_a_host_of_the_client_is_named_as_written() -> None:
    found = check("x", ["1.22.1"], text="http { server { location / { proxy_pass http://$http_host; } } }")
    assert "look up http://$http_host" in found.locations[0].verdicts["1.22.1"].reason


def test_an_empty_target_gets_its_value_elsewhere() -> None:
    text = "server { location / { set $target ''; proxy_pass $target; } }"
    (location,) = check("x", ["1.31.4"], text=text).locations
    assert location.verdicts["1.31.4"].answer == "depends"
