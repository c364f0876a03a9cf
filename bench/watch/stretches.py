"""Turn the snapshots of a stretch into trials of a recording: one of the host, one of each hop. Pure."""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from bench.runs.record import SubjectRecord, TimeWait
from bench.runs.watch_trial import HOST_CASE, WatchTrial
from bench.watch.flows import total
from bench.watch.hop_table import HopRow, summarize
from bench.watch.model import Direction, HopSnapshot, HopState, PeerHop, Snapshot
from bench.watch.verdict import latest_notes

LASTS_S = 10.0
"""How long a stretch is: its neighbours depend on it less than one second on the next."""
_HOST = "host"
_LATE_S = 0.05
"""How much later than its second an interval may end that belongs to it."""


def build_trials(
    snapshots: Sequence[Snapshot],
    hops: Iterable[PeerHop],
    subject: SubjectRecord,
    *,
    block: int,
    first: int,
    verdict: Sequence[str] = (),
    is_cut: bool = False,
) -> list[WatchTrial]:
    """Return the trials of a stretch, numbered from `first`: of the host, then of each of `hops`.

    A hop without a connection in the stretch has a trial of zeros: that nothing was opened is a result.
    """
    rows = {row.hop: row for row in summarize(snapshots, span_s=float("inf"))}
    empty = WatchTrial(
        trial=first,
        block=block,
        subject=subject,
        lab=_HOST,
        interrupted=is_cut,
        case=HOST_CASE,
        t_s=round(snapshots[0].t_s - snapshots[0].duration_s, 3),
        window_s=round(sum(each.duration_s for each in snapshots), 3),
        source=snapshots[-1].source.value,
        opened_per_s=0.0,
    )
    trials = [_of_host(empty, snapshots, verdict)]
    for number, hop in enumerate(hops, first + 1):
        parts = [_at(snapshot, hop) for snapshot in snapshots]
        trials.append(_of_hop(replace(empty, trial=number), snapshots, hop, parts, rows.get(hop)))
    return trials


def _of_hop(
    empty: WatchTrial,
    snapshots: Sequence[Snapshot],
    hop: PeerHop,
    parts: Sequence[HopSnapshot | None],
    row: HopRow | None,
) -> WatchTrial:
    """Return the trial of a hop, from `parts`, what each snapshot has of it."""
    states = [HopState() if part is None else part.state for part in parts]
    flow = total(part.flow for part in parts if part is not None)
    seconds, ports = empty.window_s, snapshots[-1].host.ports
    used = max(state.ports_used for state in states)
    is_out = hop.direction is Direction.OUTGOING
    ratio = None if row is None else row.requests_per_connection
    return replace(
        empty,
        case=str(hop),
        opened_per_s=_rate(flow.opened, seconds),
        is_lower_bound=row is not None and row.is_at_least,
        closed_here_per_s=_rate(flow.closed_here, seconds),
        closed_there_per_s=_rate(flow.closed_there, seconds),
        reset_here_per_s=_rate(flow.reset_here, seconds),
        reset_there_per_s=_rate(flow.reset_there, seconds),
        reset_after_fin_per_s=_rate(flow.reset_after_fin, seconds),
        failed_opens_per_s=_rate(flow.failed_opens, seconds),
        established=statistics.mean(state.established for state in states),
        close_wait=max(state.close_wait for state in states),
        ports_used=used if is_out else None,
        ports_share=round(used / ports, 4) if is_out and ports else None,
        requests_per_s=None if row is None else row.requests_per_s,
        requests_per_connection=ratio if ratio is not None and math.isfinite(ratio) else None,
        opened_per_request=1 / ratio if ratio else None,
        time_wait={_HOST: TimeWait(max(state.time_wait for state in states), states[-1].time_wait)},
        curves=_curves(snapshots, parts, states, is_out),
    )


def _of_host(empty: WatchTrial, snapshots: Sequence[Snapshot], verdict: Sequence[str]) -> WatchTrial:
    seconds = empty.window_s
    flows = [each.host_flow for each in snapshots]
    overflows = [each.listen_overflows for each in flows if each.listen_overflows is not None]
    filled = [
        each.host.conntrack / each.host.max_conntrack
        for each in snapshots
        if each.host.conntrack is not None and each.host.max_conntrack
    ]
    opened = [each.active_opens + each.passive_opens for each in flows]
    waiting = [each.host.time_wait for each in snapshots]
    return replace(
        empty,
        opened_per_s=_rate(sum(opened), seconds),
        failed_opens_per_s=_rate(sum(each.attempt_fails for each in flows), seconds),
        resets_per_s=_rate(sum(each.estab_resets for each in flows), seconds),
        listen_overflows_per_s=_rate(sum(overflows), seconds) if overflows else None,
        conntrack_share=round(max(filled), 4) if filled else None,
        observer_cpu_share=_rate(sum(each.cost_s for each in snapshots), seconds),
        time_wait={_HOST: TimeWait(max(waiting), waiting[-1])},
        curves={
            "opened_per_s": _rates(snapshots, opened),
            "time_wait": _peaks(snapshots, waiting),
        },
        verdict=tuple(verdict),
        notes=tuple(latest_notes(note for each in snapshots for note in each.notes)),
    )


def _curves(
    snapshots: Sequence[Snapshot],
    parts: Sequence[HopSnapshot | None],
    states: Sequence[HopState],
    is_out: bool,
) -> dict[str, list[tuple[float, float]]]:
    """Return the curves of a hop; none where all of them would be zeros, as of a hop that has gone."""
    opened = [0 if part is None else part.flow.opened for part in parts]
    curves = {
        "opened_per_s": _rates(snapshots, opened),
        "time_wait": _peaks(snapshots, [state.time_wait for state in states]),
        "established": _peaks(snapshots, [state.established for state in states]),
    }
    if is_out:
        curves["ports_used"] = _peaks(snapshots, [state.ports_used for state in states])
    return curves if any(y for points in curves.values() for _, y in points) else {}


def _rates(snapshots: Sequence[Snapshot], counts: Sequence[int]) -> list[tuple[float, float]]:
    """Return the rate of each second, at its end."""
    points = []
    for at_s, part in _seconds(snapshots):
        lasts_s = sum(snapshots[index].duration_s for index in part)
        points.append((at_s, _rate(sum(counts[index] for index in part), lasts_s)))
    return points


def _peaks(snapshots: Sequence[Snapshot], gauges: Sequence[int]) -> list[tuple[float, float]]:
    """Return the most of each second, at its end."""
    return [(at_s, float(max(gauges[index] for index in part))) for at_s, part in _seconds(snapshots)]


def _seconds(snapshots: Sequence[Snapshot]) -> Iterator[tuple[float, list[int]]]:
    """Yield the end of each second, and which snapshots end in it: shorter intervals share a point."""
    begin_s = snapshots[0].t_s - snapshots[0].duration_s
    parts: dict[int, list[int]] = {}
    for index, each in enumerate(snapshots):
        parts.setdefault(math.ceil(each.t_s - begin_s - _LATE_S), []).append(index)
    for part in parts.values():
        yield round(snapshots[part[-1]].t_s, 3), part


def _at(snapshot: Snapshot, hop: PeerHop) -> HopSnapshot | None:
    return next((each for each in snapshot.hops if each.hop == hop), None)


def _rate(count: float, seconds: float) -> float:
    return round(count / seconds, 3) if seconds else 0.0
