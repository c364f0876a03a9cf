"""What keeps a run from starting on a cluster is one line, before any role starts: thing, value, remedy."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bench.cluster import connection, placement
from bench.cluster.connection import DaskCluster, WorkerFacts
from bench.cluster.worker import WorkerDescription
from bench.errors import LabError
from tests import bench_process, needs
from tests.cluster import clusters, dask_processes, faults
from tests.cluster.clusters import ROOT, RunningCluster

QUICK = ("--trials", "1", "--warmup", "0.2", "--duration", "0.8", "--connections", "16")
PACKAGES = ("backends", "bench", "nginx", "proxy")
WITHOUT_BENCH = "import sys; sys.modules['bench'] = None"
OTHER_DASK = """
import importlib.metadata as metadata
true = metadata.version
metadata.version = lambda name: "2020.1.0" if name == "distributed" else true(name)
"""


def run(scheduler: str | Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run `bench run` on a cluster."""
    where = ("--lab", "cluster", "--scheduler", scheduler)
    return bench_process.run("run", "-o", folder / "results", *where, *QUICK, *flags)


def expect_refused(done: subprocess.CompletedProcess[str], *parts: str, code: int = 3) -> None:
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr


def with_code(folder: Path, source: str) -> list[str]:
    """Return the start of a command line whose Python runs `source` first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(source)
    return ["env", f"PYTHONPATH={folder}"]


def altered(folder: Path, name: str, text: str, instead: str) -> list[str]:
    """Return the start of a command line whose Python finds a copy of the sources with one file altered."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / name
    file.write_text(file.read_text().replace(text, instead))
    return ["env", "PYTHONSAFEPATH=1", f"PYTHONPATH={folder}"]


def address_of(folder: Path) -> str:
    """Return the address of the scheduler that was started with its files in `folder`."""
    return str(json.loads((folder / "scheduler.json").read_text())["address"])


def refused_by_worker(prefix: Sequence[str], folder: Path, *parts: str) -> None:
    workers: Mapping[str, Sequence[str]] = {"right": (), "wrong": prefix}
    with dask_processes.running(workers, folder):
        expect_refused(run(address_of(folder), folder), "the worker wrong ", *parts)


def test_a_worker_with_other_sources_is_named(tmp_path: Path) -> None:
    needs.module("distributed")
    prefix = altered(tmp_path / "copy", "bench/units.py", '"""', '"""Altered. ')
    refused_by_worker(prefix, tmp_path, "runs other sources of bench", "install the same version")


@pytest.mark.long
def test_a_worker_with_another_version_is_named(tmp_path: Path) -> None:
    needs.module("distributed")
    prefix = altered(tmp_path / "copy", "bench/__init__.py", '__version__ = "', '__version__ = "9.')
    refused_by_worker(prefix, tmp_path, "runs bench 9.", "and here it is", "install the same version")


def test_a_worker_without_bench_is_named(tmp_path: Path) -> None:
    needs.module("distributed")
    prefix = with_code(tmp_path / "site", WITHOUT_BENCH)
    refused_by_worker(prefix, tmp_path, "has no bench (", "install the same version")


@pytest.mark.filterwarnings("ignore:Mismatched versions")
def test_a_scheduler_with_another_dask_is_named(tmp_path: Path) -> None:
    needs.module("distributed")
    prefix = with_code(tmp_path / "site", OTHER_DASK)
    with dask_processes.running({"right": ()}, tmp_path, prefix):
        address = address_of(tmp_path)
        expect_refused(
            run(address, tmp_path), f"the scheduler {address} runs distributed 2020.1.0", "install the same"
        )


def test_where_no_scheduler_is_one_line_says_so(tmp_path: Path) -> None:
    needs.module("distributed")
    expect_refused(
        run("tcp://127.0.0.1:1", tmp_path), "no scheduler answers at tcp://127.0.0.1:1", "bench cluster up"
    )


@pytest.mark.long
def test_workers_without_resources_are_named_with_what_they_lack(tmp_path: Path) -> None:
    with dask_processes.running({"right": ()}, tmp_path):
        done = run(address_of(tmp_path), tmp_path)
        expect_refused(done, "of the resource proxy", "--resources proxy=1")


