"""`python -m bench.scenarios.migration.clients`: one client that is told when it moves."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Protocol

from bench.scenarios import client
from bench.scenarios.client import Control, Go
from bench.scenarios.migration.receipts import Receipts
from bench.scenarios.migration.tcp import OverTcp


class Follower(Protocol):
    """Follows an answer in one way."""

    async def follow(self) -> None:
        """Follow until the answer is whole, or the way has come to its end."""

    def moved(self, address: str) -> None:
        """Take note that the client's address is another one now."""


def follower(job: dict[str, Any], receipts: Receipts) -> Follower:
    """Return who follows in the job's way."""
    if not job["way"].startswith("quic"):
        return OverTcp(job, receipts)
    from bench.scenarios.migration.quic import OverQuic  # noqa: PLC0415 - needs an extra

    return OverQuic(job, receipts)


async def act(job: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Follow until the answer is whole or the watch is over."""
    receipts = Receipts(job["tokens"], go.start_ns)
    who = follower(job, receipts)

    async def listen() -> None:
        while True:
            who.moved((await control.command())["address"])

    going = [asyncio.ensure_future(each) for each in (who.follow(), listen())]
    ends = [asyncio.ensure_future(each) for each in (receipts.whole.wait(), control.stopped.wait())]
    await asyncio.wait(ends, timeout=job["watch_s"], return_when=asyncio.FIRST_COMPLETED)
    for each in (*going, *ends):
        each.cancel()
    for outcome in await asyncio.gather(*going, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return {
        "arrivals": receipts.arrivals,
        "connections": receipts.connections,
        "ends": receipts.ends,
    }


if __name__ == "__main__":
    sys.exit(client.run(act))
