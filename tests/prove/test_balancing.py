"""Load balancing over the servers of an upstream {}: what is expected, and what traffic shows."""

from __future__ import annotations

import pytest

from bench.prove import balancing
from bench.prove.balancing import Balancing
from bench.prove.inventory import MAX_BACKEND_PORTS, MAX_UPSTREAM_SERVERS, Location, build_inventory
from nginx import versions
from tests.proving import KEPT, every_version, last_location, model, needs_nginx, prove_last

OLD = versions.parse("1.22.1")


def text(lines: str, inside: str = KEPT) -> str:
    return f"upstream app {{ {lines} }} server {{ location / {{ proxy_pass http://app; {inside} }} }}"


def location(lines: str, inside: str = KEPT) -> Location:
    return last_location(text(lines, inside))


def counted(of: Location, *counts: tuple[int, int]) -> Balancing:
    return balancing.summarize_balancing(of, OLD, counts)


TWO = "server a; server b;"


@pytest.mark.parametrize(
    ("lines", "inside", "expected"),
    [
        (f"{TWO} keepalive 2;", KEPT, "one per server"),
        (f"{TWO} keepalive 1;", KEPT, "none kept"),
        (f"least_conn; {TWO} keepalive 1;", KEPT, "none kept"),
        ("server a weight=2; server b; keepalive 1;", KEPT, None),
        (f"ip_hash; {TWO} keepalive 1;", KEPT, None),
        (f"random; {TWO} keepalive 1;", KEPT, None),
        ("server a; server b backup; keepalive 1;", KEPT, "one per server"),
        ("server a; server b down; keepalive 1;", KEPT, "one per server"),
        (f"{TWO}", KEPT, "none kept"),
        (f"{TWO} keepalive 2;", "", "none kept"),
        (f"{TWO} keepalive 2;", "include missing.conf;", None),
    ],
)
def test_what_is_expected(lines: str, inside: str, expected: str | None) -> None:
    assert counted(location(lines, inside), (4, 1), (4, 1)).expected == expected


@pytest.mark.parametrize(
    ("lines", "counts", "message"),
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
def test_disagreements(lines: str, counts: list[tuple[int, int]], message: str | None) -> None:
    found = counted(location(lines), *counts).disagreement
    assert (found is None) if message is None else (found is not None and message in found)


def test_one_server_is_not_balanced_and_ports_are_limited() -> None:
    many = "".join(f"server 10.0.0.{number};" for number in range(MAX_UPSTREAM_SERVERS))
    assert balancing.separate_servers(build_inventory(model(text("server a;")))) == {}
    assert balancing.separate_servers(build_inventory(model(text(many)))) == {1: MAX_UPSTREAM_SERVERS}
    assert balancing.separate_servers(build_inventory(model(text(f"{many} server b;")))) == {}
    locations = " ".join(f"location /{number} {{ proxy_pass http://app; }}" for number in range(300))
    found = build_inventory(model(f"upstream app {{ {many} }} server {{ {locations} }}"))
    separate = balancing.separate_servers(found)
    assert len(separate) < len(found.locations) == 300
    assert sum(separate.values()) + len(found.locations) - len(separate) <= MAX_BACKEND_PORTS


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
def test_connections_for_few_requests(version: str) -> None:
    found = prove_last(text("server a; keepalive 9; keepalive_requests 2;"), version)
    assert found.measured is not None
    assert (found.measured.verdict, found.agrees) == ("partly reused", True)


@needs_nginx
@every_version
@pytest.mark.parametrize("name", SHOWN)
def test_load_balancing(name: str, version: str) -> None:
    """NK022, by traffic: a pool that cannot hold a connection for each server keeps none."""
    lines, expected = SHOWN[name]
    found = prove_last(text(lines), version)
    assert found.measured is not None
    assert (found.measured.verdict, found.agrees) == ("reused", True)  # however they are balanced
    assert found.balancing is not None
    counts = [(server.requests, server.connections) for server in found.balancing.servers]
    # A hash may choose either server.
    assert sorted(counts) == sorted(expected)
