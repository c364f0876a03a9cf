"""A worker, a network or the scheduler is lost while a trial runs: what was measured before is kept."""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from tests.cluster import clusters, faults
from tests.cluster.clusters import RunningCluster

ENDED_S = 10.0
"""After this nothing of a trial runs on."""

Fault = Callable[[RunningCluster, Mapping[str, int], str], None]
"""Takes the cluster, the processes of its workers, and a role."""


def kill_worker(cluster: RunningCluster, pids: Mapping[str, int], role: str) -> None:
    faults.kill(faults.worker_with(role, dict(pids)))


def set_data_down(cluster: RunningCluster, pids: Mapping[str, int], role: str) -> None:
    faults.set_link(cluster, faults.worker_with(role, dict(pids)), "data", "down")


def set_control_down(cluster: RunningCluster, pids: Mapping[str, int], role: str) -> None:
    faults.set_link(cluster, faults.worker_with(role, dict(pids)), "control", "down")


def set_data_up(cluster: RunningCluster, pids: Mapping[str, int]) -> None:
    """Mend the network under test where it was set down."""
    for pid in filter(psutil.pid_exists, pids.values()):
        faults.set_link(cluster, pid, "data", "up")


def kill_scheduler(cluster: RunningCluster, pids: Mapping[str, int], role: str) -> None:
    faults.kill(faults.scheduler_pid(cluster))


def freeze_scheduler(cluster: RunningCluster, pids: Mapping[str, int], role: str) -> None:
    os.kill(faults.scheduler_pid(cluster), signal.SIGSTOP)


LOST: dict[Fault, str] = {
    kill_worker: "its worker is gone",
    set_data_down: "its interface data is down",
    set_control_down: "its worker has not answered for 4 s",
    freeze_scheduler: "has not answered for 4 s; start it anew",
    kill_scheduler: "cluster: the scheduler tls://10.88.0.1:8786 ",
}


def lose(
    cluster: RunningCluster,
    folder: Path,
    fault: Fault,
    *,
    pids: Mapping[str, int],
    role: str,
    after_s: float,
) -> None:
    """Run a trial, let something be lost, and expect what is kept of it and what is left."""
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            run = stack.enter_context(faults.lossy_run(cluster, folder))
            if run.wait_for_load():
                break
        time.sleep(after_s)
        lost_s = time.monotonic()
        fault(cluster, pids, role)
        assert faults.wait_until_gone(cluster, lost_s) < ENDED_S
        trial = run.finish()
        assert run.process.returncode == 3
    assert [each["code"] for each in trial["warnings"] if each["voids"]] == ["machine-lost"]
    assert (trial["valid"], trial["interrupted"]) == (False, False)
    assert faults.last_second(trial["directory"]) >= math.floor(lost_s - run.began_s - 1.0)
    lost = {row["name"]: row["lost"] for row in trial["machines"] if row["lost"]}
    assert set(lost) & {f"{role}-{number}" for number in (1, 2)}
    assert LOST[fault] in run.said
    assert run.said.count("\n") == 1
    assert trial["requests"] > 0
    assert trial["upstream"]["witnesses"]["backend"] > 0
    assert trial["upstream"]["witnesses"]["subject"] > 0


def test_what_was_measured_before_a_loss_is_kept_and_nothing_runs_on(tmp_path: Path) -> None:
    clusters.need()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with clusters.losing(tmp_path, "--local", "4", TMPDIR=str(scratch)) as cluster:
        before, pids = sorted(scratch.iterdir()), faults.worker_pids(cluster)
        lose(cluster, tmp_path, kill_worker, pids=pids, role="client", after_s=2.3)
        lose(cluster, tmp_path, set_data_down, pids=pids, role="proxy", after_s=1.9)
        assert sorted(scratch.iterdir()) == before
        set_data_up(cluster, pids)
        lose(cluster, tmp_path, kill_scheduler, pids=pids, role="backend", after_s=2.1)
    assert sorted(scratch.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_twenty_losses_at_random_moments(seed: int, tmp_path: Path) -> None:
    clusters.need()
    drawn = random.Random(seed)
    of_workers: list[Fault] = [kill_worker, set_data_down, set_control_down]
    drawn.shuffle(of_workers)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with clusters.losing(tmp_path, "--local", "6", TMPDIR=str(scratch)) as cluster:
        before, pids = sorted(scratch.iterdir()), faults.worker_pids(cluster)
        for fault in (*of_workers, kill_scheduler):
            assert sorted(scratch.iterdir()) == before
            role = drawn.choice(("client", "proxy", "backend"))
            lose(cluster, tmp_path, fault, pids=pids, role=role, after_s=drawn.uniform(2.0, 7.0))
            if fault is set_data_down:
                set_data_up(cluster, pids)
    assert sorted(scratch.iterdir()) == []


@pytest.mark.long
def test_the_roles_of_a_run_that_is_killed_end_and_the_next_one_finds_room(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    for _ in range(2):
        with faults.lossy_run(cluster, tmp_path, "--proxies", "4", "--clients", "4") as run:
            assert run.wait_for_load()
            killed_s = time.monotonic()
            run.process.kill()
            assert faults.wait_until_gone(cluster, killed_s) < ENDED_S


@pytest.mark.long
def test_a_scheduler_that_is_silent_is_lost(tmp_path: Path) -> None:
    clusters.need()
    with clusters.started(tmp_path, "--local", "3") as cluster:
        scheduler = faults.scheduler_pid(cluster)
        pids = faults.worker_pids(cluster)
        lose(cluster, tmp_path, freeze_scheduler, pids=pids, role="client", after_s=2.2)
        os.kill(scheduler, signal.SIGCONT)
