"""Labs with real sockets: in each known pattern the watch says so, and in healthy ones it says nothing.

All labs of a table run at once and are watched both ways; each is then judged by the port of its server.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from bench.lab import syscalls, veth
from bench.lab.hosts import Host
from bench.watch.exact import ExactWatch
from bench.watch.finding import Pattern
from bench.watch.flows import Closer
from bench.watch.forecast import Outlook
from bench.watch.model import Direction, HostFlow, Snapshot, Source
from bench.watch.sampled import SampledWatch
from bench.watch.scope import open_scope
from bench.watch.verdict import NOTHING, SILENCE, WatchVerdict, judge
from tests import needs
from tests.watch.labs import clients, servers
from tests.watch.labs.lab import Behaviour, Clients, running

pytestmark = [pytest.mark.long, needs.on_linux]

WATCHED_S = 8.0
EVERY_S = 0.5

Labs = Mapping[str, tuple[Behaviour, Clients]]
Watched = dict[Source, dict[str, list[Snapshot]]]

PATTERNS: Labs = {
    "short, this host closes": (servers.keeps, clients.short(60)),
    "short, the server closes": (servers.closes, clients.short_for_server(60)),
    "a pool that is too small": (servers.keeps_slowly, clients.small_pool(idle=2, workers=24)),
    "short ones beside a busy pool": (
        servers.keeps,
        clients.together(clients.kept(4, 200), clients.short(40)),
    ),
    "clients without keep-alive": (servers.keeps, clients.short(40)),
    "a leak": (servers.closes, clients.leaks(10)),
    "idle race": (servers.forgets_idle, clients.idles_between(4, 1.5)),
    "health checks": (servers.keeps, clients.short(1)),
}
HEALTHY: Labs = {
    "kept connections": (servers.keeps, clients.kept(16, 100)),
    "few long ones": (servers.keeps, clients.at_rest(3)),
    "websockets that come in": (servers.keeps, clients.opens(200, 20)),
    "a slow trickle": (servers.keeps, clients.kept(2, 2)),
    "a deploy that restarts once": (servers.keeps, clients.restarts_once(100, 3.0)),
    "a batch job every two seconds": (servers.keeps, clients.batches(6, 2.0)),
    "one batch of many": (servers.keeps, clients.batches(100, 60.0)),
    "health checks": (servers.keeps, clients.short(0.5)),
    "low traffic without keep-alive": (servers.keeps, clients.short(2)),
    "the same, the server closes": (servers.closes, clients.short_for_server(2)),
    "a database pool": (servers.keeps, clients.together(clients.at_rest(20), clients.kept(5, 20))),
    "a pool that renews its connections": (servers.keeps, clients.kept(8, 100, limit=100)),
    "the same, many times a second": (servers.keeps, clients.kept(8, 800, limit=50)),
    "server-sent events": (servers.pushes, clients.at_rest(10)),
    "a pool that fills": (servers.keeps, clients.together(clients.opens(60, 30), clients.kept(4, 20))),
    "a pool that shrinks": (servers.keeps, clients.shrinks(40, 10)),
    "clients that come once": (servers.keeps, clients.once_each(50)),
    "uploads in pieces": (servers.keeps, clients.uploads(5)),
    "a server that ends idle connections": (servers.ends_idle, clients.at_rest(20)),
    "a client that closes when the server has": (servers.ends_idle_soon, clients.ended_by_server(6)),
    "a goodbye to each end, as TLS has it": (
        servers.ends_idle_soon,
        clients.ended_by_server(6, last_words=b"\x15\x03\x03\0\x02\x01\0"),
    ),
    "bodies that go on after the answer": (
        servers.answers_and_ends,
        clients.together(
            clients.ended_by_server(1, idle_s=0.3, last_words=b"more"), clients.ended_by_server(1)
        ),
    ),
    "slow answers on kept connections": (servers.keeps_slowly, clients.kept(10, 40)),
    "long connections and a few short ones": (
        servers.keeps,
        clients.together(clients.at_rest(50), clients.short(1)),
    ),
    "a connection at rest": (servers.keeps, clients.at_rest(1)),
}


def watch(labs: Labs) -> Watched:
    """Run labs, watch them both ways, and return the snapshots of each, by the port of its server.

    The host's counters are left out: they count what other tests do, too.
    """
    with ExitStack() as stack:
        ports = dict(zip(labs, stack.enter_context(running(list(labs.values()))), strict=True))
        scope = stack.enter_context(open_scope())
        watches = [stack.enter_context(closing(kind(scope))) for kind in (SampledWatch, ExactWatch)]
        seen: list[list[Snapshot]] = [[], []]
        due = time.monotonic()
        while len(seen[0]) < WATCHED_S / EVERY_S:
            due += EVERY_S
            time.sleep(max(0.0, due - time.monotonic()))
            for one, into in zip(watches, seen, strict=True):
                into.append(one.snapshot())
    return {
        source: {name: [_only(each, port) for each in snapshots] for name, port in ports.items()}
        for source, snapshots in zip(Source, seen, strict=True)
    }


def _only(snapshot: Snapshot, port: int) -> Snapshot:
    hops = tuple(each for each in snapshot.hops if each.hop.port == port)
    return replace(snapshot, hops=hops, host_flow=HostFlow())


def alone(labs: Labs) -> Watched:
    """Do the same in a network namespace of its own, where that is allowed, without the sockets of others."""
    if not syscalls.may_make_namespaces():
        return watch(labs)
    with closing(Host("labs", [], [])) as host:
        host.call(syscalls.unshare, syscalls.CLONE_NEWNET)
        host.call(veth.configure, [])
        return host.call(watch, labs)


@pytest.fixture(scope="module")
def patterns() -> Watched:
    return alone(PATTERNS)


@pytest.fixture(scope="module")
def healthy() -> Watched:
    return alone(HEALTHY)


def verdict(watched: Watched, source: Source, name: str, direction: Direction | None = None) -> WatchVerdict:
    """Return the verdict on one lab; with `direction` as if its other end were on another host."""
    snapshots = watched[source][name]
    if any(each.source is not source for each in snapshots):
        needs.skip("the kernel's events", "root, and a kernel with tracefs")
    if direction is not None:
        snapshots = [
            replace(each, hops=tuple(hop for hop in each.hops if hop.hop.direction is direction))
            for each in snapshots
        ]
    return judge(snapshots)


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize(
    ("name", "pattern", "closes_first"),
    [
        ("short, this host closes", Pattern.SHORT_CONNECTIONS, Closer.HERE),
        ("short, the server closes", Pattern.SHORT_CONNECTIONS, Closer.THERE),
        ("a pool that is too small", Pattern.SMALL_POOL, Closer.HERE),
        ("short ones beside a busy pool", Pattern.SMALL_POOL, Closer.HERE),
        ("a leak", Pattern.LEAK, Closer.THERE),
    ],
)
def test_the_pattern_of_a_lab_is_recognised(
    patterns: Watched, source: Source, name: str, pattern: Pattern, closes_first: Closer
) -> None:
    (found,) = verdict(patterns, source, name).faults
    assert (found.pattern, found.closes_first) == (pattern, closes_first)


@pytest.mark.parametrize("source", Source)
def test_clients_without_keep_alive_are_recognised_by_the_server(patterns: Watched, source: Source) -> None:
    (found,) = verdict(patterns, source, "clients without keep-alive", Direction.INCOMING).faults
    assert (found.pattern, found.closes_first) == (Pattern.SHORT_CLIENTS, Closer.THERE)


def test_the_idle_race_is_recognised_by_its_resets(patterns: Watched) -> None:
    (found,) = verdict(patterns, Source.EXACT, "idle race", Direction.OUTGOING).faults
    assert found.pattern is Pattern.IDLE_RACE


def test_a_goodbye_to_each_end_is_told_from_no_request(healthy: Watched) -> None:
    notes = verdict(healthy, Source.EXACT, "a goodbye to each end, as TLS has it", Direction.OUTGOING).notes
    assert any("a goodbye, as TLS has one, or a request that is lost" in note for note in notes)


@pytest.mark.parametrize("source", Source)
def test_loopback_hides_what_ports_would_do(patterns: Watched, source: Source) -> None:
    (found,) = verdict(patterns, source, "short, this host closes").faults
    assert found.forecast is not None
    assert found.forecast.outlook is Outlook.REUSED


@pytest.mark.parametrize("source", Source)
def test_health_checks_are_no_fault(patterns: Watched, source: Source) -> None:
    (found,) = verdict(patterns, source, "health checks", Direction.OUTGOING).findings
    assert (found.pattern, found.is_fault) == (Pattern.HEALTH_CHECKS, False)


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_lab_is_left_in_peace(healthy: Watched, source: Source, name: str) -> None:
    # Clients with an address each are many for the server only: who opens all of them is one here.
    for direction in (Direction.INCOMING,) if name == "clients that come once" else (None, *Direction):
        found = verdict(healthy, source, name, direction)
        assert found.headline in (NOTHING, SILENCE)
