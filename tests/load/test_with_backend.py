"""The load against this project's own backend: both sides count the same."""

from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest

from bench.load.job import LoadJob
from bench.load.poller import Poller
from bench.load.worker import LoadWorker
from tests import needs
from tests.backend_process import BackendProcess, running_backend


def load(backend: BackendProcess, **changes: Any) -> dict[str, Any]:
    host, _, port = backend.ready["listen"][0].rpartition(":")
    values: dict[str, Any] = {
        "connections": 8,
        "warmup_s": 0.0,
        "duration_s": 60.0,
        "requests": 400,
        "body_bytes": (2, 2),
    }
    job = LoadJob(host, int(port), "a", **values | changes)
    return LoadWorker(job, Poller(), lambda _: None).run(monotonic_ns())


@pytest.mark.parametrize("kind", ["raw", "aiohttp"])
def test_both_sides_count_the_same(kind: str) -> None:
    with running_backend("--kind", kind, "--response-size", "100-5000") as backend:
        done = load(backend, body_bytes=(100, 5000))
        counted = backend.stop()
    assert done["requests_total"] == counted["requests"] >= 400
    assert done["opened_total"] == counted["accepted"] == 8
    assert sum(done["errors_total"].values()) == 0


def test_bodies_of_many_reads() -> None:
    with running_backend("--response-size", "300KiB-3MiB") as backend:
        done = load(backend, requests=20, body_bytes=(300 << 10, 3 << 20))
        counted = backend.stop()
    assert done["requests_total"] == counted["requests"]
    assert sum(done["errors_total"].values()) == 0


@pytest.mark.parametrize(
    ("fail", "kind"), [("reset:5", "reset"), ("cut:5", "body"), ("garbage:5", "protocol")]
)
def test_what_the_backend_spoils_is_an_error_of_its_kind(fail: str, kind: str) -> None:
    with running_backend("--fail", fail) as backend:
        done = load(backend)
        counted = backend.stop()
    assert done["errors_total"][kind] == sum(done["errors_total"].values()) == counted["failed"] > 50
    assert done["requests_total"] == counted["requests"]


def test_short_clients_open_a_connection_for_each_request() -> None:
    with running_backend("--close", "never") as backend:
        done = load(backend, client_mode="short")
        counted = backend.stop()
    assert done["requests_total"] == done["opened_total"] == counted["accepted"] == counted["requests"]
    assert counted["closed_first"] == 0


def test_a_backend_that_limits_its_connections_is_connected_to_anew() -> None:
    with running_backend("--requests-per-connection", "10") as backend:
        done = load(backend)
        counted = backend.stop()
    assert sum(done["errors_total"].values()) == 0
    assert done["opened_total"] == counted["accepted"]
    assert done["requests_total"] / 10 <= done["opened_total"] <= done["requests_total"] / 10 + 8


@pytest.mark.long
def test_memory_does_not_grow_with_the_length_of_a_run() -> None:
    status = Path("/proc/self/statm")
    if not status.exists():
        needs.skip("Linux")

    def resident_pages() -> int:
        return int(status.read_text().split()[1])

    with running_backend() as backend:
        load(backend, requests=50_000)
        before = resident_pages()
        load(backend, requests=500_000)
        grown = resident_pages() - before
    assert grown * 4096 < 2 << 20
