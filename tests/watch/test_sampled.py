"""The sampled watch on real sockets: on this host, and in namespaces where nobody else opens connections."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.errors import LabError
from bench.observe.sock_diag import CONNECTED, SockDiag
from bench.watch import processes, sampled
from bench.watch.model import Direction, HopSnapshot, PeerHop, Snapshot, Source
from bench.watch.sampled import SampledWatch
from bench.watch.scope import open_scope
from tests import needs
from tests.driving import drive, user

__all__ = ["drive", "user"]
pytestmark = needs.on_linux
Drive = Callable[..., Any]


@pytest.fixture(params=["127.0.0.1", "::1", "::"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """Return a listener of IPv4, of IPv6, and of both, to which clients of IPv4 come."""
    found = _listen(request.param)
    with found:
        yield found


def _listen(host: str) -> socket.socket:
    """Return a listener on a port that no socket remembers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    diag = SockDiag()
    try:
        while True:
            found = socket.create_server((host, 0), family=family, backlog=128, dualstack_ipv6=host == "::")
            old, port = diag.dump(CONNECTED), found.getsockname()[1]
            if not ((old.local_port == port) | (old.remote_port == port)).any():
                return found
            found.close()
    except (OSError, ValueError):
        needs.skip(host, "sysctl net.ipv6.conf.lo.disable_ipv6=0")
    finally:
        diag.close()


@pytest.fixture
def watch() -> Iterator[SampledWatch]:
    with open_scope() as scope:
        found = SampledWatch(scope)
        yield found
        found.close()


def address(listener: socket.socket) -> tuple[str, int]:
    """Return where clients go to."""
    host, port = listener.getsockname()[:2]
    return "127.0.0.1" if host == "::" else host, port


def exchange(listener: socket.socket, *, client_closes: bool) -> None:
    """Open a connection and close it in order, the client or the server first."""
    near = socket.create_connection(address(listener))
    far, _ = listener.accept()
    first, second = (near, far) if client_closes else (far, near)
    first.shutdown(socket.SHUT_WR)
    assert second.recv(1) == b""
    second.close()
    assert first.recv(1) == b""
    first.close()


def hop(snapshot: Snapshot, direction: Direction, listener: socket.socket) -> HopSnapshot:
    wanted = PeerHop(direction, *address(listener))
    (found,) = (each for each in snapshot.hops if each.hop == wanted)
    return found


@pytest.mark.parametrize("client_closes", [True, False])
def test_both_ends_of_connections_on_this_host_are_counted(
    watch: SampledWatch, listener: socket.socket, client_closes: bool
) -> None:
    for _ in range(100):
        exchange(listener, client_closes=client_closes)
    snapshot = watch.snapshot()
    assert snapshot.source is Source.SAMPLED
    near, far = hop(snapshot, Direction.OUTGOING, listener), hop(snapshot, Direction.INCOMING, listener)
    first, second = (near, far) if client_closes else (far, near)
    # What others on this machine do unseen may be counted to any hop, so that these are no exact numbers.
    assert first.state.time_wait == 100
    assert min(first.flow.closed_here, second.flow.closed_there) >= 100
    assert min(first.flow.opened, second.flow.opened) >= 100
    assert second.state.time_wait == 0
    assert (near.is_unattributed, far.is_unattributed) == (False, False)
    again = watch.snapshot()
    assert hop(again, first.hop.direction, listener).flow.closed_here < 10
    assert again.t_s > snapshot.t_s
    assert again.duration_s == pytest.approx(again.t_s - snapshot.t_s)


