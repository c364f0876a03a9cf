"""The verdict: each known pattern is recognised, and what wastes nothing is left in peace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.watch.finding import CHURN, Certainty, Pattern, Urgency
from bench.watch.flows import Closer
from bench.watch.forecast import Outlook
from bench.watch.model import (
    OTHER_PEERS,
    Direction,
    HopFlow,
    HopSnapshot,
    HostFlow,
    HostState,
    PeerHop,
    RequestFlow,
    Source,
)
from bench.watch.verdict import NOTHING, SILENCE, WatchVerdict, judge, latest_notes
from tests.watch import made_up
from tests.watch.made_up import CLIENT, LOOPBACK, UPSTREAM, Row

DNS = PeerHop(Direction.OUTGOING, "10.0.0.53", 53)


def verdict(rows: Sequence[Row], source: Source = Source.EXACT) -> WatchVerdict:
    return judge(made_up.watched(rows, source))


def patterns(rows: Sequence[Row], source: Source = Source.EXACT) -> list[Pattern]:
    return [each.pattern for each in verdict(rows, source).faults]


def requests(rows: Sequence[Row], per_s: int, failed: int = 0, port: int = 8080) -> list[Row]:
    """Return the rows with the requests that an access log counted in each."""
    flow = RequestFlow("access log", per_s, port, failed=failed)
    return [replace(row, requests=(flow,)) for row in rows]


def pool(opened: int, established: int, seconds: int = 10) -> list[Row]:
    """Return a pool that keeps some connections, and opens and closes others all the time."""
    flow = HopFlow(opened=opened, closed_here=opened, lifetimes_s=(0.1,) * 20)
    return [
        Row(
            (
                made_up.hop(
                    UPSTREAM,
                    flow,
                    established=established,
                    time_wait=opened * at,
                    ports_used=opened * at + established,
                    data_sent=made_up.sent(1, 2, 1, 4, 9, 1, 3, 1),
                    ages_s=(0.1, 0.2, float(seconds)),
                ),
            ),
            HostFlow(active_opens=opened),
        )
        for at in range(1, seconds + 1)
    ]


def idle_resets(at: Sequence[int], seconds: int = 10, failed: int = 0, *, is_known: bool = True) -> list[Row]:
    """Return kept connections of which one is reset, after 5 s of idling, in each of the seconds `at`."""
    reset = HopFlow(opened=1, reset_there=1, lifetimes_s=(7.0,))
    if is_known:
        reset = replace(reset, idle_before_reset_s=(5.0,))
    rows = []
    for now in range(seconds):
        flow = reset if now in at else HopFlow()
        rows.append(Row((made_up.hop(UPSTREAM, flow, established=20, ages_s=(9.0,) * 20, idle_s=(3.0,)),)))
    return requests(rows, 10, failed) if failed else rows


def ended_idle(
    lost: int,
    at: Sequence[int] = (1, 5, 9),
    *,
    of: PeerHop = UPSTREAM,
    ended: int = 4,
    idle_s: Sequence[float] = (5.0, 5.9),
    failed: int = 0,
    close_wait: int = 0,
) -> list[Row]:
    """Return a pool of which the server ends idle connections in each of `at`; `lost` of them get an RST."""
    flow = HopFlow(closed_there=ended, reset_after_fin=lost, idle_before_reset_s=tuple(idle_s)[:lost])
    rows = []
    for now in range(10):
        state = made_up.hop(of, flow if now in at else HopFlow(), established=20, close_wait=close_wait)
        row = Row((replace(state, state=replace(state.state, ages_s=(9.0,) * 20)),))
        requests_ = RequestFlow("access log", 10, of.port, failed=failed if now in at else 0)
        rows.append(replace(row, requests=(requests_,)) if failed else row)
    return rows


def leaking(per_s: int, seconds: int = 10) -> list[Row]:
    """Return connections that the peer ends and nobody closes."""
    flow = HopFlow(opened=per_s, closed_there=per_s)
    return [
        Row((made_up.hop(UPSTREAM, flow, close_wait=per_s * at, ports_used=per_s * at),))
        for at in range(1, seconds + 1)
    ]


def failing(per_s: int, seconds: Sequence[int], syn_sent: int = 0) -> list[Row]:
    """Return connects that fail in some of ten seconds."""
    return [
        Row(
            (made_up.hop(UPSTREAM, HopFlow(failed_opens=per_s if at in seconds else 0), syn_sent=syn_sent),),
            HostFlow(active_opens=per_s, attempt_fails=per_s if at in seconds else 0),
        )
        for at in range(10)
    ]


def host(flow: HostFlow | None = None, states: Sequence[HostState] = ()) -> list[Row]:
    """Return rows of nothing but a host."""
    flow = flow or HostFlow()
    return [Row((), flow, state) for state in states] or [Row((), flow)] * 5


def conntrack(*held: int) -> list[Row]:
    return host(states=[HostState(conntrack=each, max_conntrack=10_000) for each in held])


def drops(port: int, waiting: int, most: int) -> list[Row]:
    backlogs = {port: (waiting, most), 22: (0, 128)}
    return host(HostFlow(listen_overflows=3, listen_drops=3), [HostState(syn_backlogs=backlogs)] * 3)


HELD = Row((made_up.hop(UPSTREAM, established=16_000, ports_used=16_000, ages_s=(9.0,) * 64),))


@dataclass(frozen=True)
class Case:
    """Rows of a pattern, and what is to be said of them."""

    rows: Sequence[Row]
    pattern: Pattern
    urgency: Urgency
    hop: str
    words: str
    closes_first: Closer = Closer.UNKNOWN
    certainty: Certainty = Certainty.SURE


SHORT = made_up.short(UPSTREAM, 100, 10)
CASES = {
    "short, this host closes": Case(
        requests(SHORT, 100),
        Pattern.SHORT_CONNECTIONS,
        Urgency.WASTE,
        "10.0.0.2:8080",
        "A connection carries 1.0 requests (access log)",
        Closer.HERE,
    ),
    "short, nobody counts requests": Case(
        SHORT,
        Pattern.SHORT_CONNECTIONS,
        Urgency.WASTE,
        "10.0.0.2:8080",
        "settles at 6,000 of 28,232 ports",
        Closer.HERE,
        Certainty.LIKELY,
    ),
    "short, the server closes": Case(
        requests(made_up.short(UPSTREAM, 100, 10, closed_there=True), 100),
        Pattern.SHORT_CONNECTIONS,
        Urgency.WASTE,
        "10.0.0.2:8080",
        "The server closes first: TIME_WAIT is there",
        Closer.THERE,
    ),
    "short, and the ports will not last": Case(
        requests(made_up.short(UPSTREAM, 1000, 5), 1000),
        Pattern.SHORT_CONNECTIONS,
        Urgency.SOON,
        "10.0.0.2:8080",
        "half of them in 9.1 s",
        Closer.HERE,
    ),
    "short, past half of the ports": Case(
        requests(made_up.short(UPSTREAM, 1000, 20), 1000),
        Pattern.SHORT_CONNECTIONS,
        Urgency.SLOW,
        "10.0.0.2:8080",
        "connect() looks through the rest port by port",
        Closer.HERE,
    ),
    "short, and the ports are gone": Case(
        requests(made_up.short(UPSTREAM, 1000, 28), 1000),
        Pattern.SHORT_CONNECTIONS,
        Urgency.FAILING,
        "10.0.0.2:8080",
        "connect() fails with EADDRNOTAVAIL",
        Closer.HERE,
    ),
    "a renewed pool that takes the ports": Case(
        requests(made_up.short(UPSTREAM, 1000, 5), 100_000),
        Pattern.SMALL_POOL,
        Urgency.SOON,
        "10.0.0.2:8080",
        "A connection carries 100.0 requests",
        Closer.HERE,
    ),
    "short on loopback": Case(
        requests(made_up.short(LOOPBACK, 1000, 10), 1000),
        Pattern.SHORT_CONNECTIONS,
        Urgency.WASTE,
        "127.0.0.1:8080",
        "That hides it",
        Closer.HERE,
    ),
    "a pool that is too small": Case(
        requests(pool(50, 32), 200),
        Pattern.SMALL_POOL,
        Urgency.WASTE,
        "10.0.0.2:8080",
        "A connection carries 4.0 requests",
        Closer.HERE,
    ),
    "the same, as segments show it": Case(
        pool(50, 32),
        Pattern.SMALL_POOL,
        Urgency.WASTE,
        "10.0.0.2:8080",
        "opened beside those that are kept",
        Closer.HERE,
        Certainty.LIKELY,
    ),
    "clients without keep-alive": Case(
        made_up.short(CLIENT, 50, 10),
        Pattern.SHORT_CLIENTS,
        Urgency.WASTE,
        ":80",
        "This host closes first: TIME_WAIT is here, where it takes memory, but no port",
        Closer.HERE,
    ),
    "DNS over TCP": Case(
        made_up.short(DNS, 20, 10),
        Pattern.DNS_OVER_TCP,
        Urgency.WASTE,
        "10.0.0.53:53",
        "DNS lookups over TCP",
        Closer.HERE,
    ),
    "idle race": Case(
        idle_resets((2, 6), failed=1),
        Pattern.IDLE_RACE,
        Urgency.FAILING,
        "10.0.0.2:8080",
        "idle for 5.0 s: its idle timeout",
        Closer.THERE,
    ),
    "idle race, nobody counts failures": Case(
        idle_resets((2, 6)),
        Pattern.IDLE_RACE,
        Urgency.FAILING,
        "10.0.0.2:8080",
        "The server reset 2 connections that had been idle",
        Closer.THERE,
        Certainty.LIKELY,
    ),
    "idle race, nobody knows how long they idled": Case(
        idle_resets((2, 6), is_known=False),
        Pattern.IDLE_RACE,
        Urgency.FAILING,
        "10.0.0.2:8080",
        "The server reset 2 connections that had been kept",
        Closer.THERE,
        Certainty.POSSIBLE,
    ),
    "idle race, all the time": Case(
        idle_resets(range(10)),
        Pattern.IDLE_RACE,
        Urgency.FAILING,
        "10.0.0.2:8080",
        "The server reset 10 connections that had been idle",
        Closer.THERE,
        Certainty.LIKELY,
    ),
    "leak": Case(
        leaking(3),
        Pattern.LEAK,
        Urgency.SOON,
        "10.0.0.2:8080",
        "30 connections wait to be closed here, 3.0/s more",
        Closer.THERE,
    ),
    "connects are refused": Case(
        failing(3, range(10)),
        Pattern.FAILED_CONNECTS,
        Urgency.FAILING,
        "10.0.0.2:8080",
        "They are refused",
    ),
    "connects are not answered": Case(
        failing(3, range(10), syn_sent=9),
        Pattern.FAILED_CONNECTS,
        Urgency.FAILING,
        "10.0.0.2:8080",
        "9 wait for an answer",
    ),
    "all ports held": Case(
        [HELD] * 5,
        Pattern.PORTS_HELD,
        Urgency.SLOW,
        "10.0.0.2:8080",
        "16,000 connections to 10.0.0.2:8080 stay open",
    ),
    "backlog": Case(
        drops(443, 129, 128),
        Pattern.SYN_BACKLOG,
        Urgency.FAILING,
        ":443",
        "At :443, 129 wait, and 128 may",
    ),
    "backlog of an unknown listener": Case(
        drops(443, 0, 128),
        Pattern.SYN_BACKLOG,
        Urgency.FAILING,
        "this host",
        "9 connections dropped on arrival",
        certainty=Certainty.LIKELY,
    ),
    "conntrack nearly full": Case(
        conntrack(8_100, 8_100),
        Pattern.CONNTRACK,
        Urgency.SOON,
        "this host",
        "8,100 of 10,000 connections (81%)",
    ),
    "conntrack full soon": Case(
        conntrack(1_000, 1_100, 1_200, 1_300),
        Pattern.CONNTRACK,
        Urgency.SOON,
        "this host",
        "full in 87 s",
    ),
    "conntrack drops": Case(
        host(HostFlow(conntrack_drops=2), [HostState(conntrack=10_000, max_conntrack=10_000)]),
        Pattern.CONNTRACK,
        Urgency.FAILING,
        "this host",
        "2 packets dropped",
    ),
    "too many in TIME_WAIT": Case(
        host(HostFlow(time_wait_overflows=7), [HostState(max_time_wait=8192)]),
        Pattern.TIME_WAIT_OVERFLOW,
        Urgency.WASTE,
        "this host",
        "7 connections closed without TIME_WAIT: its limit of 8,192 is reached",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_known_pattern_is_recognised_alone(case: Case) -> None:
    (found,) = verdict(case.rows).faults
    assert (found.pattern, found.urgency, found.closes_first, found.certainty) == (
        case.pattern,
        case.urgency,
        case.closes_first,
        case.certainty,
    )
    assert case.hop in found.hop
    assert case.words in " ".join(found.sentences())
    assert found.change
    assert bool(found.surer) == (found.certainty is not Certainty.SURE)


def restarted(seconds: int = 10) -> list[Row]:
    """Return a pool that a deploy ends and opens anew, in the fifth second."""
    flow = HopFlow(opened=200, closed_here=200, lifetimes_s=(300.0,) * 64, failed_opens=20)
    ages = [(float(at),) * 64 if at < 5 else (at - 4.5,) * 64 for at in range(seconds)]
    return [
        Row((made_up.hop(UPSTREAM, flow if at == 4 else None, established=200, ages_s=ages[at]),))
        for at in range(seconds)
    ]


def burst(count: int, every_s: int, seconds: int = 12) -> list[Row]:
    """Return batch jobs: so many short connections every few seconds."""
    (one,) = made_up.short(UPSTREAM, count, 1)
    return [one if at % every_s == 0 else Row() for at in range(seconds)]


def grows(established: Sequence[int], of: PeerHop = UPSTREAM) -> list[Row]:
    """Return connections that stay, more from second to second."""
    before = 0
    rows = []
    for count in established:
        flow = HopFlow(opened=max(0, count - before))
        rows.append(Row((made_up.hop(of, flow, established=count, ports_used=count),)))
        before = count
    return rows


def once_each(clients: int, seconds: int = 10) -> list[Row]:
    """Return clients of which each opens one connection, has its answer and closes."""
    hops = [PeerHop(Direction.INCOMING, f"10.1.{at // 250}.{at % 250}", 443) for at in range(clients)]
    per_s = clients // seconds
    flow = HopFlow(opened=1, closed_there=1, lifetimes_s=(0.05,))
    return [
        Row(tuple(made_up.hop(each, flow) for each in hops[at * per_s : (at + 1) * per_s]))
        for at in range(seconds)
    ]


def server_ends_idle(seconds: int = 10) -> list[Row]:
    """Return a pool whose idle connections the server ends; it looks at them when it needs one."""
    flow = HopFlow(closed_there=2)
    return [
        Row((made_up.hop(UPSTREAM, flow, established=20 - 2 * at, close_wait=2 * at, ages_s=(9.0,) * 20),))
        for at in range(seconds)
    ]


def renewed(data_sent: tuple[int, ...] = (), seconds: int = 10) -> list[Row]:
    """Return a busy pool whose connections end after a hundred requests: twenty a second."""
    flow = HopFlow(opened=20, closed_there=20, lifetimes_s=(1.6,) * 20)
    ages = (0.5,) * 32
    state = made_up.hop(
        UPSTREAM, flow, established=32, ages_s=ages, data_sent=made_up.sent(*data_sent, age_s=0.5)
    )
    return [Row((state,), HostFlow(active_opens=20))] * seconds


def without_ports(per_s: int, opened: int, established: int = 0, seconds: int = 10) -> list[Row]:
    """Return a hop whose ports are all taken: most connects find none, and few or none are opened."""
    flow = HopFlow(
        opened=opened,
        closed_here=opened,
        failed_opens=per_s,
        no_port=per_s,
        lifetimes_s=(0.002,) * min(opened, 64),
    )
    state = made_up.hop(
        UPSTREAM,
        flow,
        established=established,
        time_wait=5_000 - established,
        ports_used=5_000,
        ages_s=(float(seconds),) * min(64, established),
    )
    return [Row((state,), HostFlow(active_opens=opened), HostState((10_001, 15_000)))] * seconds


@pytest.mark.parametrize("opened", [0, 3, 80])
def test_connects_that_find_no_free_port_are_no_refused_ones(opened: int) -> None:
    (found,) = verdict(without_ports(300, opened)).faults
    assert (found.pattern, found.urgency) == (Pattern.SHORT_CONNECTIONS, Urgency.FAILING)
    assert found.facts[0] == "300 connections/s found no free port (EADDRNOTAVAIL), so that nothing was sent."


@pytest.mark.parametrize("source", Source)
def test_a_hop_whose_ports_are_all_taken_is_a_fault_though_nothing_is_opened(source: Source) -> None:
    (found,) = verdict(without_ports(0, 0), source).faults
    assert (found.pattern, found.urgency) == (Pattern.SHORT_CONNECTIONS, Urgency.FAILING)
    assert "hold the ports" in found.summary


def test_connects_that_find_no_free_port_beside_connections_that_hold_all_are_told_so() -> None:
    (found,) = verdict(without_ports(300, 0, established=4_900)).faults
    assert (found.pattern, found.urgency) == (Pattern.PORTS_HELD, Urgency.FAILING)


def test_refused_connects_are_told_from_those_that_find_no_free_port() -> None:
    (state,) = without_ports(300, 3)[0].hops
    mixed = replace(state, flow=replace(state.flow, failed_opens=340))
    rows = [replace(row, hops=(mixed,)) for row in without_ports(300, 3)]
    assert {each.pattern for each in verdict(rows).faults} == {
        Pattern.SHORT_CONNECTIONS,
        Pattern.FAILED_CONNECTS,
    }


def beside_a_pool(kept: int, per_s: int, seconds: int = 10, seen: int = 1) -> list[Row]:
    """Return a pool that stays and is busy, and others that open a connection for each request there.

    A look finds all connections of the pool, and few of the short ones, or none.
    """
    flow = HopFlow(opened=per_s, closed_here=per_s, lifetimes_s=(0.002,) * min(per_s, 64))
    found = []
    for at in range(1, seconds + 1):
        age_s, waiting = float(at), per_s * at
        state = made_up.hop(
            UPSTREAM,
            flow,
            established=kept + seen,
            time_wait=waiting,
            ports_used=waiting + kept + seen,
            ages_s=(age_s,) * kept + (0.0,) * seen,
            data_sent=made_up.sent(*(50 * at,) * kept, age_s=age_s) + made_up.sent(*(1,) * seen),
        )
        found.append(Row((state,), HostFlow(active_opens=per_s)))
    return found


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("seen", [0, 1])
@pytest.mark.parametrize(("kept", "per_s"), [(1, 40), (16, 40), (64, 150), (5, 6)])
def test_short_connections_beside_a_busy_pool_are_found(
    source: Source, kept: int, per_s: int, seen: int
) -> None:
    (found,) = verdict(beside_a_pool(kept, per_s, seen=seen), source).faults
    assert found.pattern in CHURN


def browsers(seconds: int = 10) -> list[Row]:
    """Return ten clients a second that open six connections each, and keep them for five seconds."""
    opens, ends = HopFlow(opened=6), HopFlow(closed_there=6, lifetimes_s=(5.0,) * 6)

    def hops(first: int, flow: HopFlow) -> list[HopSnapshot]:
        names = [f"10.2.{first}.{number}" for number in range(10)] if first >= 0 else []
        return [made_up.hop(PeerHop(Direction.INCOMING, name, 443), flow) for name in names]

    return [Row((*hops(at, opens), *hops(at - 5, ends))) for at in range(seconds)]


def kept_for_a_while(per_s: int, seconds: int = 20) -> list[Row]:
    """Return clients behind one address, whose connections end after five seconds."""
    ends = HopFlow(opened=per_s, closed_here=per_s, lifetimes_s=(5.0,) * per_s)
    return [
        Row((made_up.hop(CLIENT, ends if at >= 5 else HopFlow(opened=per_s), established=5 * per_s),))
        for at in range(seconds)
    ]


OTHERS = PeerHop(Direction.INCOMING, OTHER_PEERS, 443)
HEALTHY = {
    "kept connections": made_up.kept(UPSTREAM, 32, 10),
    "kept, with requests": requests(made_up.kept(UPSTREAM, 32, 10), 5000),
    "one look at kept connections": made_up.kept(UPSTREAM, 32, 1),
    "a few long ones": made_up.kept(CLIENT, 3, 10),
    "websockets that come in": grows(range(100, 1100, 100), CLIENT),
    "a pool that fills": grows((1, 20, 60, 100, 128, 128, 128, 128)),
    "a pool that shrinks": grows((128, 128, 90, 60, 32, 20, 20)),
    "a slow trickle": made_up.short(UPSTREAM, 1, 10),
    "clients without keep-alive, four a second": made_up.short(CLIENT, 4, 10, closed_there=True),
    "a deploy that restarts once": restarted(),
    "a deploy at the very start": restarted()[4:],
    "ten connections every four seconds": burst(10, 4),
    "one batch of many": burst(500, 100),
    "health checks": burst(1, 2),
    "a database pool of which one is renewed now and then": burst(1, 5),
    "a server down for two seconds": failing(5, (3, 4)),
    "one failed connect": failing(1, (4,)),
    "one reset of an idle connection": idle_resets((3,)),
    "resets of a server that restarts": idle_resets((3, 4)),
    "a pool whose connections the server ends": server_ends_idle(),
    "many clients that come once": once_each(1000),
    "many clients that nobody tells apart": made_up.short(OTHERS, 500, 10, closed_there=True),
    "a busy pool that renews its connections": requests(renewed(), 2000),
    "the same, as segments show it": renewed((3, 20, 35, 41, 50, 66, 80, 99)),
    "browsers": browsers(),
    "browsers behind one address": kept_for_a_while(12),
    "conntrack half full": conntrack(5_000, 5_010, 4_990, 5_000),
    "TIME_WAIT of traffic that is over": [
        Row((made_up.hop(UPSTREAM, time_wait=20_000 - 300 * at, ports_used=20_000 - 300 * at),))
        for at in range(10)
    ],
}


def test_what_is_older_than_half_a_minute_is_over_and_the_verdict_says_so() -> None:
    over = verdict([*made_up.short(UPSTREAM, 40, 20), *made_up.kept(UPSTREAM, 4, 40)])
    assert over.faults == ()
    assert over.seen.sentence().endswith("Judged by the last 30 s.")
    assert "Judged" not in verdict(made_up.kept(UPSTREAM, 4, 30)).seen.sentence()


def at_rest(idle_s: float, seconds: int = 5) -> list[Row]:
    """Return connections that have carried nothing for so long, in each second."""
    state = made_up.hop(UPSTREAM, established=4, ports_used=4, idle_s=(idle_s, 90.0), ages_s=(60.0,) * 4)
    return [Row((state,))] * seconds


@pytest.mark.parametrize(
    ("rows", "is_wasteful"),
    [
        ([Row()] * 5, None),
        (at_rest(7.0), None),
        (at_rest(0.4), False),
        (requests(at_rest(7.0), 3), False),
        ([*at_rest(7.0, 4), *at_rest(0.4, 1)], False),
        (made_up.short(UPSTREAM, 1, 10), False),
        (made_up.short(UPSTREAM, 40, 10), True),
    ],
    ids=["no hop", "idle", "in use", "idle in every look", "used once", "few opened", "churn"],
)
def test_where_nothing_was_carried_nothing_can_be_said(rows: list[Row], is_wasteful: bool | None) -> None:
    found = verdict(rows)
    assert found.is_wasteful is is_wasteful
    assert (found.headline == SILENCE) == (is_wasteful is None)
    assert found.to_json()["is_wasteful"] is is_wasteful


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("rows", HEALTHY.values(), ids=HEALTHY.keys())
def test_what_wastes_nothing_is_left_in_peace(rows: Sequence[Row], source: Source) -> None:
    found = verdict(rows, source)
    assert (found.faults, found.is_wasteful or False) == ((), False)


def test_health_checks_are_named_and_are_no_fault() -> None:
    (found,) = verdict(burst(1, 2)).findings
    assert (found.pattern, found.is_fault, found.change) == (Pattern.HEALTH_CHECKS, False, "")


def test_a_start_and_a_restart_are_two_bursts_and_no_churn() -> None:
    """Of the 100 connections that the process opened at its start, all ended 4 s later."""
    start, restart = HopFlow(opened=100), HopFlow(opened=100, closed_here=100, lifetimes_s=(4.0,) * 64)
    flows = [start, *[HopFlow()] * 3, restart, *[HopFlow()] * 4]
    assert patterns([Row((made_up.hop(UPSTREAM, flow, established=100),)) for flow in flows]) == []


def test_of_notes_that_differ_in_numbers_the_last_is_told() -> None:
    snapshots = [
        replace(each, notes=(f"a look takes {each.t_s:.1f} ms", "less than root would see"))
        for each in made_up.watched([Row()] * 3)
    ]
    assert judge(snapshots).notes == ("a look takes 3.0 ms", "less than root would see")


def test_a_note_about_one_and_about_several_is_the_same_note() -> None:
    notes = [
        "6 sockets left TIME_WAIT",
        "1 socket left TIME_WAIT",
        "1,200 connections came",
        "1 connection came",
        "3 other network namespaces may have hops",
        "1 other network namespace may have hops",
        "a look takes 3.0 ms",
    ]
    assert latest_notes(notes) == [
        "1 socket left TIME_WAIT",
        "1 connection came",
        "1 other network namespace may have hops",
        "a look takes 3.0 ms",
    ]


@pytest.mark.parametrize(
    ("rows", "certainty"),
    [
        (ended_idle(1), Certainty.LIKELY),
        (ended_idle(1, failed=1), Certainty.SURE),
        (ended_idle(2, ended=4), Certainty.LIKELY),
        # An RST behind each: so requests, where as many of them fail.
        (ended_idle(4, idle_s=(5.0,) * 4, failed=4), Certainty.SURE),
        (ended_idle(4, idle_s=(5.0,) * 4, failed=2), Certainty.SURE),
        (ended_idle(1, of=replace(UPSTREAM, port=443), failed=1), Certainty.SURE),
    ],
)
def test_requests_that_met_the_fin_of_an_idle_connection(rows: list[Row], certainty: Certainty) -> None:
    (found,) = verdict(rows).faults
    assert (found.pattern, found.certainty, found.closes_first) == (
        Pattern.IDLE_RACE,
        certainty,
        Closer.THERE,
    )
    assert found.summary.endswith("that had been idle.")
    assert "An RST came behind the FIN of " in " ".join(found.facts)
    assert "its idle timeout" in found.facts[0]
    assert not verdict(rows).notes


def test_an_idle_time_is_told_as_a_range_where_it_is_one() -> None:
    once, several = (verdict(ended_idle(2, idle_s=idle_s)).faults[0].facts for idle_s in ((5, 5), (5, 5.9)))
    assert once[0] == "They had been idle for 5.0 s: its idle timeout."
    assert several[0] == "They had been idle for 5.0 to 5.9 s: its idle timeout."
    # Of those that had not been idle an RST says nothing here.
    (found,) = verdict(ended_idle(3, ended=6, idle_s=(5.0, 5.0, 0.1))).faults
    assert (found.summary, found.facts[1]) == (
        "The server reset 6 connections that had been idle.",
        "An RST came behind the FIN of 6: what was sent there nobody read.",
    )


UNCLEAR = "times an RST answered what came behind the server's FIN"


@pytest.mark.parametrize(
    ("rows", "is_told"),
    [
        # A client of TLS says goodbye to each; those that wait to be closed it has not looked at yet.
        (ended_idle(4, idle_s=(5.0,) * 4), True),
        (ended_idle(2, close_wait=7), True),
        (ended_idle(1, of=replace(UPSTREAM, port=443)), True),
        # Each after another idle time: no timeout of the server.
        (ended_idle(2, idle_s=(2.0, 9.0)), True),
        # Not idle: an answer to a body that is sent still, or the end of a connection for one request.
        (ended_idle(2, idle_s=(0.1, 0.2)), False),
        # Once, as with a restart.
        (ended_idle(2, at=(3,)), False),
        (ended_idle(2, at=(3,), ended=2), False),
        (ended_idle(0), False),
        # The peer is a client of ours: no request of this host.
        (ended_idle(2, of=CLIENT), False),
        (ended_idle(2, of=CLIENT, ended=2), False),
    ],
)
def test_an_rst_behind_a_fin_that_need_not_be_a_lost_request_is_no_fault(
    rows: list[Row], *, is_told: bool
) -> None:
    found = verdict(rows)
    assert (found.findings, found.headline) == ((), NOTHING)
    assert [UNCLEAR in note for note in found.notes] == [True] * is_told


def test_a_goodbye_to_each_connection_is_no_race_where_other_requests_fail() -> None:
    """More of them than RSTs: a server that does not answer, for one."""
    assert verdict(ended_idle(4, idle_s=(5.0,) * 4, failed=40)).faults[0].certainty is Certainty.POSSIBLE


@pytest.mark.parametrize(("is_whole_host", "told"), [(True, "9,000 sockets"), (False, "400 sockets")])
def test_what_ended_before_is_told_of_those_that_are_watched(is_whole_host: bool, told: str) -> None:
    theirs = made_up.hop(UPSTREAM, time_wait=400)
    others = replace(made_up.hop(CLIENT, time_wait=8_600), is_unattributed=True)
    rows = [Row((theirs, others), host=HostState(time_wait=9_000))] * 3
    (note,) = judge(made_up.watched(rows), is_whole_host=is_whole_host).notes
    assert note == f"{told} in TIME_WAIT are of connections from before the watch."


def test_a_few_ports_are_not_said_to_be_none() -> None:
    (finding,) = verdict(made_up.short(LOOPBACK, 20, 8, host=HostState(tw_reuse=2))).faults
    assert "160 of 28,232 ports are taken (below 1%)" in " ".join(finding.sentences())


def test_what_was_wasted_is_over_half_a_minute_later() -> None:
    rows = [*made_up.short(UPSTREAM, 100, 20), *[Row()] * 32]
    assert patterns(rows[:25]) == [Pattern.SHORT_CONNECTIONS]
    assert patterns(rows) == []


def test_a_slow_leak_shows_over_two_minutes() -> None:
    """One socket more every ten seconds, each of a connection that was opened for it."""
    rows = []
    for at in range(120):
        flow = HopFlow(opened=1, closed_there=1) if at % 10 == 0 else HopFlow()
        rows.append(Row((made_up.hop(UPSTREAM, flow, close_wait=at // 10 + 1),)))
    assert patterns(rows) == [Pattern.LEAK]


def test_what_hurts_first_comes_first() -> None:
    rows = [
        replace(short, hops=(*short.hops, *other.hops), flow=HostFlow(listen_overflows=1, listen_drops=1))
        for short, other in zip(made_up.short(UPSTREAM, 1000, 5), made_up.short(CLIENT, 2000, 5), strict=True)
    ]
    assert patterns(rows) == [Pattern.SYN_BACKLOG, Pattern.SHORT_CONNECTIONS, Pattern.SHORT_CLIENTS]
    assert verdict(rows).headline == "this host: syn backlog overflow, and 2 more findings"


def test_the_servers_of_one_upstream_are_one_finding() -> None:
    """Of three a second, each alone is no waste; forty of them are."""
    servers = [PeerHop(Direction.OUTGOING, f"10.0.0.{n}", 8080) for n in range(1, 41)]
    columns = [made_up.short(server, 3, 10) for server in servers]
    rows = [Row(tuple(row.hops[0] for row in at)) for at in zip(*columns, strict=True)]
    (found,) = verdict(rows).faults
    assert (found.pattern, found.rate_per_s, len(found.hops)) == (Pattern.SHORT_CONNECTIONS, 120, 40)
    assert found.hop == "to port 8080 of 40 servers (10.0.0.1, 10.0.0.10 and 38 more)"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1"])
def test_both_ends_on_this_host_are_one_finding(address: str) -> None:
    near = made_up.short(PeerHop(Direction.OUTGOING, address, 8080), 100, 10)
    far = made_up.short(PeerHop(Direction.INCOMING, address, 8080), 100, 10, closed_there=True)
    rows = [replace(one, hops=one.hops + two.hops) for one, two in zip(near, far, strict=True)]
    assert patterns(rows) == [Pattern.SHORT_CONNECTIONS]


def unseen(per_s: int, hops: Sequence[Row]) -> list[Row]:
    return [replace(row, flow=HostFlow(active_opens=per_s)) for row in hops]


def test_what_no_dump_shows_is_derived_from_the_counters() -> None:
    (found,) = verdict(unseen(300, [Row()] * 6), Source.SAMPLED).faults
    assert (found.pattern, found.rate_per_s) == (Pattern.UNSEEN_CONNECTIONS, 300)
    assert patterns(unseen(300, [Row()] * 6), Source.EXACT) == []
    assert patterns(unseen(4, [Row()] * 6), Source.SAMPLED) == []
    assert judge(made_up.watched(unseen(300, [Row()] * 6), Source.SAMPLED), is_whole_host=False).faults == ()


def test_what_no_dump_shows_is_told_with_the_hop_that_it_probably_belongs_to() -> None:
    rows = unseen(3000, made_up.short(UPSTREAM, 32, 6, closed_there=True))
    (found,) = verdict(rows, Source.SAMPLED).faults
    assert found.is_lower_bound
    assert "At least 32 connections/s" in found.summary
    assert "2,968/s connections that no dump shows" in " ".join(found.facts)


def test_requests_of_connections_that_were_not_all_seen_prove_nothing() -> None:
    rows = requests(unseen(3000, made_up.short(UPSTREAM, 32, 6, closed_there=True)), 3000)
    (found,) = verdict(rows, Source.SAMPLED).faults
    assert (found.pattern, found.certainty) == (Pattern.SHORT_CONNECTIONS, Certainty.LIKELY)


@pytest.mark.parametrize(
    ("overflows", "closes_first"), [(None, Closer.THERE), (0, Closer.THERE), (5, Closer.HERE)]
)
def test_what_vanishes_was_ended_by_the_peer_unless_time_wait_is_full(
    overflows: int | None, closes_first: Closer
) -> None:
    flow = HopFlow(opened=100, closed_here=5, ended_unknown=95)
    row = Row((made_up.hop(UPSTREAM, flow),), HostFlow(active_opens=100, time_wait_overflows=overflows))
    found = {each.pattern: each for each in verdict([row] * 5, Source.SAMPLED).faults}
    assert found[Pattern.SHORT_CONNECTIONS].closes_first is closes_first


def test_a_full_backlog_may_be_that_of_another_process() -> None:
    assert judge(made_up.watched(drops(443, 129, 128)), is_whole_host=False).faults == ()


def test_connects_that_no_dump_shows_and_that_fail_are_told_of_the_host() -> None:
    rows = host(HostFlow(active_opens=20, attempt_fails=20))
    (found,) = verdict(rows, Source.SAMPLED).faults
    assert (found.pattern, found.hop) == (Pattern.FAILED_CONNECTS, "this host")


def test_a_connect_that_a_dump_saw_and_the_counters_do_not_count_has_not_failed() -> None:
    rows = [replace(row, flow=HostFlow(active_opens=3)) for row in failing(3, range(10))]
    assert patterns(rows, Source.SAMPLED) == []
    assert patterns(rows, Source.EXACT) == [Pattern.FAILED_CONNECTS]


def test_two_looks_may_be_a_burst_and_time_wait_says_that_they_are_none() -> None:
    (found,) = verdict(made_up.short(UPSTREAM, 100, 2)).faults
    assert (found.certainty, found.surer) == (
        Certainty.POSSIBLE,
        "watch for longer: this may be a burst that is over",
    )
    lasting = [
        replace(row, hops=(replace(row.hops[0], state=replace(row.hops[0].state, time_wait=6000)),))
        for row in made_up.short(UPSTREAM, 100, 2)
    ]
    (found,) = verdict(lasting).faults
    assert found.certainty is Certainty.LIKELY


def test_a_narrow_range_makes_a_low_rate_matter() -> None:
    narrow = HostState(port_range=(32768, 33767))
    (found,) = verdict(made_up.short(UPSTREAM, 3, 10, host=narrow)).faults
    assert found.forecast is not None
    assert found.forecast.outlook is Outlook.SETTLES


@dataclass(frozen=True)
class Location:
    """A location of nginx that loses its connections, or keeps them."""

    peer: str
    is_failing: bool = True
    heading: str = "shop.example:80 location /"
    place: str = "/etc/nginx/nginx.conf:12"
    reason: str = "upstream connections are closed after one request"
    fix: str = "add `keepalive 16;` to upstream app"

    def reaches(self, hop: PeerHop) -> bool:
        return hop.peer == self.peer and hop.direction is Direction.OUTGOING


def test_the_configuration_of_the_hop_says_what_to_change() -> None:
    locations = [Location("10.0.0.3"), Location("10.0.0.2", is_failing=False), Location("10.0.0.2")]
    (found,) = judge(made_up.watched(SHORT), locations).faults
    assert found.configured == (locations[2],)
    assert found.change == "add `keepalive 16;` to upstream app"
    assert found.to_json()["configured"][0]["place"] == "/etc/nginx/nginx.conf:12"


def test_a_location_that_two_nginx_read_from_one_file_is_told_once() -> None:
    (found,) = judge(made_up.watched(SHORT), [Location("10.0.0.2"), Location("10.0.0.2")]).faults
    assert found.configured == (Location("10.0.0.2"),)


def test_a_failing_configuration_whose_hop_is_at_rest_is_no_finding() -> None:
    assert judge(made_up.watched(made_up.kept(UPSTREAM, 5, 5)), [Location("10.0.0.2")]).faults == ()


counts = st.integers(0, 40)
flows = st.builds(
    HopFlow,
    opened=st.integers(0, 40),
    closed_here=counts,
    closed_there=counts,
    reset_there=counts,
    reset_after_fin=counts,
    ended_unknown=counts,
    failed_opens=counts,
    lifetimes_s=st.lists(st.floats(0, 100), max_size=5).map(tuple),
    idle_before_reset_s=st.lists(st.floats(0, 100), max_size=5).map(tuple),
)


@st.composite
def rows(draw: st.DrawFn, most_opened: int = 40, may_fail: bool = True) -> list[Row]:
    """Draw whatever a watch might see of three hops."""
    found = []
    for _ in range(draw(st.integers(1, 12))):
        seen = []
        for of in (UPSTREAM, CLIENT, LOOPBACK):
            flow = draw(flows)
            flow = replace(flow, opened=min(flow.opened, most_opened))
            if not may_fail:
                flow = replace(flow, failed_opens=0, reset_there=0, reset_after_fin=0)
            waiting, established = draw(st.integers(0, 40_000)), draw(counts)
            seen.append(
                made_up.hop(
                    of,
                    flow,
                    established=established,
                    time_wait=waiting,
                    close_wait=draw(counts),
                    ports_used=min(28_232, waiting + established),
                    ages_s=(1.0,) * min(established, 5),
                )
            )
        found.append(Row(tuple(seen), HostFlow(active_opens=most_opened)))
    return found


@given(rows(most_opened=0, may_fail=False), st.sampled_from(Source))
def test_without_an_opened_connection_there_is_no_churn_while_a_port_is_free(
    found: list[Row], source: Source
) -> None:
    is_full = any(hop.state.ports_used >= 0.99 * 28_232 for hop in found[-1].hops)
    assert is_full or not CHURN.intersection(patterns(found, source))


@given(rows(most_opened=1, may_fail=False), st.sampled_from(Source))
def test_few_connections_are_no_churn_while_half_of_the_ports_is_free(
    found: list[Row], source: Source
) -> None:
    free = [
        replace(row, hops=tuple(replace(hop, state=replace(hop.state, ports_used=100)) for hop in row.hops))
        for row in found
    ]
    assert not CHURN.intersection(patterns(free, source))


EXCLUDE = (
    CHURN,
    frozenset({Pattern.LEAK, *CHURN}),
    frozenset({Pattern.PORTS_HELD, *CHURN}),
    frozenset({Pattern.HEALTH_CHECKS, *CHURN}),
    frozenset({Pattern.HEALTH_CHECKS, Pattern.IDLE_RACE}),
    frozenset({Pattern.HEALTH_CHECKS, Pattern.FAILED_CONNECTS}),
    frozenset({Pattern.HEALTH_CHECKS, Pattern.LEAK}),
)
"""Of each of these sets one hop has a single pattern at the most: two would contradict each other."""


@given(rows(), st.sampled_from(Source))
def test_findings_never_contradict_each_other(found: list[Row], source: Source) -> None:
    result = verdict(found, source)
    of_hop: dict[PeerHop, set[Pattern]] = {}
    for each in result.findings:
        for hop in each.hops:
            assert each.pattern not in of_hop.setdefault(hop, set())
            of_hop[hop].add(each.pattern)
    for seen in of_hop.values():
        assert all(len(seen & one) <= 1 for one in EXCLUDE)
    assert (result.headline in (NOTHING, SILENCE)) == (not result.faults)
    for each in result.findings:
        words = " ".join(each.sentences())
        assert not ("settles at" in words and "All of them in" in words)
        assert bool(each.change) == each.is_fault
        if each.forecast is not None and each.forecast.outlook is Outlook.FREE:
            assert each.urgency <= Urgency.WASTE


@given(rows(), st.sampled_from(Source))
def test_the_order_is_that_of_urgency(found: list[Row], source: Source) -> None:
    urgencies = [each.urgency for each in verdict(found, source).findings]
    assert urgencies == sorted(urgencies, reverse=True)


def test_json_is_plain() -> None:
    found = verdict(CASES["short, and the ports will not last"].rows).to_json()
    assert found["is_wasteful"]
    (finding,) = found["findings"]
    assert (finding["pattern"], finding["peers"], finding["port"]) == (
        "short-connections",
        ["10.0.0.2"],
        8080,
    )
    assert finding["forecast"] is not None
    assert finding["forecast"]["outlook"] == "reaches end"
    assert found["seen"]["requests_per_s"] == 1000


def test_requests_that_two_sources_count_are_counted_once() -> None:
    """A proxy's log has each request twice, as its client's and its server's; its counters have it again."""
    short = CASES["short, and the ports will not last"].rows
    (log,) = {flow for row in short for flow in row.requests}
    status = RequestFlow("stub_status", log.requests, None, Direction.INCOMING, connections=5)
    twice = [
        replace(row, requests=(log, replace(log, source="counters", port=None), status)) for row in short
    ]
    found, once = verdict(twice), verdict(short)
    assert found.seen.requests_per_s == once.seen.requests_per_s == 1000
    assert [each.facts for each in found.findings] == [each.facts for each in once.findings]


