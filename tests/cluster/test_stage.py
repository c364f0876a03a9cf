"""`bench ab`, `bench sweep` and `bench search` run on the machines of a cluster as `bench run` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import bench_process
from tests.cluster.clusters import QUICK, RunningCluster


def said(cluster: RunningCluster, command: str, *arguments: str, folder: Path) -> dict[str, Any]:
    """Return the JSON of a command whose trials run on the cluster."""
    where = ("--lab", "cluster", "--scheduler", str(cluster.path), "--data-interface", "data")
    done = bench_process.run(command, *arguments, *where, "--json", "-o", folder)
    assert done.returncode in (0, 1, 4), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def places(trial: dict[str, Any]) -> list[str]:
    return sorted(row["name"] for row in trial["machines"])


def test_two_plans_take_turns_on_the_machines_that_each_needs(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    sides = ("clients=1", "clients=2", "--mode", "keepalive", *QUICK)
    one, two = said(cluster, "ab", *sides, folder=tmp_path)["runs"]
    for run in (one, two):
        names = [each["name"] for each in run["machines"]]
        assert names == ["proxy-1", "backend-1", "client-1", "client-2"]
    assert [places(trial) for trial in one["trials"]] == [["backend-1", "client-1", "proxy-1"]]
    assert [places(trial) for trial in two["trials"]] == [["backend-1", "client-1", "client-2", "proxy-1"]]
    for run in (one, two):
        (trial,) = run["trials"]
        opened = trial["upstream"]["connections_opened"]
        assert set(trial["upstream"]["witnesses"].values()) == {opened}


@pytest.mark.long
def test_each_cell_of_a_sweep_has_its_machines(cluster: RunningCluster, tmp_path: Path) -> None:
    found = said(cluster, "sweep", "--vary", "backends=1,2", *QUICK, folder=tmp_path)
    cells = {trial["cell"]["cluster.backends"]: trial for trial in found["trials"]}
    assert places(cells[1]) == ["backend-1", "client-1", "proxy-1"]
    assert places(cells[2]) == ["backend-1", "backend-2", "client-1", "proxy-1"]
    shown = bench_process.run("show", found["directory"])
    assert shown.returncode in (0, 4), shown.stderr
    resumed = bench_process.run("sweep", "--resume", found["directory"])
    assert resumed.returncode == 2
    assert "lacks no trial" in resumed.stderr


@pytest.mark.long
def test_a_rate_is_searched_on_the_machines(cluster: RunningCluster, tmp_path: Path) -> None:
    asked = ("--require", "latency_ms.p99<1000", "--from", "50", "--to", "400", "--most-trials", "4")
    found = said(cluster, "search", *asked, *QUICK[2:], folder=tmp_path)
    assert all(places(trial) == ["backend-1", "client-1", "proxy-1"] for trial in found["trials"])
    assert all(trial["cell"]["load.rate"] <= 400 for trial in found["trials"])