def test_what_there_is_on_a_hop_is_what_was_left_open(watch: SampledWatch, listener: socket.socket) -> None:
    pairs = []
    for _ in range(5):
        near = socket.create_connection(address(listener))
        pairs.append((near, listener.accept()[0]))
    pairs[0][1].shutdown(socket.SHUT_WR)
    assert pairs[0][0].recv(1) == b""
    found = hop(watch.snapshot(), Direction.OUTGOING, listener)
    assert (found.state.established, found.state.close_wait) == (4, 1)
    assert found.flow.opened >= 5
    assert len(found.state.idle_s) == len(found.state.ages_s) == 4
    assert found.state.ports_used == 5
    for pair in pairs:
        for end in pair:
            end.close()


def test_a_hop_names_the_process_that_holds_its_sockets(listener: socket.socket) -> None:
    with socket.create_connection(address(listener)), listener.accept()[0], open_scope() as scope:
        watch = SampledWatch(scope)
        found = watch.snapshot()
        watch.close()
    name = processes.name_of(os.getpid())
    for direction in Direction:
        assert name in hop(found, direction, listener).state.processes


def test_what_waits_for_accept_is_told_by_port(watch: SampledWatch, listener: socket.socket) -> None:
    with socket.create_connection(address(listener)):
        assert watch.snapshot().host.syn_backlogs[listener.getsockname()[1]] == (1, 128)
        listener.accept()[0].close()


SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
upstream = int(sys.argv[1])
print(listener.getsockname()[1], flush=True)
kept = socket.create_connection(("127.0.0.1", upstream))
while True:
    near = listener.accept()[0]
    far = socket.create_connection(("127.0.0.1", upstream))
    far.shutdown(socket.SHUT_WR)
    far.recv(1)
    far.close()
    near.shutdown(socket.SHUT_WR)
    near.recv(1)
    near.close()
"""


def test_of_a_process_its_hops_are_shown_and_those_of_others_are_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream_port = upstream.getsockname()[1]
        argv = [sys.executable, "-c", SERVER, str(upstream_port)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                port = int(server.stdout.readline())
                kept, _ = upstream.accept()
                with kept, open_scope(pid=server.pid) as scope:
                    watch = SampledWatch(scope)
                    for _ in range(20):
                        with socket.create_connection(("127.0.0.1", port)) as client:
                            far, _ = upstream.accept()
                            assert far.recv(1) == b""
                            far.close()
                            assert client.recv(1) == b""
                    found = watch.snapshot()
                    watch.close()
            finally:
                server.kill()
    hops = {each.hop: each for each in found.hops if not each.is_unattributed}
    to_upstream = PeerHop(Direction.OUTGOING, "127.0.0.1", upstream_port)
    from_clients = PeerHop(Direction.INCOMING, "127.0.0.1", port)
    assert set(hops) == {to_upstream, from_clients}
    assert min(hops[each].flow.closed_here for each in hops) >= 20


# Nobody accepts: the kernel does, and the connection is there for as long as the client wants it.
SHORT = """
import socket, sys, time
while True:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
        print("ready", flush=True)
        time.sleep(0.05)
"""


def test_a_process_is_known_by_its_short_connections_too() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        port = listener.getsockname()[1]
        wanted = PeerHop(Direction.OUTGOING, "127.0.0.1", port)
        argv = [sys.executable, "-c", SHORT, str(port)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as client:
            try:
                assert client.stdout is not None
                assert client.stdout.readline() == "ready\n"
                with open_scope(pid=client.pid) as scope:
                    watch, deadline_s = SampledWatch(scope), time.monotonic() + 60
                    while not any(
                        each.hop == wanted and not each.is_unattributed for each in watch.snapshot().hops
                    ):
                        assert time.monotonic() < deadline_s, "its hop stays nobody's"
                    watch.close()
            finally:
                client.kill()


# -- in namespaces

IN_LAB = """
import dataclasses, json, os, socket, sys, threading, time
from bench import lab
lab.enter()
opened = lab.open_lab("namespaces", lab.LabRequest())
proxy, backend = opened.hosts["proxy"], opened.hosts["backend"]
tid = proxy.call(threading.get_native_id)
from bench.watch.sampled import SampledWatch
from bench.watch.scope import open_scope
scope = open_scope(netns=f"/proc/self/task/{tid}/ns/net")
assert scope.netns_inode == proxy.call(os.stat, "/proc/thread-self/ns/net").st_ino
watch = SampledWatch(scope)
listener = backend.call(socket.create_server, (backend.front, 9000), backlog=128)

