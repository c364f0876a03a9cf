"""Requests in flight at once: the share that finds a connection, expected and by traffic."""

from __future__ import annotations

import pytest

from bench.prove.in_flight import InFlight
from nginx import versions
from nginx.verdict import compute_verdict
from tests.proving import KEPT, any_nginx, every_version, last_location, needs_nginx, prove, prove_last

OLD = versions.parse("1.22.1")


def text(lines: str, inside: str = KEPT) -> str:
    return f"upstream app {{ {lines} }} server {{ location / {{ proxy_pass http://app; {inside} }} }}"


def counted(
    lines: str, requests: int, connections: int, *, in_flight: int = 8, inside: str = KEPT
) -> InFlight:
    verdict = compute_verdict(last_location(text(lines, inside)).pass_location, OLD, in_flight)
    return InFlight(in_flight, requests, connections, verdict)


@pytest.mark.parametrize(
    ("lines", "inside", "connections", "disagrees"),
    [
        ("server a; keepalive 8;", KEPT, 0, False),
        ("server a; keepalive 8;", KEPT, 3, False),
        ("server a; keepalive 8;", KEPT, 4, True),
        ("server a; keepalive 4;", KEPT, 16, False),
        ("server a; keepalive 4;", KEPT, 10, False),
        ("server a; keepalive 4;", KEPT, 17, True),
        ("server a; keepalive 4;", KEPT, 32, True),
        ("server a;", KEPT, 32, False),
        ("server a;", KEPT, 31, True),
        ("server a; keepalive 8;", "", 32, False),
    ],
)
def test_disagreements(lines: str, inside: str, connections: int, *, disagrees: bool) -> None:
    found = counted(lines, 32, connections, inside=inside)
    assert (found.disagreement is not None) is disagrees


def test_what_chance_decides_is_not_held_against_check() -> None:
    found = counted("random; server a; server b; keepalive 8;", 32, 20)
    assert InFlight(8, 32, 20, found.predicted, 2, is_in_turn=False).disagreement is None


def test_without_answers_there_is_no_share() -> None:
    found = InFlight(8, 0, 0, counted("server a;", 1, 1).predicted, unanswered=8)
    assert found.share is None
    assert found.disagreement is None


pytestmark = needs_nginx

# Lines of an upstream {}, how many are in flight, and the share that reuses.
SHARES = {
    "large enough": ("server a; keepalive 8;", 8, 1.0),
    "half of it": ("server a; keepalive 8;", 16, 0.5),
    "an eighth": ("server a; keepalive 1;", 8, 0.125),
    "no pool": ("server a;", 4, 0.0),
    "two servers, large enough": ("server a; server b; keepalive 8;", 8, 1.0),
    "two servers, half of it": ("server a; server b; keepalive 8;", 16, 0.5),
    "two servers, none for the other": ("server a; server b; keepalive 3;", 3, 2 / 3),
    "two servers, one for the other": ("server a; server b; keepalive 4;", 3, 1.0),
    "weights": ("server a weight=3; server b; keepalive 2;", 2, 0.5),
    "weights by connections": ("least_conn; server a weight=3; server b; keepalive 2;", 2, 1.0),
}


@every_version
@pytest.mark.parametrize("name", SHARES)
def test_the_share_that_reuses(name: str, version: str) -> None:
    lines, in_flight, share = SHARES[name]
    if version >= "1.29" and name == "no pool":
        lines += " keepalive 0;"
    found = prove_last(text(lines), version, in_flight=in_flight)
    assert found.in_flight is not None
    assert found.in_flight.share == pytest.approx(share)
    assert found.in_flight.unanswered == 0
    assert found.agrees
    assert found.predicted.answer == {1.0: "reused", 0.0: "not reused"}.get(share, "partly reused")


@pytest.mark.parametrize("listen", ["listen 80;", "listen 443 ssl http2;"])
def test_all_protocols_and_clients(listen: str) -> None:
    passes = {
        "proxy_pass http://app;": KEPT,
        "proxy_pass https://app;": KEPT,
        "grpc_pass app;": "",
        "fastcgi_pass app;": "fastcgi_keep_conn on;",
        "uwsgi_pass app;": "",
        "memcached_pass app;": "set $memcached_key k;",
    }
    servers = " ".join(
        f"upstream app{number} {{ server a; keepalive 2; }}"
        f" server {{ {listen} location / {{ {lines} {passed.replace('app', f'app{number}')} }} }}"
        for number, (passed, lines) in enumerate(passes.items())
    )
    found = prove(servers, any_nginx().version, in_flight=4)
    assert [each.in_flight and each.in_flight.share for each in found.results] == [
        0.5,
        0.5,
        0.5,
        0.5,
        0.0,
        0.5,
    ]
    assert found.is_sound


def test_a_location_of_subrequests_is_not_put_under_load() -> None:
    lines = f"location / {{ auth_request /a; proxy_pass http://app; {KEPT} }}"
    asked = f"location = /a {{ internal; proxy_pass http://app; {KEPT} }}"
    found = prove(
        f"upstream app {{ server a; keepalive 8; }} server {{ {lines} {asked} }}",
        any_nginx().version,
        in_flight=4,
    )
    whole, subrequest = found.results
    assert whole.in_flight is not None
    assert whole.in_flight.share == 1.0
    assert subrequest.in_flight is None
