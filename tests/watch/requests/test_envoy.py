"""Envoy's admin interface as a source: hosts and listeners, failures, restarts, odd pages."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from bench.subjects import programs
from bench.watch import requests
from bench.watch.model import Direction
from bench.watch.requests import RequestSource
from bench.watch.requests.envoy import parse_stats
from bench.watch.requests.source import SourceError
from tests import needs
from tests.nginx import real
from tests.watch.requests.counted import Flow, assert_counted
from tests.watch.requests.scripted_server import http, scripted

OUTGOING, INCOMING = Direction.OUTGOING, Direction.INCOMING
_PATIENCE_S = 60


def stats(values: Mapping[str, int]) -> bytes:
    """Return the answer to /stats."""
    listed: list[dict[str, object]] = [{"name": name, "value": value} for name, value in values.items()]
    return http(json.dumps({"stats": [*listed, {"histograms": {}}]}))


def host(address: str, port: int, **values: int) -> dict[str, object]:
    """Return a host as /clusters shows it: as protobuf does, numbers are texts, and zeros are left out."""
    shown = [{"name": name, **({"value": str(value)} if value else {})} for name, value in values.items()]
    return {"address": {"socket_address": {"address": address, "port_value": port}}, "stats": shown}


def clusters(**hosts: list[dict[str, object]]) -> bytes:
    """Return the answer to /clusters."""
    listed = [{"name": name, "host_statuses": each} for name, each in hosts.items()]
    return http(json.dumps({"cluster_statuses": listed}))


def flows(source: RequestSource) -> set[Flow]:
    return {
        (each.direction, each.port, each.peer, each.requests, each.failed, each.connections)
        for each in source.read()
    }


def test_hosts_and_listeners() -> None:
    listener = "listener.0.0.0.0_10000"
    first = {
        f"{listener}.downstream_cx_total": 10,
        f"{listener}.worker_0.downstream_cx_total": 10,
        f"{listener}.http.front.downstream_rq_completed": 100,
        "listener.0.0.0.0_6379.downstream_cx_total": 5,
        "listener.admin.downstream_cx_total": 3,
        "listener.admin.http.admin.downstream_rq_completed": 50,
        "listener.named.downstream_cx_total": 1,
        "listener.named.http.other.downstream_rq_completed": 1,
    }
    second = first | {
        f"{listener}.downstream_cx_total": 12,
        f"{listener}.http.front.downstream_rq_completed": 130,
        "listener.admin.http.admin.downstream_rq_completed": 52,
        "listener.named.http.other.downstream_rq_completed": 4,
    }
    script = [
        stats(first),
        clusters(a=[host("10.0.0.1", 80, cx_total=2, rq_total=40, cx_connect_fail=0)], b=[]),
        stats(second),
        clusters(
            a=[
                host("10.0.0.1", 80, cx_total=9, cx_connect_fail=4, rq_total=60),
                host("10.0.0.2", 80, cx_total=1, rq_total=1),  # new: it counts from zero
            ],
            b=[
                host("2001:db8::1", 443, cx_total=1, rq_total=7),
                host("10.0.0.9", 6379, cx_total=4, rq_total=0),  # it takes TCP
                {"address": {"pipe": {"path": "/run/app.sock"}}, "stats": []},
            ],
        ),
    ]
    with scripted(script) as admin:
        source = requests.open_source(f"envoy:http://{admin.where}")
        assert flows(source) == {
            (INCOMING, 10000, None, 30, 0, 2),
            (INCOMING, None, None, 3, 0, 0),
            (OUTGOING, 80, "10.0.0.1", 20, 0, 3),
            (OUTGOING, 80, "10.0.0.2", 1, 0, 1),
            (OUTGOING, 443, "2001:db8::1", 7, 0, 1),
        }
        assert source.notes == ()
        source.close()
        assert admin.accepted == 1
        assert all(
            each.startswith((b"GET /stats?format=json&filter=", b"GET /clusters?format=json "))
            for each in admin.requests
        )


FAILED = [
    # What the cluster counts, the errors of its two hosts, and what each of them may have failed.
    ({}, (7, 3), (0, 0)),
    ({"upstream_rq_502": 2, "upstream_rq_504": 2}, (7, 3), (4, 3)),
    ({"upstream_rq_rx_reset": 1, "upstream_cx_destroy_remote_with_active_rq": 1}, (5, 0), (1, 0)),
]


@pytest.mark.parametrize(("counted", "errors", "failed"), FAILED)
def test_what_failed_is_502_504_and_resets(
    counted: dict[str, int], errors: tuple[int, int], failed: tuple[int, int]
) -> None:
    script = [
        stats({"server.uptime": 1}),
        clusters(),
        stats({"server.uptime": 2} | {f"cluster.a.{name}": value for name, value in counted.items()}),
        clusters(
            a=[
                host("10.0.0.1", 80, cx_total=1, rq_total=10, rq_error=errors[0]),
                host("10.0.0.2", 80, cx_total=1, rq_total=10, rq_error=errors[1]),
            ]
        ),
    ]
    with scripted(script) as admin:
        source = requests.open_source(f"envoy:http://{admin.where}/")
        assert {peer: count for _, _, peer, _, count, _ in flows(source)} == {
            "10.0.0.1": failed[0],
            "10.0.0.2": failed[1],
        }
        source.close()


def test_a_restart_is_seen_by_the_time_it_runs() -> None:
    script = [
        stats({"server.uptime": 500}),
        clusters(a=[host("10.0.0.1", 80, cx_total=2, rq_total=40)]),
        stats({"server.uptime": 3}),
        clusters(a=[host("10.0.0.1", 80, cx_total=5, rq_total=90)]),
    ]
    with scripted(script) as admin:
        source = requests.open_source(f"envoy:http://{admin.where}")
        assert flows(source) == {(OUTGOING, 80, "10.0.0.1", 90, 0, 5)}
        assert "counts from zero again" in source.notes[0]
        source.close()


def test_without_clusters_the_servers_count_together() -> None:
    shown = {"cluster.a.upstream_cx_total": 3, "cluster.a.upstream_cx_connect_fail": 1}
    shown |= {"cluster.a.upstream_rq_total": 9, "cluster.b.c.upstream_rq_total": 1}
    script = [stats({"server.uptime": 1}), http("", "403 Forbidden"), stats(shown), http("", "403 Forbidden")]
    with scripted(script) as admin:
        source = requests.open_source(f"envoy:http://{admin.where}")
        assert flows(source) == {(OUTGOING, None, None, 10, 0, 2)}
        assert source.notes == ("Envoy's /clusters answers 403 Forbidden: its servers are not told apart",)
        source.close()
        assert admin.accepted == 1


def test_statistics_as_text() -> None:
    text = b"cluster.a::b.upstream_rq_total: 9\nserver.uptime: 4\ncluster.a.upstream_rq_time: P0(1,1)\n"
    assert parse_stats(text) == {"cluster.a::b.upstream_rq_total": 9, "server.uptime": 4}


@pytest.mark.parametrize("page", [b"", b"<html></html>", b'{"stats": ['])
def test_pages_that_are_no_statistics(page: bytes) -> None:
    with pytest.raises(SourceError, match="answers with"):
        parse_stats(page)


# With Envoy itself


@contextmanager
def running(folder: Path, upstream: str) -> Iterator[tuple[int, int]]:
    """Run Envoy; yields the ports on which it takes requests and on which its admin answers."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    config = folder / "envoy.json"
    front, admin = ports
    config.write_text(json.dumps(_config(front, admin, upstream)))
    program = programs.find("envoy").path
    command: list[str | Path] = [
        program,
        "-c",
        config,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "off",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while not all(map(_listens, ports)):
                assert process.poll() is None
                assert time.monotonic() < deadline, "Envoy does not listen"
                time.sleep(0.01)
            yield front, admin
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _config(front: int, admin: int, upstream: str) -> dict[str, object]:
    def address(port: int, host: str = "127.0.0.1") -> dict[str, object]:
        return {"socket_address": {"address": host, "port_value": port}}

    extensions = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{extensions}.http.router.v3.Router"}}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
    manager = {
        "@type": f"{extensions}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    host, _, port = upstream.partition(":")
    endpoint = {"endpoint": {"address": address(int(port), host)}}
    return {
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [
                {
                    "address": address(front),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "app",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "app",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                }
            ],
        },
    }


@needs.program("envoy")
def test_real_envoy(tmp_path: Path) -> None:
    with real.serving(real.http_exchange) as upstream, running(tmp_path, upstream.address) as (front, admin):
        source = requests.open_source(f"envoy:http://127.0.0.1:{admin}")
        flows(source)
        before = upstream.accepted
        client = HTTPConnection("127.0.0.1", front, timeout=_PATIENCE_S)
        for _ in range(7):
            client.request("GET", "/")
            assert client.getresponse().read() == b"ok"
        client.close()
        host, _, port = upstream.address.partition(":")
        expected: set[Flow] = {
            (INCOMING, front, None, 7, 0, 1),
            (OUTGOING, int(port), host, 7, 0, upstream.accepted - before),
        }
        assert_counted(source, expected)
        source.close()