def test_the_page_about_patterns_names_all_of_them() -> None:
    pages = Path(__file__).parents[2] / "docs" / "reference"
    page = (pages / "watch-patterns.md").read_text(encoding="utf-8")
    assert [each.value for each in Pattern if f"| `{each.value}` |" not in page] == []
    assert [str(each) for each in Urgency if f"| {each} |" not in page] == []


def half_closed(
    of: PeerHop, seconds: int, host: HostState | None = None, *, lasts_s: float = 60.0
) -> list[Row]:
    """Return seconds in which 50 connections are opened and closed here, and the peer waits with its FIN."""
    rows = made_up.short(of, 50, seconds, host=host)
    waiting = round(50 * lasts_s)
    return [
        replace(row, hops=tuple(_in_fin_wait(each, min(waiting, each.state.time_wait)) for each in row.hops))
        for row in rows
    ]


def _in_fin_wait(each: HopSnapshot, count: int) -> HopSnapshot:
    return replace(each, state=replace(each.state, fin_wait=count, time_wait=each.state.time_wait - count))


@pytest.mark.parametrize(
    ("of", "lasts_s", "said", "unsaid"),
    [
        (UPSTREAM, 60.0, "each connection holds its port in FIN_WAIT2", "TIME_WAIT"),
        (LOOPBACK, 60.0, "each connection holds its port in FIN_WAIT2", "TIME_WAIT"),
        (UPSTREAM, 0.2, "each connection leaves its port in TIME_WAIT", "FIN_WAIT2"),
        (CLIENT, 60.0, "connections stay in FIN_WAIT2 here", "TIME_WAIT"),
    ],
    ids=["server", "loopback", "slow network", "clients"],
)
def test_the_state_that_is_named_is_that_of_the_sockets(
    of: PeerHop, lasts_s: float, said: str, unsaid: str
) -> None:
    (finding,) = verdict(half_closed(of, 8, HostState(tw_reuse=2), lasts_s=lasts_s)).faults
    text = " ".join(finding.sentences())
    assert said in text
    assert unsaid not in text


