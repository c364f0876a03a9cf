"""The exact watch on labs whose truth is known: each connection is counted, on its hop, by who ended it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.lab import Host, Lab, Process, open_lab, port_of, syscalls, veth
from bench.plan.run_plan import IDIOMS
from bench.subjects.catalogue import SUBJECTS
from bench.subjects.subject import RunningSubject
from bench.watch.exact import ExactWatch, joined
from bench.watch.model import (
    OTHER_PEERS,
    Direction,
    HopFlow,
    HopSnapshot,
    HopState,
    PeerHop,
    Snapshot,
    Source,
)
from bench.watch.scope import open_scope
from bench.watch.tracefs import TracingError
from tests import needs
from tests.subjects.subject_config import config
from tests.watch.conftest import Traffic, await_end

REQUESTS = 30
PROXIES = ["asyncio", *needs.subjects("nginx@system", "haproxy", long=("nginx@wheel", "envoy", "caddy"))]
OUT = PeerHop(Direction.OUTGOING, "10.0.0.2", 80)
IN = PeerHop(Direction.INCOMING, "10.0.0.2", 80)


def counts(snapshot: Snapshot, hop: PeerHop) -> HopFlow:
    """Return what a snapshot counted on a hop."""
    flows = [each.flow for each in snapshot.hops if each.hop == hop]
    return HopFlow(*astuple(flows[0])[:8]) if flows else HopFlow()


@pytest.mark.usefixtures("may_trace")
def test_a_snapshot_counts_exactly_and_shows_what_is_there(traffic: Traffic) -> None:
    with open_scope() as scope, closing(ExactWatch(scope)) as watch:
        traffic.connect()
        traffic.close(4, client=True)
        traffic.close(2, client=False)
        traffic.reset(3, client=False)
        first = watch.snapshot()
        traffic.close(1, client=True)
        second = watch.snapshot()
    out = PeerHop(Direction.OUTGOING, traffic.address, traffic.port)
    incoming = PeerHop(Direction.INCOMING, traffic.address, traffic.port)
    assert first.source is second.source is Source.EXACT
    assert counts(first, out) == HopFlow(10, closed_here=4, closed_there=2, reset_there=3)
    assert counts(first, incoming) == HopFlow(10, closed_here=2, closed_there=4, reset_here=3)
    assert counts(second, out) == HopFlow(1, closed_here=1)
    (state,) = (each.state for each in first.hops if each.hop == out)
    assert (state.established, state.time_wait) == (1, 4)
    assert not any("looks" in note for note in (*first.notes, *second.notes))


@pytest.mark.usefixtures("may_trace")
def test_how_long_a_lost_connection_had_been_idle_is_known_by_the_look_before(traffic: Traffic) -> None:
    out = PeerHop(Direction.OUTGOING, traffic.address, traffic.port)
    deadline, idle_s = time.monotonic() + 60, list[float]()
    with open_scope() as scope, closing(ExactWatch(scope)) as watch:
        # On a busy machine more time may go by after the look than the connection was idle before it.
        while not idle_s:
            assert time.monotonic() < deadline, "no look was in time"
            near, far = traffic.connect()
            used_s = time.monotonic()
            near.settimeout(0.1)
            while not seen_idle(watch, out, 0.3):
                assert time.monotonic() < deadline, "no look has seen it idle"
                with pytest.raises(TimeoutError):
                    near.recv(1)
            far.close()
            ended_s = time.monotonic()
            near.sendall(b"late")
            await_end(near)
            near.close()
            hops = [each for _ in range(2) for each in watch.snapshot().hops if each.hop == out]
            idle_s = [each_s for hop in hops for each_s in hop.flow.idle_before_reset_s]
    assert 0.3 <= idle_s[0] <= ended_s - used_s + 0.02, "the kernel counts in ticks of some milliseconds"


def seen_idle(watch: ExactWatch, hop: PeerHop, at_least_s: float) -> bool:
    """Return whether a look shows connections of a hop that have been idle for so long."""
    states = [each.state for each in watch.snapshot().hops if each.hop == hop]
    return any(idle_s >= at_least_s for state in states for idle_s in state.idle_s)


@contextmanager
def backend(place: Lab, *flags: str) -> Iterator[tuple[Process, str]]:
    """Start a backend that counts; give it and its address."""
    argv = [sys.executable, "-m", "backends", "--listen", "127.0.0.1:0", "--control", *flags]
    process = place.hosts["backend"].start(argv, name="backend")
    yield process, process.wait_event("ready", 60)["listen"][0]


def truth(process: Process, is_over: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """Return what the backend counted, once it is over."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        process.send({"command": "count"})
        found: dict[str, int] = process.wait_event("count", 60)
        if is_over(found):
            return found
    raise AssertionError(f"it never came to it: {found}")