def test_workers_with_fewer_threads_than_roles_are_named(tmp_path: Path) -> None:
    needs.module("distributed")
    roles = [f"DASK_DISTRIBUTED__WORKER__RESOURCES__{role}=1" for role in ("CLIENT", "PROXY", "BACKEND")]
    with dask_processes.running({"narrow": ["env", *roles]}, tmp_path):
        done = run(address_of(tmp_path), tmp_path)
        expect_refused(done, "no worker has a thread left for the role", "start narrow with `--nthreads 3`")


class OneName:
    """Stands for a client of Dask whose scheduler has two workers of one name."""

    def scheduler_info(self, n_workers: int) -> object:
        return {"workers": {f"tcp://127.0.0.1:{n}": {"name": "host"} for n in (1, 2)}}


def test_two_workers_of_one_name_are_named() -> None:
    with pytest.raises(LabError, match="two workers are called host; give each a name"):
        connection.check_names(DaskCluster(OneName(), "tcp://127.0.0.1:8786"))


def test_an_unknown_interface_is_named_with_those_that_there_are(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    done = run(cluster.path, tmp_path, "--data-interface", "eth7")
    expect_refused(done, "no address on the interface eth7", "control, data")


@pytest.mark.parametrize(
    ("interface", "refused"), [(None, True), ("six", True), ("both", False), ("four", False)]
)
def test_roles_have_ipv4_addresses(interface: str | None, refused: bool) -> None:
    worker = WorkerFacts("load-1", "tls://[fd00::1]:4000", {})
    addresses = {"six": "fd00::1", "both": "10.0.0.1", "four": "10.0.0.1"}
    description = WorkerDescription(1, "machine", "net", (0,), addresses, {})
    if not refused:
        assert placement._role_address(interface, worker, description) == "10.0.0.1"
        return
    with pytest.raises(LabError) as raised:
        placement._role_address(interface, worker, description)
    assert str(raised.value) == (
        "cluster: the worker load-1 has the data address fd00::1, and roles talk IPv4; name an interface that"
        " has it by --data-interface: both, four"
    )


def test_a_proxy_that_is_not_installed_is_named_with_the_machine(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    missing = [name for name in ("caddy", "envoy", "haproxy", "nginx") if not needs.here(name)]
    if not missing:
        needs.skip("a proxy that is missing", "remove one")
    done = run(cluster.path, tmp_path, "--subject", missing[0])
    expect_refused(done, "cluster: proxy-1 on the worker host-", missing[0], "install", code=2)


def test_a_run_waits_for_no_other_and_ctrl_c_ends_one_at_once(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    with faults.lossy_run(cluster, tmp_path) as first:
        if not first.wait_for_load():
            needs.skip("two runs at once", "a machine that is not busy")
        done = run(cluster.path, tmp_path, "--data-interface", "data", "--clients", "4")
        expect_refused(done, "another run has what", "wait for its end")
        first.process.send_signal(signal.SIGINT)
        trial = first.finish()
        assert (first.process.returncode, trial["interrupted"], first.said) == (130, True, "")
    assert faults.role_processes(cluster.up.pid) == {}


def test_what_a_machine_forbids_is_named_before_the_start(tmp_path: Path) -> None:
    clusters.need()
    needs.module("pyroute2")
    every = ("--data-interface", "data", "--proxies", "2", "--clients", "2", "--subject", "asyncio")
    with clusters.started(tmp_path, "--local", "2") as cluster:
        pids = faults.worker_pids(cluster)
        faults.set_ports(cluster, pids["host-1"], 20_000, 29_999)
        done = run(cluster.path, tmp_path, *every)
        # A machine that is busy may not know its clocks; the ports are told before.
        assert done.returncode in (0, 1, 4) or "its clock is known within" in done.stderr, done.stderr
        assert "on the worker host-1 has 10,000 ports" in done.stderr
        faults.drop(cluster, pids["host-2"], "10.89.1.1")
        expect_refused(
            run(cluster.path, tmp_path, *every), "on the worker host-", "does not reach", "10.89.1."
        )
        resource.prlimit(pids["host-1"], resource.RLIMIT_NOFILE, (300, 300))
        done = run(cluster.path, tmp_path, *every, "--connections", "4000")
        expect_refused(done, "on the worker host-1", "the hard limit is 300", "ulimit")
