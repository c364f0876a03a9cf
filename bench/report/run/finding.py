"""Summarize a run in sentences: those under the table, the title of the picture. Pure.

What may be said is decided in bench/analysis/claims.py; nothing here quotes a figure that is void or mixed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench import units
from bench.analysis import claims, exhaustion, gain, machine_differences, machine_figures, metrics
from bench.analysis.claims import RunVerdict, Sample, Standing
from bench.analysis.exhaustion import Exhaustion
from bench.analysis.sides import Side, differences, label, split
from bench.report.run import gain_text, target
from bench.report.text_table import format_number
from bench.runs.record import Run

_NOTHING = "No trial was finished"
_HALF = 0.5
_WORTH_TELLING = 0.1
"""Share of the ports in use, from which on somebody may have expected the cliff."""
_TOO_BUSY = "this machine was too busy for rates and times; connections and CPU per request stand"


def summarize(run: Run) -> str:
    """Return what each mode opened for how many requests, the cliff, and how the modes compare."""
    sides = split(run)
    if not sides:
        return f"{_NOTHING}, so there is nothing to tell."
    sentences = [_TOO_BUSY] if claims.judge(run) is RunVerdict.TOO_BUSY else []
    sentences += [sentence for side in sides for sentence in _summarize_side(side)]
    if {side.mode for side in sides} == {"short", "keepalive"}:
        short, keepalive = sorted(sides, key=lambda side: side.mode, reverse=True)
        sentences += _compare_modes(short, keepalive)
    if target.is_target(run):
        sentences += target.summarize(run)
    return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def format_title(run: Run) -> str:
    """Return what a reader should remember, in a dozen words; `summarize` says it whole."""
    sides = {side.mode: side for side in split(run)}
    if not sides:
        return _NOTHING
    if sides.keys() == {"short", "keepalive"} and (claim := _claim_of(sides["short"], sides["keepalive"])):
        return claim
    text = "; ".join(format_headline(tuple(sides.values())))
    return text[0].upper() + text[1:]


def _claim_of(short: Side, keepalive: Side) -> str:
    """Return what keep-alive gains, as far as the figures of both sides count; nothing where they do not."""
    found = gain.find(short, keepalive)
    rate, cost = gain_text.format_rate(found), gain_text.format_cpu(found, _whose_cpu(short))
    is_upstream = keepalive.name == keepalive.mode
    what = "Keep-alive upstream connections" if is_upstream else _capitalized(keepalive.name)
    what += f" {seen}" if (seen := gain_text.format_trials(found)) else ""
    if not rate:
        return f"{what}: {cost}; rates are void{_format_fall(short)}" if cost else ""
    before = " before half of the ports are used" if has_cliff(short) else ""
    return f"{what}: {rate}{f' at {cost}' if cost else ''}{before}{_format_fall(short)}"


def _format_fall(short: Side) -> str:
    """Return what a title says of short connections after the cliff: the rate, or that no port was left."""
    if (spent := exhaustion.find(short)) is not None:
        return f"; {short.name} had {format_end(spent)}"
    after = compute_median(short, "ports.rate_after")
    return "" if after is None else f"; after it {short.name} falls to {units.rate(after)}"


def suggest_command(run: Run) -> str:
    """Return the command to type next."""
    if claims.judge(run) in (RunVerdict.EMPTY, RunVerdict.TOO_BUSY) or not any(
        map(claims.counts, run.trials)
    ):
        return "bench doctor"
    seen = {trial.mode for trial in run.trials}
    if len(seen) > 1:
        return f"bench report {run.directory}"
    mode = f"--mode {'keepalive' if 'short' in seen else 'short'}"
    if target.is_target(run):
        return f"bench run --target {run.plan['subject']['target']} {mode}"
    return f"bench run {mode}"


def format_headline(sides: Sequence[Side]) -> list[str]:
    """Return the title of the picture: how fast each side was, on how many connections, and its cliff.

    Where no side met the cliff, the difference is the price: then the proxy's CPU stands there too.
    """
    measured = [side for side in sides if side.trials]
    if {side.mode for side in measured} == {"short", "keepalive"} and len(measured) == 2:
        measured.sort(key=lambda side: side.mode)  # the fix first: it is what the eye should take away
    cliff = any(map(has_cliff, measured))
    return [_format_side(side) + ("" if cliff else _format_price(side)) for side in measured] or [_NOTHING]


class Statement(NamedTuple):
    """One thing that a picture says, in few words, and what it rests on."""

    text: str
    detail: str


def state_cliff(sides: Sequence[Side]) -> list[Statement]:
    """Return what a picture with a cliff says: the ratio before it, and the fall, each by itself.

    One number for both would be neither. Empty where there is no cliff, or where one of the two is not known.
    """
    by_mode = {side.mode: side for side in sides if side.trials}
    if by_mode.keys() != {"short", "keepalive"} or len(sides) != 2:
        return []
    short, keepalive = by_mode["short"], by_mode["keepalive"]
    found, rate = gain.find(short, keepalive), compute_rate(keepalive)
    before, after, half_s = (
        compute_median(short, f"ports.{key}") for key in ("rate_before", "rate_after", "half_range_passed_s")
    )
    ratio = gain_text.format_rate(found, "requests/s")
    if rate is None or not before or after is None or half_s is None or has_cliff(keepalive) or not ratio:
        return []
    rates = f"{keepalive.name} {_format_requests(rate)}, {short.name} {units.rate(before)}"
    seen = f"; {each}" if (each := gain_text.format_trials(found)) else ""
    cost = f"; at {each}" if (each := gain_text.format_cpu(found, _whose_cpu(short))) else ""
    fullest = machine_figures.find_fullest(short)
    where = "" if fullest is None else f" of {fullest.name}"
    half = f"after {format_number(half_s, 's')} s half of the {_count_ports(short)} ports{where} were in use"
    spent = exhaustion.find(short)
    end = "" if spent is None else f", and {format_end(spent)}"
    return [
        Statement(f"Before the cliff: {keepalive.name} served {ratio}", f"{rates}{cost}{seen}"),
        Statement(
            f"The cliff: {short.name} fell from {units.rate(before)} to {units.rate(after)}"
            f"{'' if spent is None else ', then had no port left'}",
            f"{half}{_format_how_many(short)}{end}; {keepalive.name} has no cliff",
        ),
    ]


def format_stamp(sides: Sequence[Side]) -> str:
    """Return what stands above a picture in which no rate counts; nothing where one does."""
    if any(side.counted for side in sides) or not any(side.trials for side in sides):
        return ""
    stands = any(side.counted_for(metrics.named("ports.used_peak")) for side in sides)
    return "rates and times are void" if stands else "void"


def format_conditions(sides: Sequence[Side]) -> list[str]:
    """Return the small print of the picture: what was measured, where, how often, and what differs."""
    trials, runs = [trial for side in sides for trial in side.trials], [side.run for side in sides]
    subjects = sorted({f"{trial.subject.name} {trial.subject.version}" for trial in trials})
    labs = sorted({trial.lab for trial in trials})
    machines = [each for run in runs for each in _list_machines(run)]
    kernels = sorted({str(each.get("kernel", "unknown")) for each in machines})
    loads = sorted({side.run.plan.get("load", {}).get("connections", 0) for side in sides})
    facts = (
        f"proxy: {', '.join(subjects)}"
        if not all(map(target.is_target, runs))
        else "target: a server that ran",
        f"lab: {', '.join(labs)}",
        *_name_machines(runs),
        f"kernel: {', '.join(kernels)}",
        f"client connections: {', '.join(map(str, loads))}",
        "thin lines: single trials; bold: their median; bars: the median, with the least and the greatest",
    )
    return ["  ·  ".join(facts), "  ·  ".join(_describe_sides(sides))]


def _list_machines(run: Run) -> list[Mapping[str, Any]]:
    """Return the descriptions of the machines that a run was on."""
    return [each.description for each in run.machines] or [run.machine]


def _name_machines(runs: Sequence[Run]) -> Iterator[str]:
    """Yield how many machines each role had, where a run had several."""
    if any(run.machines for run in runs):
        yield f"machines: {' | '.join(dict.fromkeys(map(machine_differences.count_roles, runs)))}"


def _describe_sides(sides: Sequence[Side]) -> list[str]:
    """Return of each side how many trials count, and its mode and its plan where its name does not."""
    different = {key: row for key, row in differences(sides).items() if key.startswith("plan.")}
    lettered = any(len(side.name) == 1 for side in sides)
    lines = []
    for index, side in enumerate(sides):
        facts = [f"{len(side.counted)} of {len(side.trials)} trials count"]
        facts += [side.mode] if side.name not in (side.mode, label(side.mode, side.run)) else []
        if lettered:
            facts += [
                f"{key.removeprefix('plan.')} {_format_value(row[index])}" for key, row in different.items()
            ]
        lines.append(f"{side.name}: {', '.join(facts)}")
    return lines


def _format_value(value: Any) -> str:
    """Return a value of a plan in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None else str(value)


