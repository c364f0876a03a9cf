"""A proxy that runs already on a machine of the cluster is loaded, and watched as `bench watch` would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import bench_process
from tests.cluster.clusters import RunningCluster

PROXY = "10.89.1.4:18080"
BACKEND_PORTS = {"short": "19000", "keepalive": "19001"}
"""Connections in TIME_WAIT of the other mode would have to be waited for."""


def upstream_flags(mode: str) -> list[str]:
    """Return the flags of a proxy before whatever backends come."""
    backends = [f"10.89.1.{number}:{BACKEND_PORTS[mode]}" for number in (1, 2, 3)]
    return [word for backend in backends for word in ("--upstream", backend)]


@pytest.mark.parametrize("mode", [pytest.param("short", marks=pytest.mark.long), "keepalive"])
def test_what_it_opens_is_counted_beside_it(cluster: RunningCluster, tmp_path: Path, mode: str) -> None:
    flags = ("--proxy-at", PROXY, "--backends", "3", "--backend-port", BACKEND_PORTS[mode], "--mode", mode)
    with cluster.process("host-4", "-m", "proxy", "--listen", PROXY, "--mode", mode, *upstream_flags(mode)):
        (trial,) = cluster.trials(tmp_path, *flags)
    rows = {row["name"]: row for row in trial["machines"]}
    assert sorted(rows) == ["backend-1", "backend-2", "backend-3", "client-1", "proxy-1"]
    opened = trial["upstream"]["connections_opened"]
    assert opened == sum(rows[f"backend-{number}"]["accepted"] for number in (1, 2, 3))
    assert trial["upstream"]["witnesses"]["subject"] is None
    # Where this kernel has events for this user, the watch counts each; else it says that it cannot.
    is_exact = not any("shows no events" in warning["message"] for warning in trial["warnings"])
    assert trial["upstream"]["witnesses"]["kernel"] == (opened if is_exact else None)
    assert rows["proxy-1"]["cpu_s"] > 0
    assert (trial["upstream"]["requests_per_connection"] == 1) is (mode == "short")
    assert bench_process.codes(trial) <= {"lab"}


SILENT = """
import socket, sys
with socket.create_server(("10.89.1.4", 18080)):
    sys.stdin.readline()
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_proxy_that_passes_nothing_on_makes_no_valid_trial(cluster: RunningCluster, tmp_path: Path) -> None:
    flags = ("--proxy-at", PROXY, "--backend-port", "19000", "--mode", "short")
    with cluster.process("host-4", "-c", SILENT):
        (trial,) = cluster.trials(tmp_path, *flags)
    assert not trial["valid"]
    (warning,) = [each for each in trial["warnings"] if each["code"] == "no-traffic"]
    assert warning["message"] == "0 requests reached the backend on 0 connections"


DROPS = """
import socket, sys
sys.stdin.readline()
with socket.create_server(("10.89.1.4", 18080), backlog=0) as full:
    held = []
    for _ in range(2):
        held.append(socket.socket())
        held[-1].setblocking(False)
        held[-1].connect_ex(full.getsockname())
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_proxy_that_the_clients_do_not_reach_is_named_before_anything_starts(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    flags = ("--proxy-at", PROXY, "--backend-port", "19000", "--mode", "short", "-o", tmp_path)
    where = ("--lab", "cluster", "--scheduler", cluster.path, "--data-interface", "data")
    with cluster.process("host-4", "-c", DROPS):
        done = bench_process.run("run", *where, *flags)
    assert done.returncode == 3
    assert re.fullmatch(
        r"bench: --proxy-at 10\.89\.1\.4:18080: client-1 on the worker host-\d does not reach it:"
        r" 10\.89\.1\.4 port 18080 does not answer within 2 s; let connections between them pass,"
        r" or name another address",
        done.stderr.splitlines()[-1],
    )
    assert list(tmp_path.iterdir()) == []


def test_a_mode_that_the_proxy_has_not_makes_no_valid_trial(cluster: RunningCluster, tmp_path: Path) -> None:
    flags = ("--proxy-at", PROXY, "--backends", "3", "--backend-port", "19002", "--mode", "short")
    backends = [f"10.89.1.{number}:19002" for number in (1, 2, 3)]
    upstreams = [word for backend in backends for word in ("--upstream", backend)]
    with cluster.process("host-4", "-m", "proxy", "--listen", PROXY, "--mode", "keepalive", *upstreams):
        (trial,) = cluster.trials(tmp_path, *flags)
    assert not trial["valid"]
    (warning,) = [each for each in trial["warnings"] if each["code"] == "mode-not-short"]
    opened, requests = (trial["upstream"][name] for name in ("connections_opened", "requests_total"))
    assert warning["message"] == (
        f"the proxy sent {requests:,} requests on {opened:,} connections: it uses them again"
    )


def test_nothing_listens_there(cluster: RunningCluster, tmp_path: Path) -> None:
    flags = ("--proxy-at", "10.89.1.4:18081", "--backend-port", "19000", "--mode", "short", "-o", tmp_path)
    done = bench_process.run("run", "--lab", "cluster", "--scheduler", cluster.path, *flags)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == (
        "bench: --proxy-at 10.89.1.4:18081: nothing listens there, or a firewall resets connections; start"
        " the proxy, or name its address"
    )
