"""Format what `bench size` computes: sizes of pools, what is used up first, and where the formulas end."""

import math
from collections.abc import Iterator

from bench import units
from bench.analysis import pool_reuse
from bench.analysis.fleet_pools import PoolRow, ProxyFleet
from bench.analysis.proxy_fleet import Limit, Sizing
from bench.report.html import Table
from bench.report.text_table import format_number, format_table, format_warnings, wrap

_COLUMNS = (
    "Requests each: what a connection carries. New/s and TIME_WAIT: connections of one proxy, which closes"
    " first and has ports enough. On a backend: the connections to expect there, for 95 % of the time, and"
    " the most to provide for."
)
_ASSUMED = (
    "It holds where {arrive}, spread evenly over {spread}, and the latency stays the same under load: below"
    " every rate of the second table, and below that of the processors, which is not computed. Bursts need"
    " more."
)
_SPREAD = {
    "turns": "in turns of 16, as nginx's do since 1.21.6",
    "random": "at random, as with reuseport",
    "first": "so that the first has all, as nginx's does from 1.11.3 to 1.21.5",
}


def format_sizing(sizing: Sizing) -> str:
    """Return the whole answer as text."""
    parts = [wrap(" ".join(_sentences(sizing))), "\n", format_table(_build_pools(sizing))]
    parts += [wrap(_COLUMNS), "\n", format_table(_build_limits(sizing), are_figures=False)]
    if sizing.remedies:
        parts.append(format_table(_build_remedies(sizing), are_figures=False))
    warnings = [f"this prediction does not hold: {reason}" for reason in sizing.stops]
    return "".join([*parts, wrap(_format_assumed(sizing.fleet)), "\n", format_warnings(warnings)])


def _sentences(sizing: Sizing) -> Iterator[str]:
    fleet, chosen = sizing.fleet, sizing.chosen
    load = fleet.load(fleet.rate)
    workers = "one worker" if fleet.pools == 1 else f"each of {fleet.pools:,} workers"
    yield (
        f"{units.rate(fleet.rate)} of {units.milliseconds(1000 * fleet.latency_s)} are"
        f" {format_number(load * fleet.pools)} requests in flight:"
        f" {format_number(load)} in {workers} on average, {pool_reuse.in_flight(load):,} at the most."
    )
    yield (
        f"With keepalive {chosen.keepalive:,} in each worker {_format_share(chosen.reused_share)} of the"
        f" requests reuse a connection{_format_between(sizing)}; a connection carries"
        f" {format_number(chosen.requests_per_connection)}."
    )
    yield (
        f"Connections on a backend: expect {_format_expected(chosen)}, and provide for"
        f" {chosen.backend_connections:,.0f}."
    )
    yield _format_needed(sizing)
    yield _format_first(sizing)


def _format_between(sizing: Sizing) -> str:
    """Return what the reuse lies between, since nobody knows how the workers of a proxy share its clients."""
    here = _format_share(sizing.chosen.reused_share)
    even, few = _format_share(sizing.even), here
    if sizing.unspread is not None:
        few = _format_share(sizing.unspread)
    bounds = [f"{few} where one worker of each proxy has all clients"] if few != here else []
    bounds += [f"{even} where all have as many"] if even != here else []
    return f" ({', '.join(bounds)})" if bounds and sizing.fleet.workers > 1 else ""


def _format_expected(row: PoolRow) -> str:
    low, high = round(row.backend_connections_low), round(row.backend_connections_high)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _format_needed(sizing: Sizing) -> str:
    target = _format_share(sizing.target)
    if sizing.most < sizing.target:
        return (
            f"No size reaches {target}: connections end for age and use, so that"
            f" {_format_share(sizing.most)} is the most, with {sizing.needed:,}."
        )
    if sizing.chosen.keepalive == sizing.needed:
        return f"That is the smallest size for {target}."
    return f"The smallest size for {target} is {sizing.needed:,}."


def _format_assumed(fleet: ProxyFleet) -> str:
    arrive = "requests arrive independently of each other"
    if fleet.closed_loop:
        arrive = "each client sends a request after each response"
    spread = "proxies, workers and backends"
    if fleet.workers > 1 and (fleet.clients is not None or fleet.accepting == "first"):
        spread = f"proxies and backends, where workers accept clients {_SPREAD[fleet.accepting]}"
    return _ASSUMED.format(arrive=arrive, spread=spread)


def _format_first(sizing: Sizing) -> str:
    first = sizing.limits[0]
    if first.rate is None:
        return "Nothing that is computed here is ever used up."
    answer = f"What is used up first: {first.name}, from {_format_rate(first)} on ({first.consequence})"
    if first.after_s is None:
        return f"{answer}."
    return f"{answer}; at {units.rate(sizing.fleet.rate)} after {first.after_s:.1f} s."


def _build_pools(sizing: Sizing) -> Table:
    columns = ("keepalive", "reused", "requests each", "new/s", "TIME_WAIT", "on a backend", "at most")
    return Table(columns, [_format_pool(row, sizing) for row in sizing.rows])


def _format_pool(row: PoolRow, sizing: Sizing) -> list[str]:
    return [
        f"{row.keepalive:,}{' *' if row.keepalive == sizing.chosen.keepalive else ''}",
        _format_share(row.reused_share),
        format_number(row.requests_per_connection),
        format_number(row.opened_per_s, "1/s"),
        f"{row.time_wait:,.0f}",
        _format_expected(row),
        f"{row.backend_connections:,.0f}",
    ]


def _build_limits(sizing: Sizing) -> Table:
    columns = ("what is used up", "there are", "used", "from", "then")
    return Table(columns, [_format_limit(limit) for limit in sizing.limits])


def _format_limit(limit: Limit) -> list[str]:
    late = "" if limit.after_s is None else f" (here after {limit.after_s:.1f} s)"
    most, used = f"{limit.most:,.0f}", f"{limit.used:,.0f}"
    return [limit.name, most, used, _format_rate(limit), f"{limit.consequence}{late}"]


def _format_rate(limit: Limit) -> str:
    if limit.rate is None:
        return "never"
    return units.rate(limit.rate) if limit.rate else "any rate"


def _build_remedies(sizing: Sizing) -> Table:
    rows = []
    for remedy in sizing.remedies:
        most = "no bound" if math.isinf(remedy.requests_per_s) else units.rate(remedy.requests_per_s)
        rows.append((remedy.name, most, "yes" if remedy.holds else "no", remedy.change))
    return Table(("for one proxy", "holds up to", "enough", "change"), rows)


def _format_share(share: float) -> str:
    percent = 100 * share
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return "over 99.9 %" if 99.9 < percent < 100 else f"{percent:.3g} %"
