"""Hold the forecast of `bench watch` against what then happens: `python -m tests.perf.forecast`.

Ten runs of paced connections that their client closes first, each in a network namespace of its own with
another rate and another, narrow range of ports. At half of the way to half of the ports the time that is left
is predicted; printed is by how much of it the prediction is wrong.
"""

from __future__ import annotations

import argparse
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.lab import namespaces, syscalls, sysctl
from bench.observe.sock_diag import CONNECTED, SockDiag
from bench.watch import evidence, forecast
from bench.watch.model import Direction, Snapshot
from bench.watch.sampled import SampledWatch
from bench.watch.scope import open_scope

PEER, LISTEN_PORT = "10.87.9.1", 8080
"""No loopback address, though both ends are here: a port in TIME_WAIT is not taken again after a second."""
FIRST_PORT = 32768
WITHIN = 0.10
"""What the forecast promises."""
_LOOK_S = 0.02


@dataclass(frozen=True)
class Paced:
    """One run: so many connections a second through so many ports."""

    rate: float
    ports: int
    every_s: float
    """From look to look of the watch."""


@dataclass(frozen=True)
class Measured:
    """What was predicted at half of the way, and what then happened."""

    rate: float
    ports: int
    predicted_s: float
    low_s: float | None
    high_s: float | None
    happened_s: float
    rate_after: float
    """Connections a second in the five seconds behind half of the ports."""

    @property
    def error(self) -> float:
        """Return by how much of what happened the prediction is wrong."""
        return self.predicted_s / self.happened_s - 1

    @property
    def is_held(self) -> bool:
        """Whether the printed interval holds what happened."""
        return (
            self.low_s is not None
            and self.high_s is not None
            and self.low_s <= self.happened_s <= self.high_s
        )


def draw(runs: int, seed: int) -> list[Paced]:
    """Return runs of different rates, each of which reaches half of its ports in 8 to 24 s."""
    dice = random.Random(seed)
    found = []
    for _ in range(runs):
        rate = round(dice.uniform(40, 400))
        found.append(Paced(rate, 2 * round(rate * dice.uniform(8, 24) / 2), dice.choice((0.5, 1.0))))
    return found


class Traffic:
    """A server and a paced client, both in threads. States: runs, stopped."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._stop = threading.Event()
        self.opened = 0
        self._listener = socket.create_server((PEER, LISTEN_PORT), backlog=128)
        self._threads = [threading.Thread(target=self._serve), threading.Thread(target=self._ask)]
        for each in self._threads:
            each.start()

    def close(self) -> None:
        """Stop both."""
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in self._threads:
            each.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                far, _ = self._listener.accept()
                with far:
                    far.sendall(far.recv(100))
                    far.recv(1)

    def _ask(self) -> None:
        begin = time.monotonic()
        while not self._stop.is_set():
            time.sleep(max(0.0, begin + self.opened / self._rate - time.monotonic()))
            with suppress(OSError), socket.create_connection((PEER, LISTEN_PORT)) as near:
                near.sendall(b"?")
                near.recv(100)
            self.opened += 1


def perform(run: Paced) -> Measured:
    """Return what one run shows, in this process's network namespace, which is a new one."""
    sysctl.write(sysctl.PORT_RANGE, f"{FIRST_PORT} {FIRST_PORT + run.ports - 1}", "here")
    begin = time.monotonic()
    snapshots: list[Snapshot] = []
    used = Used()
    with open_scope() as scope, closing(SampledWatch(scope)) as watch, closing(Traffic(run.rate)) as traffic:
        due = begin
        while used.read() < run.ports / 4:
            time.sleep(_LOOK_S)
            if time.monotonic() >= due:
                snapshots.append(watch.snapshot())
                due += run.every_s
        snapshots.append(watch.snapshot())
        asked = time.monotonic()
        (hop,) = (each for each in evidence.collect(snapshots) if each.hop.direction is Direction.OUTGOING)
        found = forecast.forecast(hop, snapshots[-1].host).half_in_s
        assert found is not None, f"{run}: half of the ports is not predicted"
        while used.read() < run.ports / 2:
            time.sleep(_LOOK_S)
        happened_s, opened = time.monotonic() - asked, traffic.opened
        time.sleep(5)
        after = (traffic.opened - opened) / 5
    used.close()
    return Measured(run.rate, run.ports, found.center, found.low, found.high, happened_s, after)


class Used:
    """Counts the ports that are taken towards the peer."""

    def __init__(self) -> None:
        self._diag = SockDiag()

    def read(self) -> int:
        """Return how many there are now."""
        return int((self._diag.dump(CONNECTED).remote_port == LISTEN_PORT).sum())

    def close(self) -> None:
        """Close the netlink socket."""
        self._diag.close()


def _in_namespace(run: Paced) -> Measured:
    """Return what one run shows in a process and a namespace of its own."""
    argv = [sys.executable, "-m", "tests.perf.forecast", "--one", msgspec.json.encode(run).decode()]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return msgspec.json.decode(done.stdout, type=Measured)


def _one(text: str) -> None:
    from pyroute2 import IPRoute  # noqa: PLC0415 - a quarter of a second that only this needs

    namespaces.enter()
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with IPRoute() as route:
        route.link("set", index=1, state="up")
        route.addr("add", index=1, address=PEER, prefixlen=32)
    measured = perform(msgspec.json.decode(text, type=Paced))
    sys.stdout.write(msgspec.json.encode(measured).decode())


def main() -> None:
    """Run all, print the table, and end with 1 where a prediction is off by more than was promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        _one(given.one)
        return
    print("| rate | ports | predicted | interval | happened | off by | rate behind the half |")  # noqa: T201
    print("|---|---|---|---|---|---|---|")  # noqa: T201
    all_measured = []
    for run in draw(given.runs, given.seed):
        each = _in_namespace(run)
        all_measured.append(each)
        low, high = (f"{bound:.1f}" if bound is not None else "-" for bound in (each.low_s, each.high_s))
        print(  # noqa: T201
            f"| {each.rate:.0f}/s | {each.ports:,} | {each.predicted_s:.1f} s | {low} to {high} s"
            f" | {each.happened_s:.1f} s | {each.error:+.1%} | {each.rate_after:.0f}/s |",
            flush=True,
        )
    worst = max(abs(each.error) for each in all_measured)
    held = sum(each.is_held for each in all_measured)
    print(f"\nOff by {worst:.1%} at the most; the interval held {held} of {len(all_measured)}.")  # noqa: T201
    sys.exit(worst > WITHIN)


if __name__ == "__main__":
    main()