def start_proxy(
    place: Lab, subject: str, mode: str, upstream: str, idiom: str | None = None
) -> RunningSubject:
    """Start a proxy that closes first, unless its backend does of its own accord."""
    name, _, program = subject.partition("@")
    wanted = config(mode, name=name, program=program or None, idiom=idiom, upstreams=[upstream], clients=1)
    return SUBJECTS[name]().start(place.hosts["proxy"], None, wanted)


def request(address: str) -> None:
    """Send one request on a connection of its own."""
    client = http.client.HTTPConnection(address, timeout=60)
    client.request("GET", "/")
    with client.getresponse() as response:
        assert response.status == 200
        response.read()
    client.close()


@pytest.mark.usefixtures("may_trace")
@pytest.mark.parametrize("mode", ["short", "keepalive"])
@pytest.mark.parametrize("subject", PROXIES)
def test_what_a_proxy_opens_and_closes_is_what_its_backend_accepted(subject: str, mode: str) -> None:
    with open_lab("loopback") as place, backend(place, "--close", "never") as (server, upstream):
        running = start_proxy(place, subject, mode, upstream)
        with open_scope() as scope, closing(ExactWatch(scope)) as watch:
            for _ in range(REQUESTS):
                request(running.address)
            running.stop()
            known = truth(server, lambda count: count["requests"] == REQUESTS)
            seen = watch.snapshot()
    flow = counts(seen, PeerHop(Direction.OUTGOING, "127.0.0.1", port_of(upstream)))
    accepted = known["accepted"]
    # HAProxy ends some of what it does not keep by a reset.
    assert flow == HopFlow(accepted, closed_here=accepted - flow.reset_here, reset_here=flow.reset_here)
    assert (accepted == REQUESTS) is (mode == "short")
    front = counts(seen, PeerHop(Direction.INCOMING, "127.0.0.1", port_of(running.address)))
    assert front.opened == REQUESTS


@pytest.mark.usefixtures("may_trace")
@pytest.mark.parametrize("subject", PROXIES)
def test_what_a_backend_closes_for_idleness_is_closed_there(subject: str) -> None:
    with open_lab("loopback") as place, backend(place, "--idle-timeout", "0.2") as (server, upstream):
        running = start_proxy(place, subject, "keepalive", upstream)
        with open_scope() as scope, closing(ExactWatch(scope)) as watch:
            for _ in range(REQUESTS):
                request(running.address)
            known = truth(server, lambda count: count["closed_first"] == count["accepted"])
            seen = watch.snapshot()
        running.stop()
    flow = counts(seen, PeerHop(Direction.OUTGOING, "127.0.0.1", port_of(upstream)))
    assert flow == HopFlow(opened=known["accepted"], closed_there=known["closed_first"])
    served = counts(seen, PeerHop(Direction.INCOMING, "127.0.0.1", port_of(upstream)))
    assert served == HopFlow(opened=known["accepted"], closed_here=known["closed_first"])


@pytest.mark.usefixtures("may_trace")
@needs.program("nginx@system")
@pytest.mark.parametrize("idiom", IDIOMS)
def test_each_half_fix_of_nginx_opens_what_its_backend_accepted(idiom: str) -> None:
    with open_lab("loopback") as place, backend(place, "--close", "at-once") as (server, upstream):
        running = start_proxy(place, "nginx@system", "keepalive", upstream, idiom)
        with open_scope() as scope, closing(ExactWatch(scope)) as watch:
            for _ in range(REQUESTS):
                request(running.address)
            running.stop()
            known = truth(server, lambda count: count["requests"] == REQUESTS)
            seen = watch.snapshot()
    port = port_of(upstream)
    near = counts(seen, PeerHop(Direction.OUTGOING, "127.0.0.1", port))
    far = counts(seen, PeerHop(Direction.INCOMING, "127.0.0.1", port))
    assert near.opened == near.ended == far.opened == known["accepted"]
    # Where both ends close at once, each of them is the first by what it knows.
    assert near.closed_there <= far.closed_here
    assert far.closed_there <= near.closed_here
    assert (known["accepted"] < REQUESTS) is (idiom in ("small-pool", "full"))


