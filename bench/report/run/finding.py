"""What a run found, in sentences: the one under the table, the title of the picture. Pure."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Sequence

from bench import units
from bench.analysis import metrics
from bench.analysis.sides import Side, differences, split
from bench.report.figures import number
from bench.runs.record import Run, Trial

_SMALL_PRINT_WIDTH = 200
"""Characters of the picture's small print that fit on one of its lines."""
_NOTHING = "No trial was finished"


def sentence(run: Run) -> str:
    """Return one sentence: what each mode opened for how many requests, the cliff, and the ratio."""
    sides = [side for side in split(run) if shown(side)]
    if not sides:
        return f"{_NOTHING}, so there is nothing to tell."
    clauses = [_opened(side) for side in sides]
    if {side.mode for side in sides} == {"short", "keepalive"}:
        short, keepalive = sorted(sides, key=lambda side: side.mode, reverse=True)
        clauses.append(_advantage(short, keepalive))
    text = "; ".join(clause for clause in clauses if clause)
    return text[0].upper() + text[1:] + "."


def title(run: Run) -> str:
    """Return what a stranger should take away, in a dozen words; `sentence` says it whole."""
    sides = {side.mode: side for side in split(run) if shown(side)}
    if not sides:
        return _NOTHING
    told = _taken_away(sides)
    if all(side.counted for side in sides.values()):
        return told
    return f"Not to be relied on, see below: {told[0].lower()}{told[1:]}"


def _taken_away(sides: dict[str, Side]) -> str:
    if sides.keys() == {"short", "keepalive"}:
        short, keepalive = sides["short"], sides["keepalive"]
        rate_, old_rate = median(keepalive, "requests_per_s"), median(short, "requests_per_s")
        if rate_ and old_rate:
            said = f"Keep-alive upstream connections: {units.ratio(rate_ / old_rate)} the requests per second"
            share = _cpu_share(short, keepalive)
            return said if share is None else f"{said} at {share} of the proxy CPU"
    told = headline(tuple(sides.values()))[0]
    return told[0].upper() + told[1:]


def next_command(run: Run) -> str:
    """Return the command to type next."""
    if not any(trial.valid for trial in run.trials):
        return "bench doctor"
    seen = {trial.mode for trial in run.trials}
    if len(seen) > 1:
        return f"bench compare {run.directory}"
    return f"bench run --mode {'keepalive' if 'short' in seen else 'short'}"


def headline(sides: Sequence[Side]) -> list[str]:
    """Return the title of the picture: how fast each side was, on how many connections, and its cliff.

    Where nobody met the cliff, the difference is the price: then the proxy's CPU stands there too.
    """
    told = [side for side in sides if shown(side)]
    if {side.mode for side in told} == {"short", "keepalive"} and len(told) == 2:
        told.sort(key=lambda side: side.mode)  # the fix first: it is what the eye should take away
    cliff = any(median(side, "ports.half_range_passed_s") is not None for side in told)
    prices = ["" if cliff else _price(side) for side in told]
    return [_summed_up(side) + price for side, price in zip(told, prices, strict=True)] or [_NOTHING]


def conditions(sides: Sequence[Side]) -> str:
    """Return the small print of the picture: what was measured, where, how often, and what differs."""
    trials = [trial for side in sides for trial in side.trials]
    subjects = sorted({f"{trial.subject.name} {trial.subject.version}" for trial in trials})
    labs = sorted({trial.lab for trial in trials})
    kernels = sorted({str(side.run.machine.get("kernel", "unknown")) for side in sides})
    loads = sorted({side.run.plan.get("load", {}).get("connections", 0) for side in sides})
    facts = (
        f"proxy: {', '.join(subjects)}",
        f"lab: {', '.join(labs)}",
        f"kernel: {', '.join(kernels)}",
        f"client connections: {', '.join(map(str, loads))}",
        "thin lines: single trials; bold: their median",
    )
    return "  ·  ".join(facts) + "\n" + textwrap.fill("  ·  ".join(_told_apart(sides)), _SMALL_PRINT_WIDTH)


def _told_apart(sides: Sequence[Side]) -> list[str]:
    """Say of each side how many trials count, and its mode and its plan where its name does not."""
    different = {key: row for key, row in differences(sides).items() if key.startswith("plan.")}
    lettered = any(len(side.name) == 1 for side in sides)
    told = []
    for index, side in enumerate(sides):
        facts = [f"{len(side.counted)} of {len(side.trials)} trials count"]
        facts += [side.mode] if side.name != side.mode else []
        if lettered:
            facts += [f"{key.removeprefix('plan.')} {row[index]}" for key, row in different.items()]
        told.append(f"{side.name}: {', '.join(facts)}")
    return told


def shown(side: Side) -> tuple[Trial, ...]:
    """Return the trials that count, or all of them where none does: better than an empty table."""
    return side.counted or side.trials


