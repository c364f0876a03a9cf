"""Command lines of wrk, hey, ab and h2load, and the parsers of their reports. Pure: external.py runs them.

None of them checks what our clients check, and each counts in its own way; what they agree on is credible.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.errors import RoleError

_US_PER_UNIT = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


@dataclass(frozen=True, slots=True)
class ToolLoad:
    """The load: a number of requests, or a duration in whole seconds, as wrk requires."""

    url: str
    connections: int
    requests: int | None = None
    duration_s: int | None = None
    flags: tuple[str, ...] = ()
    """Further flags of the tool."""


@dataclass(frozen=True, slots=True)
class ToolReport:
    """The results that a tool prints; `latency_us` maps the reported percents to latencies."""

    requests: int
    """Requests answered with a status 2xx or 3xx."""
    errors: int
    latency_us: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Tool:
    """The command line of a tool, and the parser of its report."""

    argv: Callable[[ToolLoad], Sequence[str]]
    parse: Callable[[str], tuple[int, int, dict[float, float]]]
    counts_requests: bool = True
    """Whether it accepts a number of requests, not only a duration."""


def parse_report(tool: str, report: str) -> ToolReport:
    """Return the results in `report`; raise RoleError if it is not in the tool's known format."""
    try:
        return ToolReport(*TOOLS[tool].parse(report))
    except LookupError as error:
        raise RoleError(tool, f"printed no {error.args[0]}", report.strip().rpartition("\n")[2]) from error


def _number(what: str, pattern: str, report: str) -> int:
    match = re.search(pattern, report)
    if match is None:
        raise LookupError(what)
    return int(match[1])


def _sum(pattern: str, report: str) -> int:
    return sum(int(count) for count in re.findall(pattern, report))


def _to_us(amount: str, unit: str) -> float:
    return round(float(amount) * _US_PER_UNIT[unit], 3)


def _length(load: ToolLoad, count: str, duration: str, unit: str = "") -> list[str]:
    if load.requests is not None:
        return [count, str(load.requests)]
    return [duration, f"{load.duration_s}{unit}"]


def _wrk_argv(load: ToolLoad) -> list[str]:
    length = [f"-c{load.connections}", f"-d{load.duration_s}s"]
    # By default wrk counts responses after two seconds as errors.
    return ["-t1", *length, "--latency", "--timeout", "20s", *load.flags, load.url]


def _parse_wrk(report: str) -> tuple[int, int, dict[float, float]]:
    answered = _number("number of requests", r"(\d+) requests in", report)
    wrong_status = _sum(r"Non-2xx or 3xx responses: (\d+)", report)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report)
    broken = sum(map(int, sockets.groups())) if sockets else 0
    rows = re.findall(r"^ +(\d+)% +([\d.]+)(us|ms|s|m)$", report, re.MULTILINE)
    latency_us = {float(percent): _to_us(amount, unit) for percent, amount, unit in rows}
    return answered - wrong_status, wrong_status + broken, latency_us


def _hey_argv(load: ToolLoad) -> list[str]:
    length = _length(load, "-n", "-z", "s")
    return ["-cpus", "1", "-c", str(load.connections), *length, *load.flags, load.url]


def _parse_hey(report: str) -> tuple[int, int, dict[float, float]]:
    if "Status code distribution:" not in report:
        raise LookupError("status codes")
    succeeded = _sum(r"\[[23]\d\d\]\s+(\d+) responses", report)
    failed = _sum(r"\[[145]\d\d\]\s+(\d+) responses", report)
    broken = _sum(r"(?m)^ +\[(\d+)\]\t(?!\d+ responses)", report.partition("Error distribution:")[2])
    rows = re.findall(r"(\d+)% in ([\d.]+) (s)ecs", report)
    return (
        succeeded,
        failed + broken,
        {float(percent): _to_us(amount, unit) for percent, amount, unit in rows},
    )


def _ab_argv(load: ToolLoad) -> list[str]:
    # Without -n, ab stops at 50,000 requests.
    length = _length(load, "-n", "-t") + ([] if load.requests else ["-n", "100000000"])
    return ["-q", "-k", *length, "-c", str(load.connections), *load.flags, load.url]


def _parse_ab(report: str) -> tuple[int, int, dict[float, float]]:
    answered = _number("number of requests", r"Complete requests: +(\d+)", report)
    failed = _number("number of failures", r"Failed requests: +(\d+)", report)
    failed += _sum(r"Non-2xx responses: +(\d+)", report)
    rows = re.findall(r"^ +(\d+)% +(\d+)\b", report, re.MULTILINE)
    return answered - failed, failed, {float(percent): _to_us(amount, "ms") for percent, amount in rows}


def _h2load_argv(load: ToolLoad) -> list[str]:
    length = _length(load, "-n", "-D")
    return ["--h1", "-t1", "-c", str(load.connections), *length, *load.flags, load.url]


def _parse_h2load(report: str) -> tuple[int, int, dict[float, float]]:
    succeeded = _sum(r"(\d+) [23]xx", report)
    failed = _sum(r"(\d+) [45]xx", report)
    broken = _number("number of failures", r"(\d+) failed", report)
    # h2load counts a response with an error status as failed too.
    longest = re.search(r"time for request: +\S+ +([\d.]+)(us|ms|s)", report)
    return succeeded, max(failed, broken), {} if longest is None else {100.0: _to_us(longest[1], longest[2])}


TOOLS: Mapping[str, Tool] = {
    "wrk": Tool(_wrk_argv, _parse_wrk, counts_requests=False),
    "hey": Tool(_hey_argv, _parse_hey),
    "ab": Tool(_ab_argv, _parse_ab),
    "h2load": Tool(_h2load_argv, _parse_h2load),
}