@pytest.fixture
def namespace() -> Iterator[Host]:
    """Return a host with a network namespace of its own, loopback up."""
    host = Host("apart", ["127.0.0.1"], ["127.0.0.1"])
    host.call(syscalls.unshare, syscalls.CLONE_NEWNET)
    host.call(veth.configure, [])
    # A namespace is in use where a process is, not by a thread of another one.
    with host.call(subprocess.Popen, ["sleep", "600"]) as resident:
        yield host
        resident.kill()
    host.close()


@pytest.mark.usefixtures("may_trace")
@needs.in_namespaces
def test_a_namespace_is_watched_without_the_loopback_of_others(namespace: Host, traffic: Traffic) -> None:
    listener = namespace.call(socket.create_server, ("127.0.0.1", 0))
    with listener, open_scope(netns=path_of(namespace)) as scope, closing(ExactWatch(scope)) as watch:
        inner = Traffic(listener)
        port = inner.port
        namespace.call(inner.close, 5, client=True)
        traffic.close(7, client=True)
        seen = watch.snapshot()
    assert traffic.port == port or traffic.port not in {each.hop.port for each in seen.hops}
    assert counts(seen, PeerHop(Direction.OUTGOING, "127.0.0.1", port)) == HopFlow(5, closed_here=5)
    assert counts(seen, PeerHop(Direction.INCOMING, "127.0.0.1", port)) == HopFlow(5, closed_there=5)


