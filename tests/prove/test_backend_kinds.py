"""Servers as people run them, behind real nginx: what each kind does to requests."""

from __future__ import annotations

import pytest

from bench.errors import PlanError
from bench.prove.backend_kinds import ANY, KINDS, BackendKind, check_kinds, kind_of, limited_kinds
from bench.prove.inventory import build_inventory
from bench.prove.proof import LocationResult
from nginx import versions
from nginx.idle_times import BACKEND_IDLE_S
from tests.proving import KEPT, any_nginx, every_version, last_location, model, needs_nginx, prove_last

POOL = "upstream app { server 10.0.0.1; keepalive 8; }"
PASS = f"location / {{ proxy_pass http://app; {KEPT} }}"
BOTH_LENGTHS_REFUSED = versions.parse("1.23.0")
PHP = "location / { fastcgi_pass app; fastcgi_keep_conn on; }"
GRPC = "location / { grpc_pass app; }"


def test_the_table_is_that_of_check() -> None:
    shared = set(KINDS) & set(BACKEND_IDLE_S)
    assert {name: KINDS[name].idle_s for name in shared} == {name: BACKEND_IDLE_S[name] for name in shared}
    assert set(BACKEND_IDLE_S) - shared <= {"alb"}, "each server that check knows can be played"
    assert all(kind.source for kind in KINDS.values())


@pytest.mark.parametrize(
    ("location", "like", "wanted"),
    [
        (PASS, {"": "node"}, "node"),
        (PASS, {"app": "puma", "": "node"}, "puma"),
        (PASS, {"other": "puma"}, None),
        (PASS, {"APP": "puma"}, "puma"),
        (PASS, {"": "php-fpm"}, None),
        (PHP, {"": "php-fpm"}, "php-fpm"),
        (GRPC, {"": "grpc-ping"}, "grpc-ping"),
        ("location / { proxy_pass http://10.0.0.9:81/x; }", {"10.0.0.9:81": "node"}, "node"),
        ("location / { fastcgi_pass unix:/run/php.sock; }", {"unix:/run/php.sock": "php-fpm"}, "php-fpm"),
        ("location / { fastcgi_pass 127.0.0.1:9000; }", {"127.0.0.1:9000": "php-fpm"}, "php-fpm"),
    ],
)
def test_whose_kind_it_is(location: str, like: dict[str, str], wanted: str | None) -> None:
    found = last_location(f"{POOL} server {{ {location} }}")
    kind = kind_of(found, found.peers[0], {name: KINDS[kind] for name, kind in like.items()})
    assert (kind and kind.name) == wanted


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"": "php-fpm"}, "speaks fastcgi, but what passes to it speaks http"),
        ({"ap": "node"}, "there is app"),
    ],
)
def test_a_kind_for_nothing_is_misuse(like: dict[str, str], message: str) -> None:
    found = build_inventory(model(f"{POOL} server {{ {PASS} }}"))
    with pytest.raises(PlanError, match=message):
        check_kinds(found, {name: KINDS[kind] for name, kind in like.items()})


def test_a_number_of_connections_is_a_behaviour_of_its_own() -> None:
    assert limited_kinds({"": KINDS["php-fpm"]}, {"app": 64})["app"].processes == 64
    assert limited_kinds({}, {"": 3})[""] == BackendKind("server", ANY, "", processes=3)


# By traffic


def proven(location: str, version: str, kind: str, pool: str = POOL, **more: int) -> LocationResult:
    return prove_last(f"{pool} server {{ {location} }}", version, like={"": KINDS[kind]}, **more)


pytestmark = needs_nginx

# A kind, a location, and what it does to requests one after the other: connections for 9, and statuses.
COUNTED = {
    "closes": ("gunicorn-sync", PASS, 9, {200: 9}),
    "answers in HTTP/1.0": ("http-1.0", PASS, 9, {200: 9}),
    "cannot speak HTTP/1.1": ("http-1.0-only", PASS, 9, {505: 9}),
    "sends both lengths": ("both-lengths", PASS, 9, {502: 9}),
    "has no content": ("no-content", PASS, 1, {204: 9}),
    "is empty": ("empty", PASS, 1, {200: 9}),
    "keeps": ("node", PASS, 1, {200: 9}),
    "one process is enough": ("php-fpm", PHP, 1, {200: 9}),
    "gRPC": ("grpc", GRPC, 1, {200: 9}),
}