def connect(listener=listener):
    near = proxy.call(socket.create_connection, listener.getsockname(), 5)
    return near, listener.accept()[0]

def open_and_end(how):
    near, far = connect()
    if how == "reset there":
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
        far.close()
        try:
            near.recv(1)
        except ConnectionResetError:
            pass
        near.close()
        return
    first, second = (near, far) if how == "here" else (far, near)
    first.shutdown(socket.SHUT_WR)
    assert second.recv(1) == b""
    second.close()
    assert first.recv(1) == b""
    first.close()

def say(snapshot, **more):
    hops = [
        {"hop": str(each.hop), "apart": each.is_unattributed, **dataclasses.asdict(each.flow),
         "time_wait": each.state.time_wait, "established": each.state.established}
        for each in snapshot.hops
    ]
    print(json.dumps({"hops": hops, "notes": snapshot.notes, "ports": snapshot.host.ports,
                      "active": snapshot.host_flow.active_opens, **more}))

def end():
    watch.close()
    scope.close()
    listener.close()
    opened.close()
"""


@needs.in_namespaces
@pytest.mark.parametrize(
    ("how", "field"),
    [("here", "closed_here"), ("there", "closed_there"), ("reset there", "ended_unknown")],
)
def test_each_connection_of_a_namespace_is_counted_by_how_it_ended(
    drive: Drive, how: str, field: str
) -> None:
    found = drive(
        IN_LAB
        + """
kept = connect()  # so that the peer has been seen
watch.snapshot()
for _ in range(50):
    open_and_end(sys.argv[1])
say(watch.snapshot())
for each in kept:
    each.close()
end()
""",
        how,
    )
    (hop,) = found["hops"]
    assert hop["hop"] == "10.87.3.1:9000"
    assert not hop["apart"]
    ends = {name: hop[name] for name in ("closed_here", "closed_there", "ended_unknown") if hop[name]}
    assert ends == {field: 50}
    assert hop["opened"] == 50
    assert hop["time_wait"] == (50 if how == "here" else 0)
    assert found["active"] == 50
    assert found["ports"] > 10_000


@needs.in_namespaces
def test_looks_while_connections_come_and_go_count_each_of_them_once(drive: Drive) -> None:
    found = drive(
        IN_LAB
        + """
def many():
    for _ in range(600):
        open_and_end("here")

going = threading.Thread(target=many)
going.start()
looks = []
while going.is_alive():
    looks.append(watch.snapshot())
looks.append(watch.snapshot())
flows = [hop.flow for look in looks for hop in look.hops]
sums = [sum(getattr(flow, name) for flow in flows) for name in ("opened", "closed_here")]
say(looks[-1], looks=len(looks), sums=sums)
end()
"""
    )
    assert found["looks"] > 2
    assert found["sums"] == [600, 600]


ON_LOOPBACK = """
local = proxy.call(socket.create_server, ("127.0.0.1", 0), backlog=512)

def churn(seconds):
    # As fast as it goes: within some seconds the ports are used up, and those in TIME_WAIT are taken again.
    end_s, count = time.monotonic() + seconds, 0
    while time.monotonic() < end_s:
        with socket.create_connection(local.getsockname()) as near, local.accept()[0] as far:
            near.shutdown(socket.SHUT_WR)
            far.recv(1)
        count += 1
    return count
"""


@needs.in_namespaces
@pytest.mark.long
@pytest.mark.parametrize("interval_s", [0.3, 3.0])
def test_thousands_a_second_are_counted_exactly_also_where_ports_are_used_again(
    drive: Drive, interval_s: float
) -> None:
    found = drive(
        IN_LAB
        + ON_LOOPBACK
        + """