def figures(side: Side, key: str) -> list[float]:
    """Return the metric called `key` of each trial that counts for it, or of all where none does."""
    metric = metrics.named(key)
    return metrics.values(metric, side.counted_for(metric) or side.trials)


def median(side: Side, key: str) -> float | None:
    values = figures(side, key)
    return statistics.median(values) if values else None


def rate(side: Side) -> str:
    rate = median(side, "requests_per_s")
    return "-" if rate is None else units.rate(rate)


def _opened(side: Side) -> str:
    void = "" if side.counted else " (no trial counts)"
    if median(side, "upstream.connections_opened") is None:
        return f"{side.mode}{void} was answered{_course(side)}"
    opened = units.count(median(side, "upstream.connections_opened") or 0)
    requests = units.count(median(side, "upstream.requests_total") or 0)
    return (
        f"{side.mode}{void} opened {opened} connections for {requests} requests{_course(side)}{_lost(side)}"
    )


def _lost(side: Side) -> str:
    """Say how many pooled connections the backend ended, and what that cost."""
    lost, failed = median(side, "upstream.lost"), median(side, "errors")
    if not lost:
        return ""
    said = f", and the backend ended {units.count(lost)} of those connections"
    return f"{said} ({units.count(failed)} request{'' if failed == 1 else 's'} failed)" if failed else said


def _course(side: Side) -> str:
    """Say how the rate went: with or without a cliff, up to the end of the ports."""
    half_s, before, after = (
        median(side, f"ports.{key}") for key in ("half_range_passed_s", "rate_before", "rate_after")
    )
    if half_s is None:
        return f" at {rate(side)}"
    tuples = units.count(max(trial.ports.tuples for trial in shown(side)))
    said = f", passed half of its {tuples} ports after {number(half_s, 's')} s{_how_many(side)}"
    if before is not None and after is not None:
        said += f" and went from {units.rate(before)} to {units.rate(after)}"
    exhausted_s = median(side, "ports.exhausted_s")
    if exhausted_s is not None:
        errors = units.count(median(side, "errors") or 0)
        said += f", and had none left after {number(exhausted_s, 's')} s ({errors} errors)"
    return said


def _how_many(side: Side) -> str:
    """Say in how many trials half of the ports were passed, where it was not in all of them."""
    passed = sum(trial.ports.half_range_passed_s is not None for trial in shown(side))
    return "" if passed == len(shown(side)) else f" (in {passed} of {len(shown(side))} trials)"


def _advantage(short: Side, keepalive: Side) -> str:
    rate, old_rate = median(keepalive, "requests_per_s"), median(short, "requests_per_s")
    if not rate or not old_rate:
        return ""
    said = f"keepalive serves {units.ratio(rate / old_rate)} the requests per second"
    before, after = median(short, "ports.rate_before"), median(short, "ports.rate_after")
    if before and after:
        said += f" ({units.ratio(rate / before)} before that point, {units.ratio(rate / after)} after it)"
    share = _cpu_share(short, keepalive)
    if share is not None:
        ahead = ", even before that point" if before else ""
        said += f" at {share} of the proxy CPU per request{ahead}"
    return said


def _cpu_share(short: Side, keepalive: Side) -> str | None:
    """Return the proxy's CPU per request in keep-alive mode, as a share of that in short before the cliff."""
    key = "cpu_us_per_request_before_cliff.proxy"
    cost, old_cost = median(keepalive, key), median(short, key)
    return f"{100 * cost / old_cost:.0f} %" if cost and old_cost else None


def _summed_up(side: Side) -> str:
    half_s, before, after = (
        median(side, f"ports.{key}") for key in ("half_range_passed_s", "rate_before", "rate_after")
    )
    if half_s is None or before is None or after is None:
        opened = median(side, "upstream.connections_opened")
        on = "" if opened is None else f" on {units.count(opened)} connections"
        return f"{_name(side)}: {_requests(median(side, 'requests_per_s') or 0)}{on}"
    tuples = units.count(max(trial.ports.tuples for trial in shown(side)))
    said = f"{_name(side)}: {_requests(before)} until half of the {tuples} ports were used after"
    said += f" {number(half_s, 's')} s{_how_many(side)}, then {units.rate(after)}"
    exhausted_s = median(side, "ports.exhausted_s")
    if exhausted_s is not None:
        said += f", and nothing but errors after {number(exhausted_s, 's')} s"
    return said


def _name(side: Side) -> str:
    return side.name if side.counted else f"{side.name} (no trial counts)"


def _price(side: Side) -> str:
    cost_us = median(side, "cpu_us_per_request.proxy")
    return "" if cost_us is None else f", {number(cost_us, 'us')} µs of proxy CPU each"


def _requests(per_s: float) -> str:
    return units.rate(per_s).replace("/s", " requests/s")
