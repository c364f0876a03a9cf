"""A worker whose clock is 200 ms ahead is found to be, to within 2 ms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from bench.cluster import clock, connection
from tests import bench_process
from tests.cluster import dask_processes

if TYPE_CHECKING:
    from distributed import Client

MS = 1_000_000
OFFSETS_NS = {"same": 0, "ahead": 200 * MS, "behind": -200 * MS}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a client of workers with a clock of their own each."""
    dask_processes.skip_without_time_namespaces()
    workers = {name: dask_processes.ahead(offset) if offset else [] for name, offset in OFFSETS_NS.items()}
    with dask_processes.running(workers, tmp_path_factory.mktemp("clocks")) as client:
        yield client


def test_a_clock_that_is_ahead_is_measured_within_two_milliseconds(client: Client) -> None:
    cluster = connection.DaskCluster(client, "")
    names = {worker.address: worker.name for worker in cluster.workers}
    for address, offset in clock.measure(cluster.call, list(names)).items():
        true_ns = OFFSETS_NS[names[address]]
        assert offset.error_ns == (offset.round_trip_ns + 1) // 2
        assert abs(offset.offset_ns - true_ns) <= offset.error_ns
        clock.check_error(names[address], offset)
        assert abs(offset.offset_ns - true_ns) <= 2 * MS


def test_a_survey_shows_it_beside_each_machine(client: Client) -> None:
    scheduler = str(client.scheduler_info()["address"])
    done = bench_process.run("doctor", "--json", "--scheduler", scheduler)
    assert done.returncode == 0, done.stderr
    machines = {each["name"]: each for each in json.loads(done.stdout)["machines"]}
    assert sorted(machines) == sorted(OFFSETS_NS)
    for name, machine in machines.items():
        found = machine["clock"]
        assert abs(found["offset_ns"] - OFFSETS_NS[name]) <= found["error_ns"]