def test_what_holds_ports_in_fin_wait2_frees_them_and_is_not_reused() -> None:
    host = HostState(port_range=(32768, 32967), tw_reuse=1)
    (finding,) = verdict(half_closed(UPSTREAM, 3, host)).faults
    assert finding.forecast is not None
    assert (finding.forecast.outlook, finding.forecast.waits_in) == (Outlook.PAST_HALF, "FIN_WAIT2")
    assert finding.forecast.settles_at == pytest.approx(60 * 50)
    assert "that FIN_WAIT2 frees: then they never run out." in " ".join(finding.sentences())


def test_sockets_in_fin_wait2_are_not_said_to_be_left_in_time_wait() -> None:
    host = HostState(time_wait=1000).with_dump(1000, {80: (0, 5)})
    assert (host.time_wait, host.fin_wait2, host.syn_backlogs) == (0, 1000, {80: (0, 5)})
    assert judge(made_up.watched([Row((made_up.hop(UPSTREAM, fin_wait=1000),), host=host)] * 3)).notes == ()


def test_the_rate_that_was_seen_is_that_of_the_whole_watch() -> None:
    found = verdict(made_up.short(UPSTREAM, 200, 120))
    assert found.seen.opened_per_s == pytest.approx(200)
    assert "200 connections/s opened or accepted. Judged by the last 30 s." in found.seen.sentence()
