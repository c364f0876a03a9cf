"""What the servers of an upstream {} do with its pool in turn: what is expected, and what traffic shows."""

from __future__ import annotations

import pytest
from prove.proving import here, needs_nginx, outcome

from bench.prove import balancing
from bench.prove.balancing import Turns
from bench.prove.inventory import MOST_ADDRESSES, MOST_SERVERS, Spot, scene
from nginx import versions
from prove.configurations import model

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
OLD = versions.parse("1.22.1")
every_version = pytest.mark.parametrize("version", here())


def text(lines: str, said: str = KEPT) -> str:
    return f"upstream app {{ {lines} }} server {{ location / {{ proxy_pass http://app; {said} }} }}"


def spot(lines: str, said: str = KEPT) -> Spot:
    return scene(model(text(lines, said))).spots[0]


def counted(of: Spot, *counts: tuple[int, int]) -> Turns:
    return balancing.turns(of, OLD, counts)


TWO = "server a; server b;"


@pytest.mark.parametrize(
    ("lines", "said", "expected"),
    [
        (f"{TWO} keepalive 2;", KEPT, "one each"),
        (f"{TWO} keepalive 1;", KEPT, "none kept"),
        (f"least_conn; {TWO} keepalive 1;", KEPT, "none kept"),
        ("server a weight=2; server b; keepalive 1;", KEPT, None),
        (f"ip_hash; {TWO} keepalive 1;", KEPT, None),
        (f"random; {TWO} keepalive 1;", KEPT, None),
        ("server a; server b backup; keepalive 1;", KEPT, "one each"),
        ("server a; server b down; keepalive 1;", KEPT, "one each"),
        (f"{TWO}", KEPT, "none kept"),
        (f"{TWO} keepalive 2;", "", "none kept"),
        (f"{TWO} keepalive 2;", "include missing.conf;", None),
    ],
)
def test_what_is_expected(lines: str, said: str, expected: str | None) -> None:
    assert counted(spot(lines, said), (4, 1), (4, 1)).expected == expected


@pytest.mark.parametrize(
    ("lines", "counts", "said"),
    [
        (f"{TWO} keepalive 2;", [(4, 1), (4, 1)], None),
        (f"{TWO} keepalive 2;", [(4, 1), (4, 2)], "2 connections are expected"),
        (f"{TWO} keepalive 1;", [(4, 4), (4, 4)], None),
        (f"{TWO} keepalive 1;", [(4, 4), (4, 3)], "1 did"),
        (f"{TWO} keepalive 2; keepalive_requests 2;", [(4, 2), (4, 2)], None),
        (f"{TWO} keepalive 2; keepalive_requests 2;", [(4, 2), (4, 3)], "4 connections are expected"),
        ("server a; server b down; keepalive 2;", [(8, 1), (0, 0)], None),
    ],
)
def test_what_speaks_against_it(lines: str, counts: list[tuple[int, int]], said: str | None) -> None:
    found = counted(spot(lines), *counts).disagreement
    assert (found is None) if said is None else (found is not None and said in found)


def test_locations_with_one_server_have_no_turns_and_ports_are_not_endless() -> None:
    many = "".join(f"server 10.0.0.{number};" for number in range(MOST_SERVERS))
    assert balancing.apart(scene(model(text("server a;")))) == {}
    assert balancing.apart(scene(model(text(many)))) == {1: MOST_SERVERS}
    assert balancing.apart(scene(model(text(f"{many} server b;")))) == {}
    locations = " ".join(f"location /{number} {{ proxy_pass http://app; }}" for number in range(300))
    found = scene(model(f"upstream app {{ {many} }} server {{ {locations} }}"))
    told = balancing.apart(found)
    assert len(told) < len(found.spots) == 300
    assert sum(told.values()) + len(found.spots) - len(told) <= MOST_ADDRESSES


SHOWN = {
    "a pool for both": (f"{TWO} keepalive 2;", [(4, 1), (4, 1)]),
    "a pool for one of two": (f"{TWO} keepalive 1;", [(4, 4), (4, 4)]),
    "a pool for two of three": (f"{TWO} server c; keepalive 2;", [(4, 4), (4, 4), (4, 4)]),
    "weights": ("server a weight=3; server b; keepalive 2;", [(6, 1), (2, 1)]),
    "a backup": ("server a; server b backup; keepalive 1;", [(8, 1), (0, 0)]),
    "one that is down": ("server a; server b down; keepalive 1;", [(8, 1), (0, 0)]),
    "by the client's address": (f"ip_hash; {TWO} keepalive 1;", [(0, 0), (8, 1)]),
}


@needs_nginx
@every_version
@pytest.mark.parametrize("name", SHOWN)
def test_servers_in_turn(name: str, version: str) -> None:
    """NK022, by traffic: a pool that holds no connection for each server keeps none in turn."""
    lines, expected = SHOWN[name]
    found = outcome(text(lines), version)
    assert found.measured is not None
    assert (found.measured.answer, found.agrees) == ("reused", True)  # whatever servers do in turn
    assert found.turns is not None
    counts = [(share.requests, share.connections) for share in found.turns.shares]
    # Which server a hash chooses is its own affair.
    assert sorted(counts) == sorted(expected)
