"""Recognise what concerns the whole host: full backlogs and tables, and what no dump shows. Pure."""

import math
from collections.abc import Sequence
from itertools import pairwise

from bench import units
from bench.analysis.ceiling import TIME_WAIT_S
from bench.watch.churn import WASTEFUL_PER_S
from bench.watch.finding import Certainty, Pattern, Urgency, WatchFinding
from bench.watch.flows import Closer, is_failing, lasting_rate
from bench.watch.model import Direction, Snapshot, Source

HOST = "this host"
_NEARLY_FULL = 0.8
"""Of conntrack's table: monitoring commonly warns between 75 % and 90 %."""
_CONNTRACK_TIME_WAIT_S = 120.0
"""nf_conntrack_tcp_timeout_time_wait: growth that lasts for longer is none of closed connections."""


def syn_backlog(snapshots: Sequence[Snapshot]) -> WatchFinding | None:
    """Return that connections were dropped since nobody accepted them; None where none was."""
    dropped = max(_grown(snapshots, "listen_overflows"), _grown(snapshots, "listen_drops"))
    if not dropped:
        return None
    backlogs = [item for snapshot in snapshots for item in snapshot.host.syn_backlogs.items()]
    port, (waiting, most) = max(
        backlogs, key=lambda item: item[1][0] / max(item[1][1], 1), default=(None, (0, 0))
    )
    is_seen = port is not None and waiting >= most > 0
    where = f":{port}" if is_seen else HOST
    held = [f"At :{port}, {units.count(waiting)} wait, and {units.count(most)} may."] if is_seen else []
    return WatchFinding(
        Pattern.SYN_BACKLOG,
        Urgency.FAILING,
        where,
        f"{units.plural(dropped, 'connection')} dropped on arrival: the backlog of a listener was full.",
        (*held, "A client sends its SYN again after a second, then after two more, and waits for so long."),
        "let the server accept faster (more workers, less work in the accepting thread), or raise its backlog"
        " (listen ... backlog=, and net.core.somaxconn)",
        Certainty.SURE if is_seen else Certainty.LIKELY,
        "" if is_seen else "look at Recv-Q of `ss -lt` while it happens: it names the listener",
        rate_per_s=dropped / _seconds(snapshots),
    )


def conntrack(snapshots: Sequence[Snapshot]) -> WatchFinding | None:
    """Return that the table of tracked connections is full, or nearly, or soon; None where it is not."""
    host = snapshots[-1].host
    if host.conntrack is None or not host.max_conntrack:
        return None
    dropped, share = _grown(snapshots, "conntrack_drops"), host.conntrack / host.max_conntrack
    full_in_s = _conntrack_full_in_s(snapshots, host.max_conntrack)
    is_soon = full_in_s is not None and full_in_s <= _CONNTRACK_TIME_WAIT_S
    if not dropped and share < _NEARLY_FULL and not is_soon:
        return None
    facts = ["A closed connection stays in it for 120 s: whoever opens fewer connections fills it less."]
    if dropped:
        facts.insert(0, f"{units.plural(dropped, 'packet')} dropped: such a connect hangs for a second.")
    elif is_soon and full_in_s is not None:
        facts.insert(0, f"At this rate it is full in {full_in_s:.0f} s: then packets are dropped.")
    return WatchFinding(
        Pattern.CONNTRACK,
        Urgency.FAILING if dropped else Urgency.SOON,
        HOST,
        f"conntrack holds {units.count(host.conntrack)} of {units.count(host.max_conntrack)} connections"
        f" ({share:.0%}).",
        tuple(facts),
        "keep connections on the busiest hop; else raise net.netfilter.nf_conntrack_max,"
        " or leave that traffic untracked (NOTRACK)",
    )


def _conntrack_full_in_s(snapshots: Sequence[Snapshot], most: int) -> float | None:
    """Return in how many seconds the table is full where it grows in most intervals; None where not."""
    held = [snapshot.host.conntrack or 0 for snapshot in snapshots]
    steps = [later - earlier for earlier, later in pairwise(held)]
    seconds = math.fsum(snapshot.duration_s for snapshot in snapshots[1:])
    grown = held[-1] - held[0]
    if len(steps) < 2 or sum(step > 0 for step in steps) <= len(steps) / 2 or grown <= 0 or seconds <= 0:
        return None
    return (most - held[-1]) / (grown / seconds)


