"""A plan's trials on several machines, which are network namespaces with a Dask worker each."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench.cluster.left_over import FEW
from tests import bench_process
from tests.cluster.clusters import QUICK, RunningCluster


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        pytest.param((), ["backend-1", "client-1", "proxy-1"], marks=pytest.mark.long),
        (("--clients", "2"), ["backend-1", "client-1", "client-2", "proxy-1"]),
        pytest.param(
            ("--backends", "2", "--subject", "asyncio"),
            ["backend-1", "backend-2", "client-1", "proxy-1"],
            marks=pytest.mark.long,
        ),
    ],
)
def test_every_connection_of_every_hop_is_counted(
    cluster: RunningCluster, tmp_path: Path, flags: tuple[str, ...], names: list[str]
) -> None:
    for trial in cluster.trials(tmp_path, "--mode", "both", *flags):
        rows = {row["name"]: row for row in trial["machines"]}
        assert sorted(rows) == names
        opened = trial["upstream"]["connections_opened"]
        assert set(trial["upstream"]["witnesses"].values()) == {opened}
        accepted = sum(row["accepted"] for row in rows.values() if row["role"] == "backend")
        assert opened == accepted == trial["upstream"]["connections_needed"]
        at_the_front = sum(row["opened"] for row in rows.values() if row["role"] == "client")
        assert at_the_front == rows["proxy-1"]["accepted"]
        assert bench_process.codes(trial) == set()


def test_a_window_of_so_many_responses_ends_with_them_on_every_machine(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    [trial] = cluster.trials(tmp_path, "--mode", "short", "--clients", "2", "-n", "400", "-d", "10m")
    assert trial["overhead_s"] < 60
    assert not trial["interrupted"]
    assert trial["requests"] >= 400
    assert set(trial["upstream"]["witnesses"].values()) == {trial["upstream"]["connections_opened"]}
    assert bench_process.codes(trial) == set()


@pytest.mark.long
def test_two_runs_on_the_same_machines_do_not_count_for_each_other(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    def trials(name: str) -> list[dict[str, Any]]:
        (tmp_path / name).mkdir()
        return cluster.trials(tmp_path / name, "--mode", "short", "--clients", "2", "--duration", "2")

    with ThreadPoolExecutor(2) as pool:
        found = [trial for each in pool.map(trials, ("one", "other")) for trial in each]
    for trial in found:
        upstream = trial["upstream"]
        assert {*upstream["witnesses"].values(), None} == {upstream["connections_opened"], None}
        assert {"witnesses-disagree"}.isdisjoint(bench_process.codes(trial))


@pytest.mark.parametrize("flags", [("--delay", "400ms"), ("--delay", "50ms", "--pool-max", "2")])
def test_what_is_on_its_way_at_the_end_of_the_window_is_counted_on_every_machine(
    cluster: RunningCluster, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    [trial] = cluster.trials(tmp_path, "--mode", "short", *flags)
    upstream = trial["upstream"]
    assert set(upstream["witnesses"].values()) == {upstream["requests_total"]}
    assert bench_process.codes(trial) == set()


@pytest.mark.long
@pytest.mark.parametrize("flags", [(), ("--subject", "direct")])
def test_a_trial_waits_for_what_the_one_before_left_in_time_wait(
    cluster: RunningCluster, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    port = "19004" if flags else "19003"
    many = ("--mode", "short", "--backend-port", port, "--trials", "2", "--connections", "32", *flags)
    where = ("--lab", "cluster", "--scheduler", cluster.path, "--data-interface", "data", *QUICK)
    done = bench_process.run("run", *where, *many, "--json", "-o", tmp_path)
    trials = json.loads(done.stdout)["trials"]
    few = FEW * trials[0]["ports"]["range"]
    for trial in trials:
        opened = trial["upstream"]["connections_opened"]
        assert opened > 2 * few
        assert trial["ports"]["used_peak"] <= opened + few + 64  # and those of the trial before are gone
        assert not any("TIME_WAIT" in warning["message"] for warning in trial["warnings"])
