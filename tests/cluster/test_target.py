"""Clients on several machines load a server that runs already; its name is looked up where they are."""

from __future__ import annotations

from pathlib import Path

from tests import bench_process
from tests.cluster.clusters import RunningCluster

URL = "http://10.89.1.4:19001/"


def test_each_machine_has_its_part_of_the_connections(cluster: RunningCluster, tmp_path: Path) -> None:
    with cluster.process("host-4", "-m", "backends", "--listen", "10.89.1.4:19001"):
        (trial,) = cluster.trials(tmp_path, "--target", URL, "--clients", "3", "--mode", "keepalive")
    rows = {row["name"]: row for row in trial["machines"]}
    assert sorted(rows) == ["client-1", "client-2", "client-3"]
    # The client that asks beforehand what answers has opened one more.
    assert sorted(row["opened"] for row in rows.values()) == [5, 5, 6]
    assert trial["requests"] == sum(row["requests"] for row in rows.values())
    assert trial["statuses"] == {"200": trial["requests"]}


def test_where_nothing_answers_nothing_starts(cluster: RunningCluster, tmp_path: Path) -> None:
    flags = ("--lab", "cluster", "--scheduler", cluster.path, "--data-interface", "data", "-o", tmp_path)
    done = bench_process.run("run", *flags, "--target", URL, "--mode", "keepalive")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith(f"bench: --target {URL}")
    assert list(tmp_path.iterdir()) == []
