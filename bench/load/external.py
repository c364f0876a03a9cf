"""A second opinion: wrk, hey, ab and h2load against the same server, and what each of them says.

None of them checks what our clients check, and each counts in its own way; what they agree on is
worth believing. Reading their reports is pure; `run` starts one and waits for it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
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


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a tool said of its run; `latency_us` has the percentiles that it tells, by percent."""

    tool: str
    requests: int
    errors: int
    latency_us: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class _Tool:
    argv: Callable[[Load], Sequence[str]]
    read: Callable[[str], tuple[int, int, dict[float, float]]]
    counts_requests: bool = True


def missing(tools: Sequence[str]) -> list[str]:
    """Return those of `tools` that are not installed."""
    return [tool for tool in tools if shutil.which(tool) is None]


def run(tool: str, load: Load, timeout_s: float = 300.0) -> Opinion:
    """Run one tool to its end; RoleError where it is missing, fails, or says what cannot be read."""
    if missing([tool]):
        raise RoleError(tool, "is not installed; install it or leave it out")
    if load.requests is not None and not TOOLS[tool].counts_requests:
        raise RoleError(tool, "cannot send a number of requests; give it a duration")
    try:
        ran = subprocess.run(
            [tool, *TOOLS[tool].argv(load)], capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired as error:
        raise RoleError(tool, f"still runs after {timeout_s:g} s") from error
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).strip().rpartition("\n")[2]
        raise RoleError(tool, f"ended with exit code {ran.returncode}", said)
    return read(tool, ran.stdout)


def read(tool: str, report: str) -> Opinion:
    """Return what `report` says; RoleError where it is not what the tool is known to print."""
    try:
        requests, errors, latency_us = TOOLS[tool].read(report)
    except LookupError as error:
        raise RoleError(tool, f"printed no {error.args[0]}", report.strip().rpartition("\n")[2]) from error
    return Opinion(tool, requests, errors, latency_us)


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
    return ["-t1", f"-c{load.connections}", f"-d{load.duration_s}s", "--latency", load.url]


def _read_wrk(report: str) -> tuple[int, int, dict[float, float]]:
    answered = _number("number of requests", r"(\d+) requests in", report)
    wrong_status = _sum(r"Non-2xx or 3xx responses: (\d+)", report)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report)
    broken = sum(map(int, sockets.groups())) if sockets else 0
    rows = re.findall(r"^ +(\d+)% +([\d.]+)(us|ms|s|m)$", report, re.MULTILINE)
    latency_us = {float(percent): _us(amount, unit) for percent, amount, unit in rows}
    return answered - wrong_status, wrong_status + broken, latency_us


def _hey_argv(load: Load) -> list[str]:
    return ["-c", str(load.connections), *_length(load, "-n", "-z", "s"), load.url]


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
    return ["-q", "-k", *length, "-c", str(load.connections), load.url]


def _read_ab(report: str) -> tuple[int, int, dict[float, float]]:
    answered = _number("number of requests", r"Complete requests: +(\d+)", report)
    failed = _number("number of failures", r"Failed requests: +(\d+)", report)
    failed += _sum(r"Non-2xx responses: +(\d+)", report)
    rows = re.findall(r"^ +(\d+)% +(\d+)\b", report, re.MULTILINE)
    return answered - failed, failed, {float(percent): _us(amount, "ms") for percent, amount in rows}


def _h2load_argv(load: Load) -> list[str]:
    return ["--h1", "-t1", "-c", str(load.connections), *_length(load, "-n", "-D"), load.url]


def _read_h2load(report: str) -> tuple[int, int, dict[float, float]]:
    right = _sum(r"(\d+) [23]xx", report)
    wrong = _sum(r"(\d+) [45]xx", report)
    broken = _number("number of failures", r"(\d+) failed", report)
    # h2load counts a response with a wrong status as failed too.
    longest = re.search(r"time for request: +\S+ +([\d.]+)(us|ms|s)", report)
    return right, max(wrong, broken), {} if longest is None else {100.0: _us(longest[1], longest[2])}


TOOLS: Mapping[str, _Tool] = {
    "wrk": _Tool(_wrk_argv, _read_wrk, counts_requests=False),
    "hey": _Tool(_hey_argv, _read_hey),
    "ab": _Tool(_ab_argv, _read_ab),
    "h2load": _Tool(_h2load_argv, _read_h2load),
}
