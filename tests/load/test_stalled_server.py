"""Latency of an open loop behind a server that stalls, beside a reference that knows the due times alone."""

import heapq
import math
from collections.abc import Iterator
from random import Random

import pytest

from bench.load.counters import add_counts
from bench.load.job import LoadJob
from bench.load.worker import LoadWorker
from tests.load.virtual_time import virtual

MS = 1_000_000
SERVICE_NS, STALL_NS, STALL_END_NS = 2 * MS, 1000 * MS, 1500 * MS
CONNECTIONS = 16
PERCENTS = (10, 25, 50, 75, 80, 85, 90, 95, 99, 99.9, 100)


def answer_at(moment_ns: int) -> int:
    """Return when the server answers: after 2 ms, but not while it stalls, from 1.0 s to 1.5 s."""
    end_ns = moment_ns + SERVICE_NS
    return STALL_END_NS + SERVICE_NS if STALL_NS < end_ns < STALL_END_NS + SERVICE_NS else end_ns


def constant(rate: float) -> Iterator[float]:
    """Yield the due times at a constant rate, in nanoseconds."""
    number = 0
    while True:
        yield number * 1e9 / rate
        number += 1


def ramp(rate: float, rate_end: float, length_s: float) -> Iterator[float]:
    """Yield the due times of a ramp, found by halving, since the integral of the rate grows."""
    number = 0
    while True:
        low, high = 0.0, 2 * length_s
        for _ in range(60):
            at = (low + high) / 2
            due = rate * at + (rate_end - rate) * at * at / (2 * length_s)
            low, high = (at, high) if due < number else (low, at)
        yield low * 1e9
        number += 1


def poisson(rate: float, seed: int) -> Iterator[float]:
    """Yield the due times of a Poisson process."""
    random, at = Random(f"{seed} 0 arrivals"), 0.0
    while True:
        at += random.expovariate(rate)
        yield at * 1e9


def reference_us(due_times: Iterator[float], end_ns: float) -> list[float]:
    """Return the sorted latencies of first come, first served over all connections, from the due times."""
    free = [0.0] * CONNECTIONS
    latencies: list[float] = []
    for due_ns in due_times:
        if due_ns >= end_ns:
            return sorted(latencies)
        sent_ns = max(due_ns, heapq.heappop(free))
        done_ns = answer_at(int(sent_ns))
        heapq.heappush(free, done_ns)
        if done_ns < end_ns:
            latencies.append((done_ns - due_ns) / 1000)
    return sorted(latencies)


@pytest.mark.parametrize(
    ("changes", "due_times"),
    [
        ({"rate": 2000.0}, constant(2000)),
        ({"rate": 200.0, "rate_end": 3000.0}, ramp(200, 3000, 3.0)),
        ({"rate": 2000.0, "arrivals": "poisson", "seed": 5}, poisson(2000, 5)),
    ],
    ids=["constant", "ramp", "poisson"],
)
def test_every_percentile_counts_from_the_due_time(
    changes: dict[str, object], due_times: Iterator[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = virtual(monkeypatch, answer_at)
    job = LoadJob(
        "127.0.0.1",
        server.port,
        "a.example",
        connections=CONNECTIONS,
        warmup_s=0.0,
        duration_s=3.0,
        body_bytes=(5, 5),
        **changes,  # type: ignore[arg-type]
    )
    counted: dict[int, int] = {}
    sent: dict[int, int] = {}

    def add(second: dict[str, list[list[int]]]) -> None:
        if second["in_window"]:
            add_counts(counted, second["latency_us"])
            add_counts(sent, second["pacing_us"])

    done = LoadWorker(job, server, add).run(0)
    server.close()
    expected = reference_us(due_times, 3e9)
    measured = [value for value in sorted(counted) for _ in range(counted[value])]
    assert done["errors_total"] == dict.fromkeys(done["errors_total"], 0)
    assert abs(len(measured) - len(expected)) <= 1
    for percent in PERCENTS:
        rank = math.ceil(percent / 100 * len(expected)) - 1
        assert measured[min(rank, len(measured) - 1)] == pytest.approx(expected[rank], rel=0.02), percent
    # Half a second's requests wait, a few on a connection and the rest for one.
    assert expected[-1] > 450_000
    assert done["queued"] > 300
    assert max(sent) > 400_000
    assert sum(sent.values()) >= len(measured)
