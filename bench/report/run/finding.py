"""Summarize a run in sentences: the one under the table, the title of the picture. Pure."""

import statistics
import textwrap
from collections.abc import Sequence

from bench import units
from bench.analysis import metrics
from bench.analysis.sides import Side, differences, split
from bench.report.text_table import format_number
from bench.runs.record import Run, Trial

_SMALL_PRINT_WIDTH = 200
"""Characters of the picture's small print that fit on one of its lines."""
_NOTHING = "No trial was finished"


def summarize(run: Run) -> str:
    """Return one sentence: what each mode opened for how many requests, the cliff, and the ratio."""
    sides = [side for side in split(run) if select_trials(side)]
    if not sides:
        return f"{_NOTHING}, so there is nothing to tell."
    clauses = [_summarize_side(side) for side in sides]
    if {side.mode for side in sides} == {"short", "keepalive"}:
        short, keepalive = sorted(sides, key=lambda side: side.mode, reverse=True)
        clauses.append(_compare_modes(short, keepalive))
    text = "; ".join(clause for clause in clauses if clause)
    return text[0].upper() + text[1:] + "."


def format_title(run: Run) -> str:
    """Return what a reader should remember, in a dozen words; `summarize` says it whole."""
    sides = {side.mode: side for side in split(run) if select_trials(side)}
    if not sides:
        return _NOTHING
    text = _format_takeaway(sides)
    if all(side.counted for side in sides.values()):
        return text
    return f"Not to be relied on, see below: {text[0].lower()}{text[1:]}"


def _format_takeaway(sides: dict[str, Side]) -> str:
    if sides.keys() == {"short", "keepalive"}:
        short, keepalive = sides["short"], sides["keepalive"]
        rate, old_rate = (compute_median(side, "requests_per_s") for side in (keepalive, short))
        if rate and old_rate:
            text = f"Keep-alive upstream connections: {units.ratio(rate / old_rate)} the requests per second"
            share = _compute_cpu_share(short, keepalive)
            return text if share is None else f"{text} at {share} of the proxy CPU"
    text = format_headline(tuple(sides.values()))[0]
    return text[0].upper() + text[1:]


def suggest_command(run: Run) -> str:
    """Return the command to type next."""
    if not any(trial.valid for trial in run.trials):
        return "bench doctor"
    seen = {trial.mode for trial in run.trials}
    if len(seen) > 1:
        return f"bench compare {run.directory}"
    return f"bench run --mode {'keepalive' if 'short' in seen else 'short'}"


def format_headline(sides: Sequence[Side]) -> list[str]:
    """Return the title of the picture: how fast each side was, on how many connections, and its cliff.

    Where no side met the cliff, the difference is the price: then the proxy's CPU stands there too.
    """
    measured = [side for side in sides if select_trials(side)]
    if {side.mode for side in measured} == {"short", "keepalive"} and len(measured) == 2:
        measured.sort(key=lambda side: side.mode)  # the fix first: it is what the eye should take away
    cliff = any(compute_median(side, "ports.half_range_passed_s") is not None for side in measured)
    return [_format_side(side) + ("" if cliff else _format_price(side)) for side in measured] or [_NOTHING]


def format_conditions(sides: Sequence[Side]) -> str:
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
    differing = textwrap.fill("  ·  ".join(_describe_sides(sides)), _SMALL_PRINT_WIDTH)
    return "  ·  ".join(facts) + "\n" + differing


def _describe_sides(sides: Sequence[Side]) -> list[str]:
    """Return of each side how many trials count, and its mode and its plan where its name does not."""
    different = {key: row for key, row in differences(sides).items() if key.startswith("plan.")}
    lettered = any(len(side.name) == 1 for side in sides)
    lines = []
    for index, side in enumerate(sides):
        facts = [f"{len(side.counted)} of {len(side.trials)} trials count"]
        facts += [side.mode] if side.name != side.mode else []
        if lettered:
            facts += [f"{key.removeprefix('plan.')} {row[index]}" for key, row in different.items()]
        lines.append(f"{side.name}: {', '.join(facts)}")
    return lines


def select_trials(side: Side) -> tuple[Trial, ...]:
    """Return the trials that count, or all of them where none does: better than an empty table."""
    return side.counted or side.trials


def collect_values(side: Side, key: str) -> list[float]:
    """Return the metric called `key` of each trial that counts for it, or of all where none does."""
    metric = metrics.named(key)
    return metrics.values(metric, side.counted_for(metric) or side.trials)


def compute_median(side: Side, key: str) -> float | None:
    """Return the median of the metric called `key` over the trials that count; None where no trial has it."""
    found = collect_values(side, key)
    return statistics.median(found) if found else None


def format_rate(side: Side) -> str:
    """Return the median rate of a side."""
    per_s = compute_median(side, "requests_per_s")
    return "-" if per_s is None else units.rate(per_s)


