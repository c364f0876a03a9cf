"""Runs as the laboratory makes them, made up: the cliff, the fix, exhausted ports, no ports at all."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.analysis import ceiling, histogram
from bench.plan import run_plan as plans
from bench.runs import storage
from bench.runs.record import (
    ERROR_KINDS,
    ROLES,
    Latencies,
    Moment,
    SubjectRecord,
    TimeWait,
    Trial,
    Upstream,
    Witnesses,
)

PORT_RANGE = 28_232
STARTED = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
MACHINE = {
    "system": "Linux",
    "kernel": "6.1.0-40-amd64",
    "cores": 2,
    "sysctls": {"net.ipv4.ip_local_port_range": "32768 60999"},
    "versions": {"bench": "0.1.0", "python": "3.11.2"},
    "load_average": [0.1, 0.1, 0.1],
}
CPU_US = {"short": (16.0, 78.0, 41.0), "keepalive": (11.0, 19.0, 9.0)}


@dataclass(frozen=True)
class Story:
    """What happens in the trials of one mode."""

    rate: float = 13_000.0
    rate_after: float = 400.0
    """After half of the ports, where there is a cliff."""
    typical_ms: float = 4.8
    slow_ms: float = 160.0
    tuples: int = PORT_RANGE
    cliff: bool = False
    exhausts: bool = False
    holder: str = "proxy"
    """The host that keeps TIME_WAIT."""


SHORT = Story(rate=10_100.0, typical_ms=5.8, cliff=True)
SHORT_NARROW = Story(rate=10_100.0, typical_ms=5.8, cliff=True, tuples=2_000, exhausts=True, rate_after=300.0)
SHORT_BACKEND_CLOSES = Story(rate=5_200.0, typical_ms=11.0, holder="backend")
SHORT_LOOPBACK = Story(rate=4_700.0, typical_ms=12.0, tuples=0, holder="proxy")
KEEPALIVE = Story(typical_ms=4.4)


def trial(
    number: int, mode: str, story: Story, duration_s: float = 6.0, lab: str = "namespaces"
) -> tuple[Trial, list[Moment], list[Latencies]]:
    """Return one trial, its timeline and its latencies; the same number gives the same trial."""
    chance = random.Random(number)
    span_s = 1.0 + duration_s
    half_s = end_s = math.inf
    moments: list[Moment] = []
    ticks: list[tuple[float, int]] = []
    used: list[tuple[float, int]] = []
    served, failed, cpu = 0, 0, dict.fromkeys(ROLES, 0.0)
    for index in range(round(span_s * 10)):
        t_s = index / 10
        if story.cliff and served >= story.tuples / 2:
            half_s = min(half_s, t_s)
        if story.exhausts and served >= story.tuples:
            end_s = min(end_s, t_s)
        rate = 0.0 if t_s >= end_s else story.rate_after if t_s >= half_s else story.rate
        requests = round(rate / 10 * (0.8 if index == 0 else chance.gauss(1.0, 0.03)))
        if story.cliff and served < story.tuples / 2 < served + requests:
            requests = round(story.tuples / 2 - served + story.rate_after / 20)
        if story.exhausts:
            requests = min(requests, story.tuples - served)
        errors = chance.randint(300, 420) if t_s >= end_s else 0
        served, failed = served + requests, failed + errors
        ticks.append((round(t_s + 0.1, 3), requests))
        opened = served if mode == "short" else 64
        waiting = opened if mode == "short" else 0
        in_use = min(story.tuples, opened if story.holder == "proxy" else 64)
        used.append((t_s + 0.1, in_use))
        for role, cost in zip(ROLES, CPU_US[mode], strict=True):
            cpu[role] += (requests * cost + (0.03 * 1e6 if t_s > half_s and role == "proxy" else 0)) / 1e6
            moments.append(
                Moment(
                    number, mode, role, round(t_s + 0.1, 3),
                    requests=requests if role == "client" else None,
                    errors=errors if role == "client" else None,
                    time_wait=(min(story.tuples or opened, waiting) if role == story.holder else 0),
                    established=64,
                    ports_used=in_use if role == "proxy" and story.tuples else None,
                    active_opens=opened if role == "proxy" else 0,
                    passive_opens=opened if role == "backend" else 64,
                    resets=0,
                    listen_overflows=0,
                    cpu_s=round(cpu[role], 4),
                    memory_mib=32.0,
                )
            )  # fmt: skip
    latencies = _latencies(chance, number, mode, story, (half_s, span_s))
    window = [count for t_s, count in ticks if t_s > 1.05]
    ports = ceiling.ports(
        ticks, used, port_range=PORT_RANGE if story.tuples else 0, tuples=story.tuples, end_s=span_s,
        exhausted_s=round(end_s, 3) if story.exhausts else None,
    )  # fmt: skip
    merged = histogram.merge(each.counts for each in latencies if each.t_s >= 1.0)
    opened = served if mode == "short" else 64
    costs = {role: cost * chance.gauss(1, 0.02) for role, cost in zip(ROLES, CPU_US[mode], strict=True)}
    after = {role: cost * (2.4 if story.cliff and role == "proxy" else 1.0) for role, cost in costs.items()}
    made = Trial(
        trial=number, mode=mode, closes_first="proxy" if mode == "short" and story.holder == "proxy" else
        "backend" if mode == "short" else None,
        subject=SubjectRecord("asyncio", "0.1.0"), lab=lab, warmup_s=1.0, duration_s=duration_s,
        requests=sum(window), errors={**dict.fromkeys(ERROR_KINDS, 0), "status": failed},
        requests_per_s=sum(window) / duration_s,
        latency_ms=histogram.percentiles_ms(merged),
        connect_ms=histogram.percentiles_ms({310: 40, 420: 20, 900: 4}),
        upstream=Upstream(served, opened, served if mode == "short" else 64, served / opened,
                          Witnesses(opened, opened if lab == "namespaces" else None, opened),
                          {"address_exhausted": failed, "refused": 0, "reset": 0, "timeout": 0}),
        time_wait={role: TimeWait(min(story.tuples or opened, opened), min(story.tuples or opened, opened))
                   if role == story.holder and mode == "short" else TimeWait() for role in ROLES},
        ports=ports, cpu_us_per_request={**after}, cpu_us_per_request_before_cliff={**costs},
        memory_mib={"client": 31.0, "proxy": 33.0, "backend": 30.0}, observer_cpu_share=0.011, overhead_s=1.2,
    )  # fmt: skip
    return made, moments, latencies


def _latencies(
    chance: random.Random, number: int, mode: str, story: Story, moments_s: tuple[float, float]
) -> list[Latencies]:
    seconds = []
    half_s, span_s = moments_s
    for second in range(math.ceil(span_s)):
        slow = second + 0.5 >= half_s
        typical_us = 1000 * (story.slow_ms if slow else story.typical_ms)
        count = round(story.rate_after if slow else story.rate)
        counts: dict[int, int] = {}
        for _ in range(400):
            value = typical_us * math.exp(chance.gauss(0, 0.22))
            value *= 1 + (chance.paretovariate(2.5) - 1 if chance.random() < 0.03 else 0)
            digits = max(0, len(str(round(value))) - 3)
            rounded = round(value / 10**digits) * 10**digits
            counts[rounded] = counts.get(rounded, 0) + max(1, count // 400)
        seconds.append(Latencies(number, mode, "latency", float(second), 1.0, counts))
    return seconds


def write(
    root: Path, stories: dict[str, Story], trials: int = 3, duration_s: float = 6.0, **plan: object
) -> Path:
    """Write a run whose modes follow `stories`, interleaved, and return its folder."""
    mode = "both" if len(stories) == 2 else next(iter(stories))
    lab = str(plan.get("lab", "namespaces"))
    built = plans.build({"mode": mode, "trials": trials, **plan})
    with storage.create(root, built.to_json(), MACHINE, started=STARTED) as writer:
        numbered = [name for _ in range(trials) for name in stories]
        for number, name in enumerate(numbered, 1):
            writer.add(*trial(number, name, stories[name], duration_s, lab))
    return writer.directory
