"""Hold the exact watch against what is known: `python -m tests.perf.exact_watch`. Needs root and tracefs.

First what a request costs a proxy, with the watch and without it, in turns. Then 5,000 connections a second
over loopback, which end in known ways, in a network namespace that fills with sockets in TIME_WAIT: each hop
must be counted to the connection. Printed are the CPU of the watcher from /proc and its memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.lab import syscalls, veth
from bench.observe.process_tree import ProcessTree
from tests.perf import pairs
from tests.perf.loaders import on
from tests.perf.pairs import paired_ratio
from tests.perf.proxies import Play, Scenario
from tests.perf.settings import Settings
from tests.perf.stage import stage

ADDRESSES = [f"127.0.0.{number}" for number in range(2, 22)]
"""Each has a range of ports of its own, so that none runs out while TIME_WAIT fills."""
SYSCTLS = {
    "net/ipv4/tcp_tw_reuse": "0",
    "net/ipv4/tcp_max_tw_buckets": "200000",
    "net/ipv4/ip_local_port_range": "1024 65535",
}
_BURST = 25
"""Connections between two looks at the clock."""
_LINGER = struct.pack("ii", 1, 0)
WAYS = ("closed_here", "closed_there", "closed_here", "closed_there", "reset_here", "reset_there")
"""How connections end in turn, as the side that opened them counts it."""
_OTHER_SIDE = {
    "closed_here": "closed_there",
    "closed_there": "closed_here",
    "reset_here": "reset_there",
    "reset_there": "reset_here",
}


class Watcher:
    """The process that watches, on `cores`."""

    def __init__(self, cores: set[int]) -> None:
        with on(cores):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.perf.watcher"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.tree = ProcessTree(self._process.pid)

    def begin(self) -> None:
        """Begin to watch."""
        assert self._ask("begin") == "ready\n"

    def end(self) -> dict[str, Any]:
        """End the watch; return what it saw."""
        found: dict[str, Any] = json.loads(self._ask("end"))
        return found

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block lasts."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def connect(listener: socket.socket, way: str) -> None:
    """Open a connection, and end it as `way` says."""
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    first, second = (near, far) if way in ("closed_here", "reset_here") else (far, near)
    if way.startswith("reset"):
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    first.close()
    with contextlib.suppress(ConnectionResetError):
        second.recv(1)  # waits for the FIN or the RST: the second must not be the first
    second.close()


def generate(listeners: list[socket.socket], rate: int, seconds: float) -> Counter[tuple[str, str]]:
    """Make `rate` connections a second; return how many to each address ended in which way."""
    made: Counter[tuple[str, str]] = Counter()
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        if number % _BURST == 0:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        listener = listeners[number % len(listeners)]
        way = WAYS[number // len(listeners) % len(WAYS)]
        connect(listener, way)
        made[str(listener.getsockname()[0]), way] += 1
    sys.stderr.write(f"made {int(rate * seconds) / (time.monotonic() - began):,.0f} connections/s\n")
    return made


def wrong(made: Counter[tuple[str, str]], port: int, hops: dict[str, dict[str, int]]) -> Iterator[str]:
    """Yield a line for each count that differs from what was made."""
    for address in ADDRESSES:
        total = sum(count for (to, _), count in made.items() if to == address)
        outgoing = {"opened": total} | {way: made[address, way] for way in _OTHER_SIDE}
        found = hops.get(f"outgoing {address} {port}", {})
        for name, count in outgoing.items():
            if found.get(name, 0) != count:
                yield f"{address}, outgoing, {name}: made {count}, seen {found.get(name, 0)}"
    # A client that does not bind has this address, wherever in 127.0.0.0/8 it connects to.
    found = hops.get(f"incoming 127.0.0.1 {port}", {})
    incoming = {"opened": made.total()}
    for way, other in _OTHER_SIDE.items():
        incoming[other] = sum(count for (_, each), count in made.items() if each == way)
    for name, count in incoming.items():
        if found.get(name, 0) != count:
            yield f"incoming, {name}: made {count}, seen {found.get(name, 0)}"


def exactness(rate: int, seconds: float) -> bool:
    """Print what was made and seen, and what it cost; return whether all of it was exact."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    veth.configure([])
    for name, value in SYSCTLS.items():
        Path("/proc/sys", name).write_text(value, encoding="ascii")
    listeners = [socket.create_server((ADDRESSES[0], 0), backlog=256)]
    port = listeners[0].getsockname()[1]
    listeners += [socket.create_server((address, port), backlog=256) for address in ADDRESSES[1:]]
    cores = sorted(os.sched_getaffinity(0))
    watcher = Watcher({cores[0]})
    watcher.begin()
    os.sched_setaffinity(0, {cores[-1]})
    before_s, began = watcher.tree.cpu_s(), time.monotonic()
    made = generate(listeners, rate, seconds)
    share = (watcher.tree.cpu_s() - before_s) / (time.monotonic() - began)
    seen = watcher.end()
    watcher.close()
    for listener in listeners:
        listener.close()
    failed = list(wrong(made, port, seen["hops"]))
    sys.stdout.write(
        f"{made.total():,} connections at {rate:,}/s, up to {seen['most_time_wait']:,} in TIME_WAIT:"
        f" {'exact on every hop' if not failed else f'{len(failed)} counts are wrong'};"
        f" {share:.1%} of a core, {seen['peak_kib'] / 1024:.0f} MiB; intervals {seen['sources']}\n"
    )
    for line in [*failed, *seen["notes"]]:
        sys.stdout.write(f"  {line}\n")
    return not failed


def proxy_cost(name: str, rounds: int) -> None:
    """Print what a request costs a proxy whose upstream connections are short, with and without a watch."""
    scenario = Scenario("watched", "2", 64, True, 1.0, 5_000)
    with stage() as opened, tempfile.TemporaryDirectory() as folder:
        play = Play(opened, scenario, Path(folder), Settings(), None)
        candidate = play.start(name)
        play.turn(candidate)  # warms up
        costs: dict[str, list[float]] = {"watched": [], "alone": []}
        watcher = Watcher(opened.near)
        for round_ in range(rounds):
            for side in pairs.order(list(costs), round_):
                with watcher.watching() if side == "watched" else contextlib.nullcontext():
                    costs[side].append(play.turn(candidate).cpu_us)
        watcher.close()
    ratio = paired_ratio(costs["alone"], costs["watched"])
    shown = {side: statistics.median(values) for side, values in costs.items()}
    sys.stdout.write(
        f"{name}, short: {shown['alone']:.1f} us of CPU a request, watched {shown['watched']:.1f} us;"
        f" ratio {ratio.center:.3f} ({ratio.low:.3f} to {ratio.high:.3f}), {rounds} pairs\n"
    )


def main() -> None:
    """Do what the command line asks for; exit with 1 where something was not exact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=5000, help="connections a second (5000)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--rounds", type=int, default=41, help="pairs of each proxy (41)")
    parser.add_argument("--only", choices=("exactness", "proxy"), help="one part")
    parser.add_argument("--proxy", action="append", help="ours, nginx-default, haproxy, ... (ours, nginx)")
    asked = parser.parse_args()
    if asked.only != "exactness":
        for name in asked.proxy or ["ours", "nginx-default"]:
            proxy_cost(name, asked.rounds)
    if asked.only != "proxy" and not exactness(asked.rate, asked.seconds):
        sys.exit(1)


if __name__ == "__main__":
    main()
