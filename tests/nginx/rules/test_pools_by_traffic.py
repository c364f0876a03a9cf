"""What rules say about pools that are missing, limited or apart, seen by a counting server."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx import versions
from tests.nginx import real
from tests.nginx.rules.proving import KEPT, POOL, PROGRAMS, accepted, flagged, proves, site

REQUESTS = 6


def is_new(version: str) -> bool:
    return versions.parse(version) >= versions.POOL_BY_DEFAULT


LIMITS = [
    # rule, lines of the server {}, lines of the upstream {}, whether it is flagged,
    # connections before 1.29.7 and since
    ("NK017", "keepalive_requests 2;", "", True, (REQUESTS, 1)),
    ("NK017", "", "keepalive 8; keepalive_requests 2;", False, (3, 3)),
    ("NK018", "", "keepalive_requests 2;", True, (REQUESTS, 3)),
    ("NK018", "", "keepalive 8; keepalive_requests 2;", False, (3, 3)),
    ("NK020", "", "keepalive 8; keepalive_requests 3;", True, (2, 2)),
    ("NK020", "", "keepalive 8; keepalive_requests 1;", True, (REQUESTS, REQUESTS)),
    ("NK020", "", "keepalive 8; keepalive_timeout 0;", True, (REQUESTS, REQUESTS)),
    ("NK020", "", "keepalive 8; keepalive_requests 1000;", False, (1, 1)),
]


@proves("NK017", "NK018", "NK020")
@pytest.mark.parametrize(("rule", "around", "lines", "is_flagged", "connections"), LIMITS)
def test_a_limit_counts_where_a_pool_is(
    version: str,
    rule: str,
    around: str,
    lines: str,
    *,
    is_flagged: bool,
    connections: tuple[int, int],
    tmp_path: Path,
) -> None:
    text = f"upstream app {{ server BACKEND; {lines} }}\n"
    text += f"server {{ listen SOCKET; {KEPT} {around} location / {{ proxy_pass http://app; }} }}"
    assert (rule in flagged(text, version)) == is_flagged
    assert accepted(version, tmp_path, text, ["/"] * REQUESTS) == connections[is_new(version)]


@proves("NK038")
@pytest.mark.parametrize(
    ("target", "line", "connections", "is_flagged"),
    [
        ("BACKEND", "proxy_socket_keepalive on;", REQUESTS, True),
        ("BACKEND", "", REQUESTS, False),
        ("app", "proxy_socket_keepalive on;", 1, False),
    ],
)
def test_probes_of_tcp_make_no_connection_reusable(
    version: str, target: str, line: str, connections: int, *, is_flagged: bool, tmp_path: Path
) -> None:
    text = site(f"location / {{ proxy_pass http://{target}; {KEPT} {line} }}")
    assert ("NK038" in flagged(text, version)) == is_flagged
    assert accepted(version, tmp_path, text, ["/"] * REQUESTS) == connections


@proves("NK048")
@pytest.mark.parametrize("target", ["BACKEND", "app"])
def test_who_closes_first_without_a_pool(version: str, target: str, tmp_path: Path) -> None:
    text = site(f"location / {{ proxy_pass http://{target}; }}")
    is_flagged = is_new(version) and target == "BACKEND"
    with real.serving(real.http_exchange) as server:
        text = text.replace("BACKEND", server.address)
        assert ("NK048" in flagged(text, version)) == is_flagged
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening) == [200] * real.REQUESTS
            assert not is_flagged or server.was_left(real.REQUESTS)
            assert server.left == (real.REQUESTS if is_flagged else 0)


@proves("NK051")
@pytest.mark.parametrize(("name", "connections"), [("local-host", REQUESTS), ("localhost", 1)])
def test_a_name_that_is_misspelt_is_taken_for_a_host(
    version: str, name: str, connections: int, tmp_path: Path
) -> None:
    """The host is this machine, whose default port no server of the test has."""
    text = site(f"location / {{ proxy_pass http://localhost:PORT; {KEPT} }}", POOL.replace("app", name))
    with real.serving(real.http_exchange) as server:
        port = server.address.rpartition(":")[2] if name != "localhost" else ""
        text = text.replace(":PORT", f":{port}".rstrip(":")).replace("BACKEND", server.address)
        assert ("NK051" in flagged(text, version)) == (name != "localhost")
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening, count=REQUESTS) == [200] * REQUESTS
        assert server.accepted == connections


@proves("NK051")
@pytest.mark.parametrize(("other", "connections"), [("other", 2), ("app", 1)])
def test_pools_to_the_same_server_are_apart(
    version: str, other: str, connections: int, tmp_path: Path
) -> None:
    pools = POOL + (POOL.replace("app", other) if other != "app" else "")
    text = site(
        f"location / {{ proxy_pass http://app; {KEPT} }} location /b {{ proxy_pass http://{other}; {KEPT} }}",
        pools,
    )
    assert ("NK051" in flagged(text, version)) == (other != "app")
    assert accepted(version, tmp_path, text, ["/", "/b"] * 3) == connections
