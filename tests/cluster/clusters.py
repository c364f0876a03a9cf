"""A running cluster on this machine, and Python that runs where its scheduler can be reached."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cluster import cluster_file
from bench.cluster.certificates import CertificateFiles
from bench.lab import namespaces
from tests import bench_process, needs

ROOT = Path(__file__).parents[2]
PACKAGE = "distributed"
EXTRA = "pip install '.[cluster]'"
QUICK = ("--trials", "1", "--warmup", "0.2", "--duration", "0.8", "--connections", "16")
PRELUDE = """
import json, sys
from pathlib import Path
from bench.cluster import cluster_file
file = cluster_file.read(Path(sys.argv.pop(1)))
cluster_file.enter(file)
from distributed import Client, Security
from bench.cluster.certificates import CertificateFiles
def connect():
    tls = {} if file.ca is None else CertificateFiles(file.ca, file.certificate, file.key).security()
    return Client(file.scheduler, security=Security(**tls), set_as_default=False)
"""
ON_HOST = """
def on_host(function, argument):
    with connect() as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        host = next(address for address, worker in workers.items() if worker["name"] == sys.argv[1])
        print(json.dumps(client.run(function, argument, workers=[host])[host]))
"""
START = (
    ON_HOST
    + """
def start(arguments):
    import subprocess, sys
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, *arguments[1:]], **pipes)
    process.stdin.write(arguments[0].encode() + b"\\n")
    process.stdin.flush()
    assert process.stdout.readline()
    return process.pid

on_host(start, sys.argv[2:])
"""
)
STOP = (
    ON_HOST
    + """
def stop(pid):
    import os, signal
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)

on_host(stop, int(sys.argv[2]))
"""
)


def need() -> None:
    """Skip the test that runs unless a cluster can be brought up here."""
    needs.module(PACKAGE, EXTRA)
    if namespaces.available() is not None:
        needs.skip("namespaces")


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """A cluster that is ready."""

    path: Path
    """Its cluster file, for --scheduler."""
    up: subprocess.Popen[str]
    """The process of `bench cluster up`."""

    def run(self, source: str, *arguments: str) -> Any:
        """Run Python where the scheduler can be reached and return the JSON that it prints.

        `connect()` is a new client of Dask, `file` the cluster file.
        """
        argv = [sys.executable, "-c", PRELUDE + source, str(self.path), *arguments]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def process(self, host: str, *arguments: str, first_line: str = "") -> Iterator[None]:
        """Run Python on a host for a block; it reads a line, and prints one once it is ready."""
        pid = self.run(START, host, first_line, *arguments)
        try:
            yield
        finally:
            self.run(STOP, host, str(pid))

    @contextmanager
    def further_worker(self, host: str, name: str, *prefix: str, **resources: int) -> Iterator[None]:
        """Run one more worker on a host for a block; its command line begins with `prefix`."""
        found = cluster_file.read(self.path)
        assert found.ca is not None
        assert found.certificate is not None
        assert found.key is not None
        address = f"10.88.1.{host.partition('-')[2]}"
        options: dict[str, Any] = {
            "scheduler_ip": found.scheduler,
            "name": name,
            "host": address,
            "resources": resources,
        }
        folder = str(self.path.parent / name)
        files = CertificateFiles(found.ca, found.certificate, found.key)
        options |= {"resources": resources, "nthreads": 4, "local_directory": folder}
        spec = {"class": "Worker", "options": options, "security": files.security(), "folder": folder}
        argv = (*prefix, "-m", "bench.cluster.dask_process", name)
        with self.process(host, *argv, first_line=json.dumps(spec)):
            yield

    def trials(self, folder: Path, *flags: str) -> list[dict[str, Any]]:
        """Return the trials of a quick `bench run` on the cluster, that of short first."""
        where = ("--lab", "cluster", "--scheduler", self.path, "--data-interface", "data")
        return bench_process.trials(*where, *QUICK, *flags, root=folder)


@contextmanager
def started(folder: Path, *arguments: str, **environment: str) -> Iterator[RunningCluster]:
    """Run `bench cluster up` with `arguments` until the end of the block."""
    path = folder / "cluster.json"
    with bench_process.started("cluster", "up", *arguments, "-o", path, **environment) as up:
        assert up.stdout is not None
        assert up.stderr is not None
        ready = up.stdout.readline()
        assert ready == f"{path}\n", up.stderr.read()
        yield RunningCluster(path, up)
        up.terminate()
        assert up.wait(60) == 0, up.stderr.read()
    assert not path.exists()


@contextmanager
def losing(folder: Path, *arguments: str, **environment: str) -> Iterator[RunningCluster]:
    """Do the same for a cluster that loses its scheduler, and so ends by itself."""
    path = folder / "cluster.json"
    with bench_process.started("cluster", "up", *arguments, "-o", path, **environment) as up:
        assert up.stdout is not None
        assert up.stdout.readline() == f"{path}\n"
        yield RunningCluster(path, up)
        assert up.wait(60) == 3
    assert not path.exists()