def _summarize_side(side: Side) -> str:
    void = "" if side.counted else " (no trial counts)"
    if compute_median(side, "upstream.connections_opened") is None:
        return f"{side.mode}{void} was answered{_format_rates(side)}"
    opened = units.count(compute_median(side, "upstream.connections_opened") or 0)
    requests = units.count(compute_median(side, "upstream.requests_total") or 0)
    text = f"{side.mode}{void} opened {opened} connections for {requests} requests"
    return text + _format_rates(side) + _format_lost(side)


def _format_lost(side: Side) -> str:
    """Return how many pooled connections the backend ended, and what that cost."""
    lost, failed = compute_median(side, "upstream.lost"), compute_median(side, "errors")
    if not lost:
        return ""
    text = f", and the backend ended {units.count(lost)} of those connections"
    return f"{text} ({units.count(failed)} request{'' if failed == 1 else 's'} failed)" if failed else text


def _format_rates(side: Side) -> str:
    """Return how the rate went: with or without a cliff, up to the end of the ports."""
    half_s, before, after = _measure_cliff(side)
    if half_s is None:
        return f" at {format_rate(side)}"
    tuples = units.count(max(trial.ports.tuples for trial in select_trials(side)))
    text = f", passed half of its {tuples} ports after {format_number(half_s, 's')} s{_format_how_many(side)}"
    if before is not None and after is not None:
        text += f" and went from {units.rate(before)} to {units.rate(after)}"
    exhausted_s = compute_median(side, "ports.exhausted_s")
    if exhausted_s is not None:
        errors = units.count(compute_median(side, "errors") or 0)
        text += f", and had none left after {format_number(exhausted_s, 's')} s ({errors} errors)"
    return text


def _measure_cliff(side: Side) -> tuple[float | None, float | None, float | None]:
    """Return when half of the ports were used, and the rates before and after it."""
    half_s, before, after = (
        compute_median(side, f"ports.{key}") for key in ("half_range_passed_s", "rate_before", "rate_after")
    )
    return half_s, before, after


def _format_how_many(side: Side) -> str:
    """Return in how many trials half of the ports were passed, where it was not in all of them."""
    trials = select_trials(side)
    passed = sum(trial.ports.half_range_passed_s is not None for trial in trials)
    return "" if passed == len(trials) else f" (in {passed} of {len(trials)} trials)"


def _compare_modes(short: Side, keepalive: Side) -> str:
    rate, old_rate = compute_median(keepalive, "requests_per_s"), compute_median(short, "requests_per_s")
    if not rate or not old_rate:
        return ""
    text = f"keepalive serves {units.ratio(rate / old_rate)} the requests per second"
    before, after = compute_median(short, "ports.rate_before"), compute_median(short, "ports.rate_after")
    if before and after:
        text += f" ({units.ratio(rate / before)} before that point, {units.ratio(rate / after)} after it)"
    share = _compute_cpu_share(short, keepalive)
    if share is not None:
        ahead = ", even before that point" if before else ""
        text += f" at {share} of the proxy CPU per request{ahead}"
    return text


def _compute_cpu_share(short: Side, keepalive: Side) -> str | None:
    """Return the proxy's CPU per request in keep-alive mode, as a share of that in short before the cliff."""
    key = "cpu_us_per_request_before_cliff.proxy"
    cost, old_cost = compute_median(keepalive, key), compute_median(short, key)
    return f"{100 * cost / old_cost:.0f} %" if cost and old_cost else None


def _format_side(side: Side) -> str:
    half_s, before, after = _measure_cliff(side)
    if half_s is None or before is None or after is None:
        opened = compute_median(side, "upstream.connections_opened")
        on = "" if opened is None else f" on {units.count(opened)} connections"
        return f"{_format_name(side)}: {_format_requests(compute_median(side, 'requests_per_s') or 0)}{on}"
    tuples = units.count(max(trial.ports.tuples for trial in select_trials(side)))
    text = f"{_format_name(side)}: {_format_requests(before)} until half of the {tuples} ports were used"
    text += f" after {format_number(half_s, 's')} s{_format_how_many(side)}, then {units.rate(after)}"
    exhausted_s = compute_median(side, "ports.exhausted_s")
    if exhausted_s is not None:
        text += f", and nothing but errors after {format_number(exhausted_s, 's')} s"
    return text


def _format_name(side: Side) -> str:
    return side.name if side.counted else f"{side.name} (no trial counts)"


def _format_price(side: Side) -> str:
    cost_us = compute_median(side, "cpu_us_per_request.proxy")
    return "" if cost_us is None else f", {format_number(cost_us, 'us')} µs of proxy CPU each"


def _format_requests(per_s: float) -> str:
    return units.rate(per_s).replace("/s", " requests/s")
