"""The commands of the page about several machines, in the form in which they stand there, on four hosts.

What takes too long for a test is shortened by flags behind them. The commands of Dask are read by Dask.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cluster import hosts_file
from docs.site import markdown
from tests import bench_process, needs
from tests.cluster.clusters import EXTRA, PACKAGE, QUICK, RunningCluster

ROOT = Path(__file__).parents[2]
PAGES = {
    name: (ROOT / "docs" / "how-to" / name).read_text(encoding="utf-8")
    for name in ("run-on-several-machines.md", "run-on-kubernetes-or-slurm.md")
}
PROXY, BACKEND = "10.89.1.4:8080", "10.89.1.{}:9000"


def lines(page: str) -> list[str]:
    """Return the lines of the blocks of a page, without comments."""
    return markdown.find_command_lines(PAGES[page])


ON_LOCAL = [line for line in lines("run-on-several-machines.md") if "--scheduler cluster.json" in line]


@pytest.fixture
def place(cluster: RunningCluster, tmp_path: Path) -> Path:
    """Return a folder in which `cluster.json` is that of the cluster."""
    (tmp_path / "cluster.json").symlink_to(cluster.path)
    return tmp_path


def run(line: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of the page in `folder`, with flags behind it."""
    argv = [*bench_process.ARGV, *shlex.split(line)[1:], *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200
    )


def pick(word: str) -> str:
    """Return the only such line for the local cluster."""
    (line,) = [line for line in ON_LOCAL if word in line]
    return line


def test_the_machines_are_surveyed(place: Path) -> None:
    done = run(pick("bench doctor"), place)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"host-4 +3 of 3", done.stdout)


def test_the_first_try_is_a_run_of_both_modes(place: Path) -> None:
    done = run(pick("--backends 1"), place, *QUICK)
    # 1 and 4: the machine may be too busy for rates.
    assert done.returncode in (0, 1, 4), done.stderr
    for name in ("client-1", "client-2", "proxy-1", "backend-1"):
        assert re.search(rf"^ {name} +10\.89\.1\.\d ", done.stdout, flags=re.MULTILINE), done.stdout


@pytest.fixture
def proxy(cluster: RunningCluster) -> Iterator[None]:
    """A proxy of the user's on host-4, whose configuration names port 9000 of each other host."""
    upstreams = [word for number in (1, 2, 3) for word in ("--upstream", BACKEND.format(number))]
    with cluster.process("host-4", "proxy", "--listen", PROXY, "--mode", "keepalive", *upstreams):
        yield


@pytest.mark.long
def test_a_proxy_that_runs_already_is_loaded(place: Path, proxy: None) -> None:
    done = run(pick("--proxy-at"), place, *QUICK, "--backends", "3")
    assert done.returncode in (0, 1, 4), done.stderr
    assert re.search(r"^ proxy-1 +10\.89\.1\.4 ", done.stdout, flags=re.MULTILINE), done.stdout


@pytest.mark.long
def test_a_server_is_loaded_whose_backends_are_others(cluster: RunningCluster, place: Path) -> None:
    with cluster.process("host-4", "backends", "--listen", PROXY):
        done = run(pick("--target"), place, *QUICK)
    assert done.returncode in (0, 1, 4), done.stderr
    assert re.search(r"^ client-2 +10\.89\.1\.\d ", done.stdout, flags=re.MULTILINE), done.stdout


def test_all_commands_for_the_local_cluster_are_run_here() -> None:
    assert sorted(ON_LOCAL) == sorted(map(pick, ("bench doctor", "--backends 1", "--proxy-at", "--target")))


def test_the_hosts_file_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "run-on-several-machines.md").read_text(encoding="utf-8")
    shown = re.findall(r"^(?:\w+@)?10\.0\.0\.\d+[: ].*$", page, re.MULTILINE)
    hosts = hosts_file.parse("\n".join(shown), {"client": 1}, "hosts.txt")
    assert [(each.name, dict(each.offers)) for each in hosts] == [
        ("load-1", {"client": 1}),
        ("load-2", {"client": 1}),
        ("host-3", {"proxy": 1}),
        ("host-4", {"backend": 1}),
    ]


def dask_lines() -> list[list[str]]:
    """Return the arguments of the commands of Dask on both pages, with the variable TLS put in."""
    (tls,) = [line for line in lines("run-on-several-machines.md") if line.startswith("TLS=")]
    value = shlex.split(tls)[0].removeprefix("TLS=")
    shown = [line for line in lines("run-on-several-machines.md") if line.startswith("dask ")]
    found = [shlex.split(line.replace("$TLS", value))[1:] for line in shown]
    for block in re.findall(r"args: \[(.*?)\]", PAGES["run-on-kubernetes-or-slurm.md"], flags=re.DOTALL):
        found.append([word.strip(' "') for word in re.split(r",\s+", block)][1:])
    return found


@pytest.mark.parametrize("arguments", dask_lines(), ids=" ".join)
def test_dask_reads_its_commands(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs.module(PACKAGE, EXTRA)

    monkeypatch.chdir(tmp_path)
    for name in ("cert.pem", "key.pem"):
        Path(name).touch()
    program, *flags = arguments
    command = importlib.import_module(f"distributed.cli.dask_{program}").main
    read = command.make_context(program, flags).params
    if program == "worker":
        assert read["resources"].split() == ["client=1", "proxy=1", "backend=1"]
        assert int(read["nthreads"]) == 3