def time_wait_overflow(snapshots: Sequence[Snapshot]) -> WatchFinding | None:
    """Return that sockets skip TIME_WAIT since the host has too many of them; None where none does."""
    skipped, host = _grown(snapshots, "time_wait_overflows"), snapshots[-1].host
    if not skipped:
        return None
    most = "" if host.max_time_wait is None else f" of {units.count(host.max_time_wait)}"
    return WatchFinding(
        Pattern.TIME_WAIT_OVERFLOW,
        Urgency.WASTE,
        HOST,
        f"{units.plural(skipped, 'connection')} closed without TIME_WAIT: its limit{most} is reached"
        " (tcp_max_tw_buckets).",
        (
            "A late segment may then meet a new connection of the same ports.",
            "What is closed so leaves no trace for dumps: rates seen by sampling are too low.",
        ),
        "keep connections on the busiest hop; raise net.ipv4.tcp_max_tw_buckets until then",
        rate_per_s=skipped / _seconds(snapshots),
    )


def _refused(snapshot: Snapshot) -> int:
    """Return the failed connects that hops show and the kernel counts, too: not those that found no port."""
    return sum(each.flow.failed_opens - each.flow.no_port for each in snapshot.hops)


def failed_connects(snapshots: Sequence[Snapshot]) -> WatchFinding | None:
    """Return that the kernel counts failed connects of which the hops show nothing."""
    failed = [max(0, snapshot.host_flow.attempt_fails - _refused(snapshot)) for snapshot in snapshots]
    tried = _grown(snapshots, "active_opens")
    if not is_failing(failed, tried):
        return None
    per_s = sum(failed) / _seconds(snapshots)
    return WatchFinding(
        Pattern.FAILED_CONNECTS,
        Urgency.FAILING,
        HOST,
        f"{units.rate(per_s)} connects fail ({sum(failed) / max(tried, 1):.0%}); no dump shows to whom.",
        ("They are refused at once: nothing listens there, or something in between forbids it.",),
        "look into the error logs of the clients on this host for `Connection refused`",
        Certainty.LIKELY,
        "watch by the kernel's events (as root): they name the hop",
        rate_per_s=per_s,
    )


def unseen_per_s(snapshots: Sequence[Snapshot], direction: Direction) -> float:
    """Return at what rate the kernel counts connections that the dumps do not show, and goes on to."""
    if any(snapshot.source is Source.EXACT for snapshot in snapshots):
        return 0.0
    missed = [max(0, _counted(snapshot, direction) - _seen(snapshot, direction)) for snapshot in snapshots]
    return lasting_rate([snapshot.duration_s for snapshot in snapshots], missed)


def _counted(snapshot: Snapshot, direction: Direction) -> int:
    """Return how many connections the kernel counted; one that was tried and failed is none."""
    flow = snapshot.host_flow
    is_outgoing = direction is Direction.OUTGOING
    return flow.active_opens - flow.attempt_fails if is_outgoing else flow.passive_opens


def _seen(snapshot: Snapshot, direction: Direction) -> int:
    return sum(each.flow.opened for each in snapshot.hops if each.hop.direction is direction)


def unseen(snapshots: Sequence[Snapshot], direction: Direction) -> WatchFinding | None:
    """Return that connections come and go between two dumps; None where they are too few to matter."""
    rate = unseen_per_s(snapshots, direction)
    if rate < WASTEFUL_PER_S:
        return None
    is_outgoing = direction is Direction.OUTGOING
    verb, other, whom = ("opens", "server", "to whom") if is_outgoing else ("accepts", "client", "from whom")
    change = f"watch by the kernel's events (as root) to see {whom}, then keep those connections"
    return WatchFinding(
        Pattern.UNSEEN_CONNECTIONS,
        # Of connections that come in, each may be another client's only one.
        Urgency.WASTE if is_outgoing else Urgency.NOTE,
        f"{HOST}, {direction.value}",
        f"The kernel {verb} {units.rate(rate)} connections that no dump shows.",
        (f"They end between two dumps, and the {other} closes first: TIME_WAIT and its ports are there.",),
        change if is_outgoing else "",
        Certainty.LIKELY,
        f"the kernel's events (as root) tell {whom}",
        rate_per_s=rate,
        is_lower_bound=True,
        closes_first=Closer.THERE,
    )


def left_over(snapshots: Sequence[Snapshot], *, is_whole_host: bool = True) -> int:
    """Return how many sockets in TIME_WAIT are of connections that ended before the watch began.

    Where the hops are of some processes only, those of the host are not all theirs: the hops have theirs.
    """
    if _seconds(snapshots) >= TIME_WAIT_S:
        return 0
    newest = snapshots[-1]
    ours = (each.state.time_wait for each in newest.hops if not each.is_unattributed)
    waiting = newest.host.time_wait if is_whole_host else sum(ours)
    closed = sum(each.flow.closed_here for snapshot in snapshots for each in snapshot.hops)
    return max(0, waiting - closed)


def _grown(snapshots: Sequence[Snapshot], counter: str) -> int:
    return sum(getattr(snapshot.host_flow, counter) or 0 for snapshot in snapshots)


def _seconds(snapshots: Sequence[Snapshot]) -> float:
    return max(math.fsum(snapshot.duration_s for snapshot in snapshots), 1e-3)