# -- the figures


def get_sample(side: Side, key: str) -> Sample:
    """Return the metric called `key` over the trials of a side, with what it is worth."""
    return side.sample(metrics.named(key))


def compute_median(side: Side, key: str) -> float | None:
    """Return the median of the metric called `key` that may be quoted; None where there is none."""
    return get_sample(side, key).median


def has_cliff(side: Side) -> bool:
    """Return whether half of the ports were used within a trial whose counts stand."""
    return any(map(claims.crossed_cliff, side.counted_for(metrics.named("ports.used_peak"))))


def is_half_free(side: Side) -> bool:
    """Return whether half of the ports were in use, and all the same there was no cliff in any trial."""
    trials = side.counted_for(metrics.named("ports.used_peak"))
    return not has_cliff(side) and any(trial.ports.is_half_free for trial in trials)


def compute_rate(side: Side) -> float | None:
    """Return the rate to compare sides by: before the cliff where there is one, else over the window."""
    return compute_median(side, "ports.rate_before" if has_cliff(side) else "requests_per_s")


def format_rate(side: Side) -> str:
    """Return the rate of a side in a few words, or what is wrong with it."""
    standing, per_s = get_sample(side, "requests_per_s").standing, compute_rate(side)
    if per_s is None:
        return "void" if standing is Standing.VOID else "-"
    if not has_cliff(side):
        return _format_requests(per_s)
    end = "" if exhaustion.find(side) is None else ", none left in the end"
    return f"{_format_requests(per_s)} before half of its ports{end}"