@every_version
@pytest.mark.parametrize("name", COUNTED)
def test_what_a_kind_does_to_requests_in_turn(name: str, version: str) -> None:
    kind, location, connections, statuses = COUNTED[name]
    if name == "sends both lengths" and versions.parse(version) < BOTH_LENGTHS_REFUSED:
        connections, statuses = 1, {200: 9}
    found = proven(location, version, kind)
    assert found.measured is not None
    assert (found.measured.connections, dict(found.measured.statuses)) == (connections, statuses)
    assert found.disagreement is None


@every_version
def test_a_request_meets_the_close_of_an_idle_server(version: str) -> None:
    """GET is sent again; POST is not, and becomes a 502 (NK021)."""
    found = proven(PASS, version, "node").idle_end
    assert found is not None
    assert [(each.method, each.status, each.connections) for each in found.requests] == [
        ("GET", 200, 1),
        ("POST", 502, 0),
    ]


@every_version
@pytest.mark.parametrize("fails", ["", "max_fails=1 fail_timeout=1h", "max_fails=0"])
def test_no_step_meets_servers_that_failed_in_the_one_before(fails: str, version: str) -> None:
    """One server closes at a time: its GET goes to the other one, and neither is missing under load."""
    pool = f"upstream app {{ server a {fails}; server b {fails}; keepalive 16; }}"
    found = proven(PASS, version, "node", pool, in_flight=4)
    assert found.idle_end is not None
    assert [(each.method, each.status) for each in found.idle_end.requests] == [("GET", 200), ("POST", 502)]
    assert found.in_flight is not None
    assert (found.in_flight.share, set(found.in_flight.statuses)) == (1.0, {200})


@pytest.mark.parametrize(
    ("servers", "left_out_s"),
    [
        ("server a;", None),
        ("server a; server b down;", None),
        ("server a; server b;", 10.0),
        ("server a max_fails=0; server b max_fails=3;", None),
        ("server a fail_timeout=1m30s; server b;", 90.0),
        ("server a fail_timeout=0; server b fail_timeout=0;", None),
    ],
)
def test_how_long_one_failure_costs_a_server_its_requests(servers: str, left_out_s: float | None) -> None:
    (upstream,) = model(f"upstream app {{ {servers} }}").upstreams
    assert upstream.left_out_s == left_out_s


@every_version
def test_without_retries_no_request_survives_it(version: str) -> None:
    found = proven(f"proxy_next_upstream off; {PASS}", version, "puma")
    assert found.idle_end is not None
    assert [each.status for each in found.idle_end.requests] == [502, 502]
    assert set(found.failures) == {
        "status 502 to a GET at the end of the idle time",
        "status 502 to a POST at the end of the idle time",
    }


@every_version
@pytest.mark.parametrize(("timeout", "is_lost"), [("4s", False), ("5s", True)])
def test_nothing_is_lost_where_nginx_closes_first(timeout: str, *, is_lost: bool, version: str) -> None:
    pool = f"upstream app {{ server a; keepalive 8; keepalive_timeout {timeout}; }}"
    found = proven(PASS, version, "node", pool).idle_end
    assert found is not None
    assert bool(found.failed) is is_lost


@every_version
def test_a_ping_ends_an_idle_connection(version: str) -> None:
    found = proven(GRPC, version, "grpc-ping").idle_end
    assert found is not None
    assert [(each.status, each.connections) for each in found.requests] == [(200, 1)]
    later = proven(GRPC, version, "grpc").idle_end
    assert later is not None
    assert later.requests == (), "nginx closes long before the PING comes"


@pytest.mark.parametrize(
    ("processes", "unanswered"),
    [(4, 0), *(pytest.param(*each, marks=pytest.mark.long) for each in ((3, 1), (1, 3)))],
)
def test_idle_connections_hold_the_processes_that_others_wait_for(processes: int, unanswered: int) -> None:
    kind = {"": BackendKind("php-fpm", ("fastcgi",), "", processes=processes)}
    found = prove_last(f"{POOL} server {{ {PHP} }}", any_nginx().version, like=kind, in_flight=4).in_flight
    assert found is not None
    assert found.unanswered == unanswered


@pytest.mark.parametrize(("workers", "is_starved"), [(1, False), (2, True)])
def test_the_pools_of_all_workers_hold_processes(workers: int, *, is_starved: bool) -> None:
    """A pool below the number of processes is too large all the same where each worker has one."""
    kind = {"": BackendKind("php-fpm", ("fastcgi",), "", processes=24)}
    pool = "upstream app { server 10.0.0.1; keepalive 20; }"
    text = f"{pool} server {{ {PHP} }}"
    found = prove_last(text, any_nginx().version, like=kind, workers=workers).in_flight
    assert found is not None
    assert (found.in_flight, found.workers) == (25, workers)
    assert bool(found.unanswered) is is_starved
