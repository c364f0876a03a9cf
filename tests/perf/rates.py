"""Part a-rates: how punctually our open loop sends, and whether rates and latencies are those of others.

Beside others the server takes 5 ms for each request. Beside wrk it is the limit. Beside h2load both send at a
rate, h2load over all its connections at the same moment. wrk adds latencies to its own where a stall kept it
from sending, so that its p99 is ours only where nothing stalls.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

from bench.lab import split_address
from bench.load import external
from bench.load.counters import add_counts
from bench.load.standalone import percentiles
from bench.load.tools import ToolLoad
from bench.observe.process_tree import ProcessTree
from tests.perf import loaders, pairs, subjects
from tests.perf.pairs import Row, Target
from tests.perf.settings import Settings
from tests.perf.stage import PYTHON, stage

PART = "a-rates"
CONNECTIONS = 20
PACED_CONNECTIONS = 200
"""So many that a request which is due finds one idle, also while the server stalls."""
RATE = 1000
"""Requests per second of both in an open loop: little for the server, so that neither has to wait."""
WARMUP_S = 0.5
SHARE = 0.6
"""Of the capacity of our generator: where it is to be punctual."""
_BEYOND = 1e6
"""A rate that no generator here has, so that it sends as fast as it can."""
_UNDISTURBED = 0.02
"""The most that the generator may wait for its core, as a share of the time."""
_US = 1e6


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of a generator came to; latencies in microseconds."""

    requests_per_s: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Paced:
    """How punctual one run of ours was."""

    sent_per_s: float
    within_1_ms: float
    """Share of the requests that were sent within a millisecond of their due time."""
    run_queue_wait: float
    """Share of the time that the generator waited for its core."""
    measured: Measured


Generator = Callable[[], Measured]


def measure(settings: Settings) -> Iterator[Row]:
    """Yield the rows of pacing, of wrk in a closed loop, and of h2load at a rate."""
    with stage() as opened, TemporaryDirectory() as folder:
        server = subjects.serve(opened, Path(folder) / "server")
        yield from _pacing(server, opened.near, settings)
        service = opened.backend(opened.far, "--delay", "5ms").address
        closed: dict[str, Generator] = {
            "ours": partial(_ours, service, opened.near, settings.window_s, None),
            "wrk": partial(_wrk, service, opened.near, settings.window_s),
        }
        yield from _beside("closed loop, the server is the limit", "wrk", closed, settings)
        at_rate: dict[str, Generator] = {
            "ours": partial(_ours, service, opened.near, settings.window_s, float(RATE)),
            "h2load": partial(_h2load, service, opened.near, settings.window_s),
        }
        yield from _beside(f"open loop, {RATE:,}/s", "h2load", at_rate, settings)


def _pacing(server: str, cores: set[int], settings: Settings) -> Iterator[Row]:
    capacity = _paced(server, cores, 1, _BEYOND).sent_per_s
    rate = SHARE * capacity
    runs = [
        _paced(server, cores, settings.window_s, rate, PACED_CONNECTIONS)
        for _ in range(settings.generator_rounds)
    ]
    calm = [run for run in runs if run.run_queue_wait < _UNDISTURBED]
    note = f"{len(calm)} of {len(runs)} undisturbed; capacity {capacity:,.0f}/s"
    what = f"open loop at {SHARE:.0%} of its capacity"
    if not calm:
        yield pairs.missing(PART, what, "", note)
        return
    off = [100 * abs(run.sent_per_s / rate - 1) for run in calm]
    late = [100 * (1 - run.within_1_ms) for run in calm]
    for unit, values, limit in (("rate off by, %", off, 0.5), ("later than 1 ms, %", late, 1.0)):
        row = pairs.alone(PART, what, unit, values, Target(limit, "ours"))
        yield Row(row.part, row.what, row.unit, row.ours, target=row.target, met=row.met, notes=(note,))