# -- the sentences


def _summarize_side(side: Side) -> Iterator[str]:
    opened = compute_median(side, "upstream.connections_opened")
    served = compute_median(side, "upstream.requests_total")
    rate = get_sample(side, "requests_per_s")
    if opened is not None and served is not None:
        at = f" at {units.rate(rate.median)}" if rate.median is not None else ""
        of = units.plural(opened, "connection"), units.plural(served, "request")
        yield f"{side.name} opened {' for '.join(of)}{at}"
        yield from _summarize_lost(side)
    elif rate.median is not None:
        were = "was" if side.name == side.mode else "were"
        yield f"{side.name} {were} answered at {units.rate(rate.median)}"
    if has_cliff(side):
        yield _summarize_cliff(side)
    elif is_half_free(side):
        moment = _format_moment(compute_median(side, "ports.half_range_passed_s"))
        ports = f"half of its {_count_ports(side)} ports were in use{moment}"
        yield f"{ports}, but most can be taken again (tcp_tw_reuse)"
    elif (used := _used_below_half(side)) is not None:
        yield (
            f"it used {units.count(used)} of its {_count_ports(side)} ports, less than half, so that no cliff"
            " shows; with a longer --duration or fewer --ports it would"
        )
    if (spent := exhaustion.find(side)) is not None:
        yield f"it had {format_end(spent)}"
    unsteady = sum(claims.is_unsteady(trial) for trial in side.counted)
    if 2 * unsteady > len(side.counted):
        yield f"{side.name} was never steady in {unsteady} of {units.plural(len(side.counted), 'trial')}"
    if rate.standing is Standing.VOID:
        what = "nothing of it counts" if opened is None else "its rates and times are void"
        yield f"{side.name}: {what}, since {claims.explain(side.trials)}"


def _used_below_half(side: Side) -> float | None:
    """Return how many ports short connections took up that are on the way to the cliff; None of others."""
    used, waiting = compute_median(side, "ports.used_peak"), compute_median(side, "time_wait.proxy.peak")
    if side.mode != "short" or not used or not waiting or any(trial.ports.reuses for trial in side.trials):
        return None
    share = used / max(1, *(trial.ports.tuples for trial in side.trials))
    return used if waiting > used / 2 and _WORTH_TELLING <= share < _HALF else None


def _summarize_lost(side: Side) -> Iterator[str]:
    """Yield how many pooled connections the backend ended, and what that cost."""
    lost, failed = compute_median(side, "upstream.lost"), compute_median(side, "errors")
    if lost:
        cost = f", and {units.plural(failed, 'request')} failed" if failed else ""
        yield f"the backend ended {units.count(lost)} of those connections{cost}"


