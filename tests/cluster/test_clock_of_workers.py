"""A worker whose clock is 200 ms ahead is found to be, to within 2 ms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.cluster import clock
from tests.cluster import dask_processes

MS = 1_000_000


def test_a_clock_that_is_ahead_is_measured_within_two_milliseconds(tmp_path: Path) -> None:
    dask_processes.skip_without_time_namespaces()
    workers = {"same": [], "ahead": dask_processes.ahead(200 * MS), "behind": dask_processes.ahead(-200 * MS)}
    with dask_processes.running(workers, tmp_path) as client:

        def call(address: str, function: Any) -> Any:
            return client.run(function, workers=[address])[address]

        names = dask_processes.addresses(client)
        measured = clock.measure(call, list(names.values()))
    for name, offset_ns in {"same": 0, "ahead": 200 * MS, "behind": -200 * MS}.items():
        offset = measured[names[name]]
        assert offset.error_ns == (offset.round_trip_ns + 1) // 2
        assert abs(offset.offset_ns - offset_ns) <= offset.error_ns
        clock.check_error(name, offset)
        assert abs(offset.offset_ns - offset_ns) <= 2 * MS