def _beside(what: str, other: str, generators: dict[str, Generator], settings: Settings) -> Iterator[Row]:
    if external.missing((other,)):
        yield pairs.missing(PART, what, other, "not installed")
        return
    found: dict[str, list[Measured]] = defaultdict(list)
    for round_ in range(-1, settings.generator_rounds):  # the first warms up, and does not count
        for name in pairs.order(list(generators), round_ + 1):
            measured = generators[name]()
            if round_ >= 0:
                found[name].append(measured)
    for unit, figure in (("requests/s", "requests_per_s"), ("p50, us", "p50"), ("p99, us", "p99")):
        ours, theirs = ([getattr(each, figure) for each in found[name]] for name in ("ours", other))
        yield pairs.beside(Row(PART, what, unit, None), other, ours, theirs)


def _ours(server: str, cores: set[int], window_s: int, rate: float | None) -> Measured:
    return _paced(server, cores, window_s, rate).measured


def _paced(
    server: str, cores: set[int], window_s: int, rate: float | None, connections: int = CONNECTIONS
) -> Paced:
    """Run one worker of ours for a window, every response checked."""
    host, port = split_address(server)
    job = {
        "host": host,
        "port": port,
        "host_field": server,
        "connections": connections,
        "rate": rate,
        "warmup_s": WARMUP_S,
        "duration_s": float(window_s),
        "total_timeout_s": 1.0,
        "body_bytes": (2, 2),
    }
    with loaders.on(cores):
        process = subprocess.Popen(
            [PYTHON, "-m", "bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        process.stdout.readline()  # ready
        tree = ProcessTree(process.pid)
        before_s = tree.run_queue_wait_s() or 0.0
        process.stdin.write('{"command": "go"}\n')
        process.stdin.flush()
        began, waited_s = time.monotonic(), 0.0
        seconds: list[dict[str, Any]] = []
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "done":
                break
            seconds.append(event)
            waited_s = (tree.run_queue_wait_s() or 0.0) - before_s
        process.stdin.close()
    return _summary([each for each in seconds if each["in_window"]], waited_s / (time.monotonic() - began))


def _summary(window: list[dict[str, Any]], run_queue_wait: float) -> Paced:
    latency: dict[int, int] = {}
    pacing: dict[int, int] = {}
    for each in window:
        add_counts(latency, each["latency_us"])
        add_counts(pacing, each.get("pacing_us", ()))
    length_s = (window[-1]["end_ns"] - window[0]["start_ns"]) / 1e9
    sent = sum(pacing.values())
    found = percentiles(latency)
    measured = Measured(sum(latency.values()) / length_s, float(found["p50"] or 0), float(found["p99"] or 0))
    within = sum(count for value, count in pacing.items() if value <= 1000)
    return Paced(sent / length_s, within / sent if sent else 0.0, run_queue_wait, measured)


def _wrk(server: str, cores: set[int], window_s: int) -> Measured:
    with loaders.on(cores):
        run = external.run("wrk", ToolLoad(f"http://{server}/", CONNECTIONS, duration_s=window_s))
    return Measured(run.requests_per_s, run.report.latency_us[50.0], run.report.latency_us[99.0])


def _h2load(server: str, cores: set[int], window_s: int) -> Measured:
    """Run h2load at the rate; its log has a row for each request: start, status and time in microseconds."""
    with NamedTemporaryFile("r", prefix="h2load-") as log:
        each = f"--rps={RATE / CONNECTIONS:g}"
        load = ToolLoad(
            f"http://{server}/", CONNECTIONS, duration_s=window_s, flags=(each, f"--log-file={log.name}")
        )
        with loaders.on(cores):
            external.run("h2load", load)
        rows = [line.split() for line in log]
    # Each of its clients sends more than one request at once when it has connected.
    begin_us = min((int(row[0]) for row in rows), default=0) + WARMUP_S * _US
    steady = [row for row in rows if int(row[0]) >= begin_us]
    counted: dict[int, int] = {}
    add_counts(counted, ([int(row[2]), 1] for row in steady))
    found = percentiles(counted)
    length_s = (max(int(row[0]) for row in steady) - begin_us) / _US
    return Measured(len(steady) / length_s, float(found["p50"] or 0), float(found["p99"] or 0))
