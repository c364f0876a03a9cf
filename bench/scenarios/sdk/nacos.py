"""`python -m bench.scenarios.sdk.nacos`: instances and subscribers that are Nacos's own clients."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from time import monotonic_ns
from typing import Any, Protocol

from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go
from bench.scenarios.sdk.seen import Beats, Seen

_LOOK_S = 0.02


class Client(Protocol):
    """One of Nacos's clients, which is an instance, or a subscriber."""

    async def register(self, ip: str, port: int) -> None:
        """Register an instance, which beats from now on."""

    async def follow(self, seen: Seen) -> None:
        """Have a subscriber be told of the service's instances."""

    async def die(self) -> None:
        """End without a word, as far as this client can."""


def _clients(job: dict[str, Any], beats: Beats) -> Any:
    if job["variant"] == "sdk-1":
        from bench.scenarios.sdk.nacos_http import Http  # noqa: PLC0415 - the other kind is not imported

        return lambda who: Http(who, job, beats)
    from bench.scenarios.sdk.nacos_grpc import Grpc  # noqa: PLC0415

    return lambda who: Grpc(who, job)


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
    code = process.run(act)
    sys.stdout.flush()
    os._exit(code)  # the clients' own threads never end
