"""What wrk, hey, ab and h2load are told, and what their reports say. Pure: external.py runs them.

None of them checks what our clients check, and each counts in its own way; what they agree on is
worth believing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.errors import RoleError

_IN_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: a number of requests, or for so many seconds. wrk knows whole seconds only."""

    url: str
    connections: int
    requests: int | None = None
    duration_s: int | None = None
    flags: tuple[str, ...] = ()
    """What else the tool is told, in its own words."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a tool says of its run; `latency_us` has the percentiles that it tells, by percent."""

    requests: int
    """Those that were answered with the status of a success or of a redirection."""
    errors: int
    latency_us: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Tool:
    """How one of them is asked and read."""

    argv: Callable[[Load], Sequence[str]]
    read: Callable[[str], tuple[int, int, dict[float, float]]]
    counts_requests: bool = True
    """Whether it can send a number of requests, not only go on for a time."""


def read(tool: str, report: str) -> Report:
    """Return what `report` says; RoleError where it is not what the tool is known to print."""
    try:
        return Report(*TOOLS[tool].read(report))
    except LookupError as error:
        raise RoleError(tool, f"printed no {error.args[0]}", report.strip().rpartition("\n")[2]) from error


def _number(what: str, pattern: str, report: str) -> int:
    match = re.search(pattern, report)
    if match is None:
        raise LookupError(what)
    return int(match[1])


def _sum(pattern: str, report: str) -> int:
    return sum(int(count) for count in re.findall(pattern, report))


def _us(amount: str, unit: str) -> float:
    return round(float(amount) * _IN_US[unit], 3)


def _length(load: Load, count: str, duration: str, unit: str = "") -> list[str]:
    if load.requests is not None:
        return [count, str(load.requests)]
    return [duration, f"{load.duration_s}{unit}"]


def _wrk_argv(load: Load) -> list[str]:
    length = [f"-c{load.connections}", f"-d{load.duration_s}s"]
    # By default wrk counts as errors what takes longer than two seconds.
    return ["-t1", *length, "--latency", "--timeout", "20s", *load.flags, load.url]


def _read_wrk(report: str) -> tuple[int, int, dict[float, float]]:
    answered = _number("number of requests", r"(\d+) requests in", report)
    wrong_status = _sum(r"Non-2xx or 3xx responses: (\d+)", report)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report)
    broken = sum(map(int, sockets.groups())) if sockets else 0
    rows = re.findall(r"^ +(\d+)% +([\d.]+)(us|ms|s|m)$", report, re.MULTILINE)
    latency_us = {float(percent): _us(amount, unit) for percent, amount, unit in rows}
    return answered - wrong_status, wrong_status + broken, latency_us


def _hey_argv(load: Load) -> list[str]:
    length = _length(load, "-n", "-z", "s")
    return ["-cpus", "1", "-c", str(load.connections), *length, *load.flags, load.url]


def _read_hey(report: str) -> tuple[int, int, dict[float, float]]:
    if "Status code distribution:" not in report:
        raise LookupError("status codes")
    right = _sum(r"\[[23]\d\d\]\s+(\d+) responses", report)
    wrong = _sum(r"\[[145]\d\d\]\s+(\d+) responses", report)
    broken = _sum(r"(?m)^ +\[(\d+)\]\t(?!\d+ responses)", report.partition("Error distribution:")[2])
    rows = re.findall(r"(\d+)% in ([\d.]+) (s)ecs", report)
    return right, wrong + broken, {float(percent): _us(amount, unit) for percent, amount, unit in rows}


def _ab_argv(load: Load) -> list[str]:
    # With -t alone ab stops at 50,000 requests.
    length = _length(load, "-n", "-t") + ([] if load.requests else ["-n", "100000000"])
    return ["-q", "-k", *length, "-c", str(load.connections), *load.flags, load.url]


def _read_ab(report: str) -> tuple[int, int, dict[float, float]]:
    answered = _number("number of requests", r"Complete requests: +(\d+)", report)
    failed = _number("number of failures", r"Failed requests: +(\d+)", report)
    failed += _sum(r"Non-2xx responses: +(\d+)", report)
    rows = re.findall(r"^ +(\d+)% +(\d+)\b", report, re.MULTILINE)
    return answered - failed, failed, {float(percent): _us(amount, "ms") for percent, amount in rows}


def _h2load_argv(load: Load) -> list[str]:
    length = _length(load, "-n", "-D")
    return ["--h1", "-t1", "-c", str(load.connections), *length, *load.flags, load.url]


def _read_h2load(report: str) -> tuple[int, int, dict[float, float]]:
    right = _sum(r"(\d+) [23]xx", report)
    wrong = _sum(r"(\d+) [45]xx", report)
    broken = _number("number of failures", r"(\d+) failed", report)
    # h2load counts a response with a wrong status as failed too.
    longest = re.search(r"time for request: +\S+ +([\d.]+)(us|ms|s)", report)
    return right, max(wrong, broken), {} if longest is None else {100.0: _us(longest[1], longest[2])}


TOOLS: Mapping[str, Tool] = {
    "wrk": Tool(_wrk_argv, _read_wrk, counts_requests=False),
    "hey": Tool(_hey_argv, _read_hey),
    "ab": Tool(_ab_argv, _read_ab),
    "h2load": Tool(_h2load_argv, _read_h2load),
}