counted = []
going = threading.Thread(target=lambda: counted.append(proxy.call(churn, 8)))
going.start()
looks = []
while going.is_alive():
    going.join(float(sys.argv[1]))
    looks.append(watch.snapshot())
looks.append(watch.snapshot())
flows = [hop.flow for look in looks for hop in look.hops if hop.hop.direction == "outgoing"]
sums = [sum(getattr(flow, name) for flow in flows) for name in ("opened", "closed_here")]
reused = sum(look.host_flow.time_wait_reused or 0 for look in looks)
say(looks[-1], sums=sums, counted=counted[0], reused=reused)
local.close()
end()
""",
        str(interval_s),
    )
    assert found["counted"] > 5_000
    for count in found["sums"]:
        assert abs(count / found["counted"] - 1) < 0.02
    if found["counted"] > 28_232:
        assert found["reused"] > 0


@needs.in_namespaces
def test_between_two_peers_what_was_not_seen_is_named_to_neither(drive: Drive) -> None:
    found = drive(
        IN_LAB
        + """
other = backend.call(socket.create_server, (backend.front, 9001), backlog=8)
kept = [*connect(), *connect(other)]
watch.snapshot()
for _ in range(50):
    open_and_end("there")
say(watch.snapshot())
for each in (*kept, other):
    each.close()
end()
"""
    )
    assert {hop["hop"]: hop["opened"] for hop in found["hops"]} == {
        "10.87.3.1:9000": 0,
        "10.87.3.1:9001": 0,
    }
    (note,) = (each for each in found["notes"] if "between two looks" in each)
    assert note.startswith("50 connections that this host opened came and went between two looks")


@needs.in_namespaces
def test_a_port_that_is_used_again_between_two_looks_is_counted_each_time(drive: Drive) -> None:
    found = drive(
        IN_LAB
        + """
from bench.lab import sysctl
proxy.call(sysctl.write, "net.ipv4.tcp_tw_reuse", "1", "proxy")
proxy.call(sysctl.write, "net.ipv4.ip_local_port_range", "40000 40009", "proxy")
count, deadline_s = 0, time.monotonic() + 30
while count < 25 and time.monotonic() < deadline_s:
    try:
        open_and_end("here")
        count += 1
    except OSError:  # no port is free; in a second one is
        time.sleep(0.05)
say(watch.snapshot(), count=count)
end()
"""
    )
    (hop,) = found["hops"]
    assert found["count"] == 25
    assert hop["closed_here"] == hop["opened"] == 25
    assert any("left TIME_WAIT for a new connection" in note for note in found["notes"])


# -- what is not there


def test_a_system_without_sock_diag_is_told_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> SockDiag:
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(sampled, "SockDiag", refuse)
    with open_scope() as scope, pytest.raises(LabError, match=r"sock_diag.*modprobe tcp_diag"):
        SampledWatch(scope)


def test_where_a_look_is_dear_the_note_says_how_often_it_may_come(
    watch: SampledWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampled, "_BESIDE_SHARE", 0.00999999)
    (note,) = (each for each in watch.snapshot().notes if "a look at" in each)
    assert "keeps the watch within" in note
    assert watch.shortest_interval_s > 1


HOLDS_ONE = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_connection_that_another_process_holds_is_not_shown(listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        argv = [sys.executable, "-c", HOLDS_ONE, str(port)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            try:
                assert holder.stdout is not None
                assert holder.stdout.readline() == "holds\n"
                with socket.create_connection(address(listener)), open_scope(pid=holder.pid) as scope:
                    watch = SampledWatch(scope)
                    found = watch.snapshot()
                    watch.close()
            finally:
                holder.kill()
    ports = {each.hop.port for each in found.hops}
    assert port in ports
    assert listener.getsockname()[1] not in ports