@pytest.mark.usefixtures("may_trace")
@needs.in_namespaces
@pytest.mark.parametrize("watched", ["inner", "outer"])
def test_the_same_hop_in_two_namespaces_is_told_apart_by_who_connects(namespace: Host, watched: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as outer_listener:
        port = outer_listener.getsockname()[1]
        with namespace.call(socket.create_server, ("127.0.0.1", port)) as inner_listener:
            netns = path_of(namespace) if watched == "inner" else None
            with open_scope(netns=netns) as scope, closing(ExactWatch(scope)) as watch:
                namespace.call(Traffic(inner_listener).close, 5, client=True)
                Traffic(outer_listener).close(7, client=False)
                seen = watch.snapshot()
    hops = [PeerHop(direction, "127.0.0.1", port) for direction in (Direction.OUTGOING, Direction.INCOMING)]
    inner = HopFlow(5, closed_here=5), HopFlow(5, closed_there=5)
    outer = HopFlow(7, closed_there=7), HopFlow(7, closed_here=7)
    assert tuple(counts(seen, hop) for hop in hops) == (inner if watched == "inner" else outer)


CONNECT = """
import socket, sys
address = ("127.0.0.1", int(sys.argv[1]))
for line in sys.stdin:
    for _ in range(int(line)):
        socket.create_connection(address).close()
    print("done", flush=True)
"""


def start_client(port: int) -> subprocess.Popen[str]:
    """Start a process that makes as many connections as each line of its input says."""
    argv = [sys.executable, "-c", CONNECT, str(port)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def make(client: subprocess.Popen[str], count: int) -> None:
    """Have a client make connections, and wait until they are made."""
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(f"{count}\n")
    client.stdin.flush()
    assert client.stdout.readline() == "done\n"


@pytest.mark.usefixtures("may_trace")
def test_of_two_processes_with_one_peer_each_has_its_own_connections() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    port = listener.getsockname()[1]
    with listener, start_client(port) as ours, start_client(port) as other:
        with open_scope(pid=ours.pid) as scope, closing(ExactWatch(scope)) as watch:
            make(other, 9)
            make(ours, 6)
            make(other, 4)
            seen = watch.snapshot()
        for client in (ours, other):
            client.communicate(timeout=60)
    hop = PeerHop(Direction.OUTGOING, "127.0.0.1", port)
    mine = [each for each in seen.hops if each.hop == hop and not each.is_unattributed]
    assert [each.flow.opened for each in mine] == [6]
    assert sum(each.flow.opened for each in seen.hops if each.is_unattributed) == 0


def path_of(host: Host) -> str:
    """Return the path of a host's network namespace."""
    task = host.call(threading.get_native_id)
    return f"/proc/self/task/{task}/ns/net"


class Made:
    """A watch whose snapshots are made up."""

    def __init__(self, *hops: HopSnapshot, notes: tuple[str, ...] = ()) -> None:
        self.made = Snapshot(1.0, 1.0, Source.SAMPLED, hops, notes=notes)
        self.is_closed = False
        self.shortest_interval_s = 4.0

    def snapshot(self) -> Snapshot:
        return self.made

    def idle_times(self, tuples: NDArray[np.uint64], at_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        raise AssertionError("without events nobody asks")

    def close(self) -> None:
        self.is_closed = True


def test_without_tracing_each_snapshot_is_sampled_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise TracingError("the kernel's tracing is for root only")

    monkeypatch.setattr("bench.watch.exact.EventReader", refuse)
    sampled = Made(HopSnapshot(OUT, HopFlow(3), HopState()), notes=("a note",))
    with open_scope() as scope, closing(ExactWatch(scope, sampled)) as watch:
        seen = watch.snapshot()
        assert watch.shortest_interval_s == 4.0
    assert seen.source is Source.SAMPLED
    assert seen.hops == sampled.made.hops
    assert seen.notes == ("a note", "sampled only, not exact: the kernel's tracing is for root only")
    assert sampled.is_closed


def test_what_events_tell_takes_the_place_of_what_was_sampled() -> None:
    state = HopState(established=2)
    sampled = (
        HopSnapshot(OUT, HopFlow(1, ended_unknown=1, lifetimes_s=(5.0,)), state),
        HopSnapshot(OUT, HopFlow(9), HopState(time_wait=9), is_unattributed=True),
    )
    found = joined(
        sampled, {OUT: HopFlow(4, closed_there=3, idle_before_reset_s=(7.0,)), IN: HopFlow(failed_opens=1)}
    )
    assert found == (
        HopSnapshot(OUT, HopFlow(4, closed_there=3, idle_before_reset_s=(7.0,)), state),
        HopSnapshot(OUT, HopFlow(), HopState(time_wait=9), is_unattributed=True),
        HopSnapshot(IN, HopFlow(failed_opens=1), HopState()),
    )


def test_what_waits_where_no_process_was_seen_belongs_to_those_who_open_there() -> None:
    waiting = HopState(time_wait=9, ports_used=9)
    sampled = (
        HopSnapshot(OUT, HopFlow(9), waiting, is_unattributed=True),
        HopSnapshot(IN, HopFlow(2), HopState(time_wait=2), is_unattributed=True),
    )
    assert joined(sampled, {OUT: HopFlow(4, closed_here=4)}) == (
        HopSnapshot(OUT, HopFlow(4, closed_here=4), waiting),
        HopSnapshot(IN, HopFlow(), HopState(time_wait=2), is_unattributed=True),
    )


def test_the_busiest_peers_keep_their_hops_and_the_rest_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.watch.exact.MOST_HOPS", 1)
    others = PeerHop(Direction.INCOMING, OTHER_PEERS, 80)
    sampled = (HopSnapshot(others, HopFlow(1), HopState(established=7)),)
    flows = {
        PeerHop(Direction.INCOMING, f"10.1.0.{number}", 80): HopFlow(
            1, closed_there=1, reset_after_fin=1, lifetimes_s=(0.5,), idle_before_reset_s=(3.0,)
        )
        for number in range(100)
    }
    gathered, busiest = joined(sampled, {**flows, IN: HopFlow(2)})
    assert (gathered.hop, gathered.state) == (others, HopState(established=7))
    flow = gathered.flow
    assert (flow.opened, flow.closed_there, flow.reset_after_fin) == (100, 100, 100)
    assert (len(flow.lifetimes_s), len(flow.idle_before_reset_s)) == (50, 50)
    assert busiest == HopSnapshot(IN, HopFlow(2), HopState())
