"""Play one scenario in a network namespace of its own, and print the verdict of a sampled watch as JSON.

    python -m tests.watch.labs.scenario NAME

A process of its own, since who is not root enters a user namespace for it, and does not leave that again.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field

from bench.lab import namespaces, syscalls, sysctl
from bench.watch.model import Snapshot
from bench.watch.sampled import SampledWatch
from bench.watch.scope import open_scope
from bench.watch.verdict import judge
from tests.watch.labs import clients, servers
from tests.watch.labs.lab import Address, Clients, running

SERVER = ("10.87.9.1", 8080)
"""No loopback address, though both ends are here: a port in TIME_WAIT is not taken again after a second."""
EVERY_S, WATCHED_S, PATIENCE_S = 0.25, 2.5, 60.0


@contextmanager
def _clients(what: Clients, server: Address = SERVER) -> Iterator[None]:
    with running([(servers.keeps, what)], server):
        yield


@contextmanager
def _never_accepts() -> Iterator[None]:
    """Let more clients come than the backlog of a server holds that never accepts."""
    with ExitStack() as stack:
        stack.enter_context(closing(socket.create_server(SERVER, backlog=2)))
        for _ in range(12):
            near = stack.enter_context(closing(socket.socket()))
            near.setblocking(False)
            near.connect_ex(SERVER)
        yield


@contextmanager
def _refused(per_s: float) -> Iterator[None]:
    """Let clients connect to a port where nobody listens."""
    stop = threading.Event()

    def go() -> None:
        while not stop.wait(1 / per_s):
            with suppress(ConnectionRefusedError), socket.create_connection(SERVER):
                pass

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True)
class Scenario:
    """What goes on in the namespace, and the settings of its kernel."""

    traffic: Callable[[], AbstractContextManager[None]]
    settings: Mapping[str, str] = field(default_factory=dict)
    until_ports: int = 0
    """It is watched until so many ports are taken, and for WATCHED_S at the least."""


NARROW = {sysctl.PORT_RANGE: "32768 32967"}
"""200 ports."""
SCENARIOS = {
    "half": Scenario(lambda: _clients(clients.short(20)), NARROW, 60),
    "past half": Scenario(lambda: _clients(clients.short(45)), NARROW, 120),
    "exhausted": Scenario(lambda: _clients(clients.short(100)), NARROW, 197),
    "held": Scenario(lambda: _clients(clients.opens(150)), NARROW, 150),
    "time-wait limit": Scenario(lambda: _clients(clients.short(50)), {"net.ipv4.tcp_max_tw_buckets": "10"}),
    "dns": Scenario(lambda: _clients(clients.short(20), (SERVER[0], 53))),
    "backlog": Scenario(_never_accepts),
    "refused": Scenario(lambda: _refused(50)),
}


def play(scenario: Scenario) -> list[Snapshot]:
    """Return what is seen of it."""
    seen: list[Snapshot] = []
    with ExitStack() as stack:
        scope = stack.enter_context(open_scope())
        watch = stack.enter_context(closing(SampledWatch(scope)))
        stack.enter_context(scenario.traffic())
        due = time.monotonic()
        end = due + WATCHED_S
        while due < end or _ports(seen[-1]) < scenario.until_ports:
            assert due < end + PATIENCE_S, f"only {_ports(seen[-1])} ports are taken"
            due += EVERY_S
            time.sleep(max(0.0, due - time.monotonic()))
            seen.append(watch.snapshot())
    return seen


def _ports(snapshot: Snapshot) -> int:
    return max((each.state.ports_used for each in snapshot.hops), default=0)


def main(name: str) -> None:
    """Play a scenario and print the verdict."""
    from pyroute2 import IPRoute  # noqa: PLC0415 - a quarter of a second that only this needs

    namespaces.enter()
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with IPRoute() as route:
        route.link("set", index=1, state="up")
        route.addr("add", index=1, address=SERVER[0], prefixlen=32)
    scenario = SCENARIOS[name]
    for key, value in scenario.settings.items():
        sysctl.write(key, value, "here")
    sys.stdout.write(json.dumps(judge(play(scenario)).to_json()))


if __name__ == "__main__":
    main(sys.argv[1])
