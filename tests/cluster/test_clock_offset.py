"""A machine whose clock is 200 ms ahead takes part like the others, and does not move a figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import bench_process
from tests.cluster import dask_processes
from tests.cluster.clusters import RunningCluster

AHEAD_MS = 200
RATE, WINDOW_S, CLIENTS = 1000, 0.8, 5


@pytest.mark.long
def test_a_clock_that_is_ahead_does_not_move_a_figure(cluster: RunningCluster, tmp_path: Path) -> None:
    dask_processes.skip_without_time_namespaces()
    script = str(dask_processes.IN_TIME_NAMESPACE)
    python = dask_processes.ahead(0)[0]
    with cluster.further_worker("host-4", "ahead", script, str(AHEAD_MS * 10**6), python, client=1):
        flags = ("--mode", "keepalive", "--clients", str(CLIENTS), "--rate", str(RATE), "-c", "20")
        (trial,) = cluster.trials(tmp_path, *flags)
    clients = [row for row in trial["machines"] if row["role"] == "client"]
    offsets = sorted(row["clock_offset_ms"] for row in clients)
    assert len(offsets) == CLIENTS
    assert offsets[:-1] == pytest.approx([0] * (CLIENTS - 1), abs=2)
    assert offsets[-1] == pytest.approx(AHEAD_MS, abs=2)
    # Due times are even: each machine sends its part in the window, but for one request at an edge.
    assert [row["requests"] for row in clients] == pytest.approx([RATE * WINDOW_S / CLIENTS] * CLIENTS, abs=2)
    assert trial["duration_s"] == pytest.approx(WINDOW_S, abs=0.02)
    assert trial["requests"] == pytest.approx(RATE * WINDOW_S, rel=0.01)
    assert "clock-drift" not in bench_process.codes(trial)
