"""Format load tests of configurations as plain text: a small table and one sentence."""

import textwrap
from collections.abc import Sequence

from bench.prove.load_test import CONNECTIONS, SIDES, Cost
from bench.report.text_table import format_number, prose_width

_ROWS = (
    ("requests/s", "requests_per_s"),
    ("latency p99, ms", "p99_ms"),
    ("CPU nginx, us/request", "nginx_cpu_us_per_request"),
    ("connections per request", "connections_per_request"),
    ("TIME_WAIT nginx", "time_wait_nginx"),
    ("TIME_WAIT backend", "time_wait_backend"),
    ("errors", "errors"),
)
_WIDTH = 14


def format_costs(found: Sequence[Cost]) -> str:
    """Return a table of medians for each nginx, and its summary."""
    return "\n".join("\n".join(_format_cost(each)) for each in found) + "\n"


def _format_cost(found: Cost) -> list[str]:
    if found.location is None:
        return [f"load, nginx {found.version}: {found.missing}"]
    passing = found.location.pass_location
    place = f"{passing.context} -> {passing.target} ({passing.directive.place})"
    title = f"load, nginx {found.version}: {place}"
    if found.missing:
        return [f"{title}: {found.missing}"]
    lines = [
        f"{title}, {CONNECTIONS} clients, medians of {len(found.windows) // len(SIDES)}",
        "  " + " " * 24 + "".join(f"{side:>{_WIDTH}}" for side in SIDES),
    ]
    for name, figure in _ROWS:
        values = [found.median(side, figure) for side in SIDES]
        lines.append(f"  {name:<24}" + "".join(f"{_format_value(value):>{_WIDTH}}" for value in values))
    return [*lines, *textwrap.wrap(_summarize(found), prose_width() - 2)]


def _format_value(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if 0 < value < 0.1 else format_number(value)


def _summarize(found: Cost) -> str:
    cpu, rate = (_ratio(found, name) for name in ("nginx_cpu_us_per_request", "requests_per_s"))
    opened = found.median("repaired", "connections_per_request") or 0.0
    per_connection = (
        f"one connection for {format_number(1 / opened)} requests" if opened else "no new connections"
    )
    before = found.median("as it is", "connections_per_request") or 0.0
    return (
        f"Repaired, it opens {per_connection} instead of {format_number(before)} for each,"
        f" spends {format_number(100 * cpu)} % of nginx's CPU per request"
        f" and serves {format_number(rate)}x as many."
    )


def _ratio(found: Cost, name: str) -> float:
    old, new = (found.median(side, name) or 0.0 for side in SIDES)
    return new / old if old else float("nan")
