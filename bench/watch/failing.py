"""Recognise hops where requests fail: the idle race, a leak, connects that fail, ports all held. Pure.

What happens once (a restart, a deploy) is no pattern: each of these has to come back, or to last.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from bench import units
from bench.watch.churn import TLS_PORTS, fullest, label
from bench.watch.evidence import HopGroup
from bench.watch.finding import Certainty, Pattern, Urgency, WatchFinding, rate_words
from bench.watch.flows import Closer, comes_back, is_failing
from bench.watch.forecast import Outlook, forecast
from bench.watch.model import Direction, HopFlow, HopState, HostState

_IDLE_S = 1.0
"""Idle for so long before a reset: the server had given it up; a server that fails resets busy ones, too."""
_EACH = 0.9
"""Of the connections that the server ended: so many RSTs are a habit of the client."""
_TIMER, _TIMER_S = 1.25, 1.0
"""So much later than after its idle timeout a server may close: many look at connections once a second."""
_FEWEST_ALIKE = 3
"""Fewer RSTs behind a FIN are no habit, and worth no word."""
_FEWEST_LEAKED = 5
"""Fewer sockets in CLOSE_WAIT are a pool that has not looked at them yet."""
_FEWEST_RISES = 3
"""What rises so often is no single event."""
_NEVER_CLOSED = 0.8
"""Of what CLOSE_WAIT grew by: so much has to come on top of all connections, not out of the established.