def _summarize_cliff(side: Side) -> str:
    half_s, before, after = (
        compute_median(side, f"ports.{key}") for key in ("half_range_passed_s", "rate_before", "rate_after")
    )
    moment = _format_moment(half_s)
    fullest = machine_figures.find_fullest(side)
    where = "" if fullest is None else f"on {fullest.name} "
    text = f"{where}it used half of its {_count_ports(side)} ports{moment}{_format_how_many(side)}"
    if before is None or after is None:
        return text
    return f"{text}, and its rate went from {units.rate(before)} to {units.rate(after)}"


def _format_moment(moment_s: float | None) -> str:
    return "" if moment_s is None else f" after {format_number(moment_s, 's')} s"


def format_end(spent: Exhaustion) -> str:
    """Return what a side had in the end: no port, since when, and how many requests failed."""
    when = "" if spent.after_s is None else f" after {format_number(spent.after_s, 's')} s"
    which = "" if spent.trials == spent.of else f" (in {spent.trials} of {spent.of} trials)"
    failed = f", and {units.plural(spent.failed, 'request')} failed" if spent.failed else ""
    status = f" ({'' if spent.is_only_status else 'most with '}status {spent.status})"
    return f"no port left{when}{which}{failed}{status if failed and spent.status else ''}"


def _compare_modes(short: Side, keepalive: Side) -> Iterator[str]:
    found = gain.find(short, keepalive)
    rate = gain_text.format_rate(found, f"requests per second of {short.name}")
    cost = gain_text.format_cpu(found, _whose_cpu(short))
    seen = f"{each}, " if (each := gain_text.format_trials(found)) else ""
    limit = f"; {each}" if (each := gain_text.format_limit(found)) else ""
    where = "before half of the ports were used, " if has_cliff(short) else ""
    if rate:
        yield f"{seen}{where}{keepalive.name} served {rate}{f' at {cost}' if cost else ''}{limit}"
    elif cost:
        yield f"{seen}{where}{keepalive.name} took {cost} of {short.name}{limit}"


def _format_side(side: Side) -> str:
    opened, rate = compute_median(side, "upstream.connections_opened"), get_sample(side, "requests_per_s")
    spent = exhaustion.find(side)
    end = "" if spent is None else f", then {format_end(spent)}"
    if rate.standing is Standing.VOID:
        void = (
            "nothing counts"
            if opened is None
            else f"{units.plural(opened, 'connection')}{end}; rates are void"
        )
        return f"{side.name}: {void}, since {claims.explain(side.trials)}"
    before, after = compute_median(side, "ports.rate_before"), compute_median(side, "ports.rate_after")
    if before is None or after is None:
        on = "" if opened is None else f" on {units.plural(opened, 'connection')}"
        return f"{side.name}: {_format_requests(rate.median or 0.0)}{on}{end}"
    half_s = compute_median(side, "ports.half_range_passed_s") or 0.0
    fullest = machine_figures.find_fullest(side)
    whose = "" if fullest is None else f" of {fullest.name}"
    half = f"half of the {_count_ports(side)} ports{whose}"
    text = f"{side.name}: {_format_requests(before)} until {half} were used"
    return (
        f"{text} after {format_number(half_s, 's')} s{_format_how_many(side)}, then {units.rate(after)}{end}"
    )


def _format_how_many(side: Side) -> str:
    """Return in how many trials half of the ports were used, where it was not in all of them."""
    trials = side.counted or side.counted_for(metrics.named("ports.used_peak"))
    crossed = sum(map(claims.crossed_cliff, trials))
    return "" if crossed == len(trials) else f" (in {crossed} of {len(trials)} trials)"


def _count_ports(side: Side) -> str:
    """Return how many ports there were to use; of several machines, on the one whose ports are fullest."""
    fullest = machine_figures.find_fullest(side)
    return units.count(
        max(trial.ports.tuples for trial in side.trials) if fullest is None else fullest.tuples
    )


def _format_price(side: Side) -> str:
    cost_us = compute_median(side, "cpu_us_per_request.proxy")
    return (
        ""
        if cost_us is None
        else f", {format_number(cost_us, 'us')} µs of {_whose_cpu(side)} CPU per request"
    )


def _whose_cpu(side: Side) -> str:
    return "target's" if target.is_target(side.run) else "proxy"


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def _format_requests(per_s: float) -> str:
    return units.rate(per_s).replace("/s", " requests/s")
