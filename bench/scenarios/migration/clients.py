"""The life of a client that follows an answer and is told when it moves; tcp.py and quic.py follow it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Protocol

from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go
from bench.scenarios.migration.receipts import Receipts


class Follower(Protocol):
    """Follows an answer in one way."""

    async def follow(self) -> None:
        """Follow until the answer is whole, or the way has come to its end."""

    def moved(self, address: str) -> None:
        """Take note that the client's address is another one now."""


Make = Callable[[dict[str, Any], Receipts], Follower]
"""Makes who follows in the job's way."""


def run(make: Make) -> int:
    """Run a client process to its end; returns the exit code."""
    return process.run(functools.partial(_act, make))


async def _act(make: Make, job: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Follow until the answer is whole or the watch is over."""
    receipts = Receipts(job["tokens"], go.start_ns)
    who = make(job, receipts)

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
