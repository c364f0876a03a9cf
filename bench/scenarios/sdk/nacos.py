"""`python -m bench.scenarios.sdk.nacos`: instances and subscribers that are Nacos's own clients."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from time import monotonic_ns
from typing import Any, Protocol

from bench.scenarios import client
from bench.scenarios.client import Control, Go, Times

SERVICE = "orders"
_LOOK_S = 0.02


class Client(Protocol):
    """One of Nacos's clients, which is an instance, or a subscriber."""

    async def register(self, ip: str, port: int) -> None:
        """Register an instance, which beats from now on."""

    async def follow(self, seen: Seen) -> None:
        """Have a subscriber be told of the service's instances."""

    async def die(self) -> None:
        """End without a word, as far as this client can."""


class Seen:
    """What the subscribers have yet to see, and how late they saw the rest. Called on any thread."""

    def __init__(self) -> None:
        self.came, self.went = Times(), Times()
        self.unseen: dict[tuple[int, str, bool], int] = {}

    def expect(self, subscribers: int, ip: str, came: bool) -> None:
        """Have every subscriber be yet to see an instance come, or go."""
        now_ns = monotonic_ns()
        self.unseen.update({(who, ip, came): now_ns for who in range(subscribers)})

    def take(self, who: int, ip: str, came: bool) -> None:
        """Take what a subscriber was told."""
        at_ns = self.unseen.pop((who, ip, came), None)
        if at_ns is not None:
            (self.came if came else self.went).add(monotonic_ns() - at_ns)


def _clients(job: dict[str, Any], beats: Beats) -> Any:
    if job["way"] == "sdk-1":
        from bench.scenarios.sdk.nacos_http import Http  # noqa: PLC0415 - the other kind is not imported

        return lambda who: Http(who, job, beats)
    from bench.scenarios.sdk.nacos_grpc import Grpc  # noqa: PLC0415

    return lambda who: Grpc(who, job)


class Beats:
    """Beats that were answered in the window, as far as a client tells of them."""

    def __init__(self, go: Go) -> None:
        self._go = go
        self.times = Times()
        self.count = 0

    def add(self, began_ns: int) -> None:
        """Record one."""
        if self._go.is_in_window(began_ns):
            self.count += 1
            self.times.add(monotonic_ns() - began_ns)


async def act(job: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Let everybody join; in the window, let some die and as many come; wait until all is seen."""
    beats, seen = Beats(go), Seen()
    make = _clients(job, beats)
    subscribers = [make(who) for who in range(job["subscribers"])]
    for each in subscribers:
        await each.follow(seen)
    instances: list[Client] = [make(len(subscribers) + number) for number in range(job["instances"])]
    for number, each in enumerate(instances):
        await each.register(f"10.1.0.{number + 1}", 8080)
    await control.sleep_until(go.window_ns)
    for number in range(job["changes"]):
        seen.expect(len(subscribers), f"10.1.0.{number + 1}", came=False)
        await instances[number].die()
        seen.expect(len(subscribers), f"10.2.0.{number + 1}", came=True)
        newcomer = make(1000 + number)
        await newcomer.register(f"10.2.0.{number + 1}", 8080)
    await control.sleep_until(go.end_ns or 0)
    patient_ns = monotonic_ns() + round(job["patience_s"] * 1e9)
    while seen.unseen and monotonic_ns() < patient_ns and not control.stopped.is_set():
        await asyncio.sleep(_LOOK_S)
    return {
        "beats": beats.count,
        "late": 0,
        "polls": 0,
        "reconnects": 0,
        "mistaken": 0,
        "errors": dict(Counter[str]()),
        "changes": 2 * job["changes"],
        "unseen": len(seen.unseen),
        "beat_us": beats.times.histogram(),
        "came_us": seen.came.histogram(),
        "known_us": [],
        "went_us": seen.went.histogram(),
    }


if __name__ == "__main__":
    code = client.run(act)
    sys.stdout.flush()
    os._exit(code)  # the clients' own threads never end