A pool whose connections the server ends keeps them in CLOSE_WAIT until it looks: their sum stays.
"""


def idle_race(group: HopGroup) -> WatchFinding | None:
    """Return that requests meet connections which the server has just given up; None where they do not."""
    if group.direction is Direction.INCOMING or not (
        _resets(group.total, behind_fin=True) or group.failed_requests
    ):
        return None
    behind_fin = _loses_requests(group)
    resets = _given_up(group, behind_fin=behind_fin)
    failed, ended = group.failed_requests, group.total.closed_there + group.total.reset_there
    is_seen = comes_back(group.first.moments_s, resets)
    if not is_seen and not _fails_beside_ends(group):
        return None
    # Each of these makes it surer: resets, of connections known to have been idle, and requests that failed.
    signs = is_seen + (is_seen and _knows_idle(group)) + bool(failed)
    certainty = (Certainty.POSSIBLE, Certainty.POSSIBLE, Certainty.LIKELY, Certainty.SURE)[signs]
    count = sum(resets) if is_seen else ended
    what = "that had been idle" if _knows_idle(group) else "that had been kept"
    return WatchFinding(
        Pattern.IDLE_RACE,
        Urgency.FAILING,
        label(group),
        f"The server reset {units.plural(count, 'connection')} {what}."
        if is_seen
        else f"The server ended {units.plural(ended, 'kept connection')}, and requests failed.",
        tuple(_race_facts(group, _behind_fin(group) if behind_fin and is_seen else 0)),
        "give the client's pool an idle timeout below the server's (nginx: keepalive_timeout in upstream {}),"
        " or raise the server's; `bench probe` measures it",
        certainty,
        "" if certainty is Certainty.SURE else "a source of requests that counts those which fail",
        hops=tuple(hop.hop for hop in group.hops),
        rate_per_s=count / group.seconds,
        closes_first=group.closes_first,
    )


def unclear_resets(group: HopGroup) -> str | None:
    """Return that an RST comes behind each FIN of a server, in a sentence: sockets do not tell why."""
    if group.direction is Direction.INCOMING or _loses_requests(group):
        return None
    count = _behind_fin(group)
    if count < _FEWEST_ALIKE:
        return None
    return (
        f"{label(group)}: {units.plural(count, 'time')} an RST answered what came behind the server's FIN:"
        " a goodbye, as TLS has one, or a request that is lost; a source of requests tells them apart"
    )


def _race_facts(group: HopGroup, behind_fin: int) -> Iterator[str]:
    idle = sorted(idle_s for idle_s in group.total.idle_before_reset_s if idle_s >= _IDLE_S)
    if idle:
        low, high = f"{idle[0]:.1f}", f"{idle[-1]:.1f}"
        yield f"They had been idle for {low if low == high else f'{low} to {high}'} s: its idle timeout."
    if behind_fin:
        yield f"An RST came behind the FIN of {units.count(behind_fin)}: what was sent there nobody read."
    yield "The server gives idle connections up; a request that is sent at that moment fails: a proxy's 502."
    if group.failed_requests:
        yield f"{units.plural(group.failed_requests, 'request')} failed meanwhile."


def _fails_beside_ends(group: HopGroup) -> bool:
    """Return whether requests go on to fail on a hop whose kept connections the server ends."""
    ended = group.total.closed_there + group.total.reset_there
    is_back = comes_back(group.first.moments_s, group.failed_requests_each)
    return is_back and ended > 0 and group.churn_per_s == 0


def _loses_requests(group: HopGroup) -> bool:
    """Return whether what an RST answers behind the server's FIN are requests.

    A client that says goodbye (close_notify of TLS, GOAWAY, COM_QUIT) does it each time; a request meets a
    FIN now and then, always after the same idle time. Or as many requests fail as there are such RSTs, but
    for those that a proxy sends again.
    """
    behind, failed = group.total.reset_after_fin, group.failed_requests
    if _fails_beside_ends(group) and behind / 2 <= failed <= behind + group.total.reset_there:
        return True
    answered = group.total.closed_there - group.close_wait[-1]
    return (
        group.port not in TLS_PORTS
        and 0 < behind < _EACH * answered
        and all(_have_one_timeout(hop.total.idle_before_reset_s) for hop in group.hops)
    )


def _have_one_timeout(idle_s: Sequence[float]) -> bool:
    """Return whether connections were given up after the same idle time, as far as timers of servers go."""
    long = [each for each in idle_s if each >= _IDLE_S]
    return not long or max(long) <= _TIMER * min(long) + _TIMER_S


def _knows_idle(group: HopGroup) -> bool:
    return bool(group.total.idle_before_reset_s)


def _behind_fin(group: HopGroup) -> int:
    """Return how many connections had been idle when the FIN came that an RST came behind."""
    every, direct = (sum(_given_up(group, behind_fin=behind_fin)) for behind_fin in (True, False))
    return every - direct


def _resets(flow: HopFlow, *, behind_fin: bool) -> int:
    return flow.reset_there + (flow.reset_after_fin if behind_fin else 0)


def _given_up(group: HopGroup, *, behind_fin: bool) -> list[int]:
    """Return how many connections the server reset after they were idle, by snapshot: as far as samples show.

    For a hop of which nobody knows how long connections were idle before a reset: those that were old enough
    to have been idle, where others of it are idle now.
    """
    if _knows_idle(group):
        samples = [flow.idle_before_reset_s for flow in group.flows]
    else:
        idle = (idle_s for hop in group.hops for state in hop.states for idle_s in state.idle_s)
        if max(idle, default=0.0) < _IDLE_S:
            return [0] * len(group.flows)
        samples = [flow.lifetimes_s for flow in group.flows]
    return [
        min(_resets(flow, behind_fin=behind_fin), sum(each >= _IDLE_S for each in sample))
        for flow, sample in zip(group.flows, samples, strict=True)
    ]


def leak(group: HopGroup) -> WatchFinding | None:
    """Return that connections which the peer ended are never closed here; None where they are."""
    if sum(hop.last.close_wait for hop in group.hops) < _FEWEST_LEAKED:
        return None
    waiting = group.close_wait
    grown = waiting[-1] - waiting[0]
    held = [open_now + ended for open_now, ended in zip(group.established, waiting, strict=True)]
    if grown < _FEWEST_LEAKED or not _keeps_rising(waiting) or held[-1] - held[0] < _NEVER_CLOSED * grown:
        return None
    is_sure = len(waiting) > 2 * _FEWEST_RISES
    per_s = grown / max(sum(group.first.durations_s[1:]), 1e-3)
    return WatchFinding(
        Pattern.LEAK,
        Urgency.SOON,
        label(group),
        f"{units.count(waiting[-1])} connections wait to be closed here, {units.rate(per_s)} more:"
        " the peer has ended them.",
        ("Each holds a file descriptor until the process ends: at its limit nothing can be opened.",),
        "close the connection when the peer has: in every branch, after errors and timeouts too",
        Certainty.SURE if is_sure else Certainty.LIKELY,
        "" if is_sure else "watch for longer",
        hops=tuple(hop.hop for hop in group.hops if hop.last.close_wait),
        rate_per_s=per_s,
        closes_first=Closer.THERE,
    )


def _keeps_rising(counts: Sequence[int]) -> bool:
    """Return whether counts never fall, and rise several times, in both halves of the time."""
    steps = [later - earlier for earlier, later in pairwise(counts)]
    rises = [at for at, step in enumerate(steps) if step > 0]
    is_throughout = len(rises) >= _FEWEST_RISES and rises[0] < len(steps) / 2 <= rises[-1]
    return is_throughout and min(steps) >= 0


def failed_connects(group: HopGroup, attempt_fails: int) -> WatchFinding | None:
    """Return that connections to a server go on to fail before they are established.

    `attempt_fails` is what the kernel counted of the whole host. A dump alone cannot tell a connect that
    failed from one that succeeded and was closed by the server before the next dump.
    """
    if group.direction is Direction.INCOMING or group.total.failed_opens == group.total.no_port:
        return None
    failed = [flow.failed_opens - flow.no_port for flow in group.flows]  # that no port was free is churn's
    tried = sum(failed) + group.total.opened
    waiting = min(sum(state.syn_sent for state in row) for row in _states(group))
    is_confirmed = group.is_exact or waiting > 0 or attempt_fails >= sum(failed) / 2
    if not is_confirmed or not is_failing(failed, tried):
        return None
    per_s = sum(failed) / group.seconds
    rate = rate_words(per_s, is_lower_bound=not group.is_exact)
    why = (
        f"{units.count(waiting)} wait for an answer: their SYN is dropped, on the way or by a full backlog."
        if waiting
        else "They are refused: nothing listens there."
    )
    return WatchFinding(
        Pattern.FAILED_CONNECTS,
        Urgency.FAILING,
        label(group),
        f"{rate[0].upper()}{rate[1:]} do not come to be ({sum(failed) / tried:.0%} of all).",
        (why,),
        f"see that a server listens at {group.first.hop}, and that its backlog has room",
        Certainty.SURE if group.is_exact else Certainty.LIKELY,
        "" if group.is_exact else "watch by the kernel's events (as root)",
        hops=tuple(hop.hop for hop, flow in zip(group.hops, _totals(group), strict=True) if flow),
        rate_per_s=per_s,
        is_lower_bound=not group.is_exact,
    )


def _states(group: HopGroup) -> Iterator[tuple[HopState, ...]]:
    """Yield the states of all hops at the end of each snapshot."""
    return zip(*(hop.states for hop in group.hops), strict=True)


def _totals(group: HopGroup) -> list[int]:
    return [hop.total.failed_opens - hop.total.no_port for hop in group.hops]


def ports_held(group: HopGroup, host: HostState) -> WatchFinding | None:
    """Return that connections which stay take more than half of the ports towards one server."""
    full = fullest(group, host)
    if full is None or full.last.time_wait + full.last.fin_wait > full.last.ports_used / 2:
        return None
    found = forecast(full, host)
    is_over = found.outlook is Outlook.EXHAUSTED
    return WatchFinding(
        Pattern.PORTS_HELD,
        Urgency.FAILING if is_over else Urgency.SLOW,
        label(group),
        f"{units.count(full.last.established)} connections to {full.hop} stay open, and hold their ports.",
        (),
        "give it more addresses to come from (nginx: proxy_bind; each has a range of its own),"
        " or the server more addresses or ports",
        hops=(full.hop,),
        rate_per_s=full.total.opened / full.seconds,
        is_lower_bound=not full.is_exact,
        closes_first=full.closes_first,
        forecast=found,
    )
