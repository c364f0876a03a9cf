"""`python -m bench.scenarios.migration.clients`: follows an answer while the client's address changes."""

import asyncio
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Protocol

from bench.scenarios.client import process
from bench.scenarios.client.event_stream import EventStream
from bench.scenarios.client.process import ClientControl, Go


class TokenReceiver:
    """What a client received of an answer so far. States: waiting, whole."""

    def __init__(self, tokens: int, start_ns: int) -> None:
        self.arrivals: list[tuple[float, int]] = []
        self.connections = 0
        """Connections that came to be established."""
        self.whole = asyncio.Event()
        self._tokens = tokens
        self._start_ns = start_ns
        self._events = EventStream()

    @property
    def last(self) -> int:
        """The number of the last token; 0 before the first."""
        return self.arrivals[-1][1] if self.arrivals else 0

    def receive(self, number: int) -> None:
        """Record one token."""
        self.arrivals.append(((monotonic_ns() - self._start_ns) / 1e9, number))
        if number >= self._tokens:
            self.whole.set()

    def feed(self, data: bytes) -> None:
        """Record the tokens in a piece of an event stream."""
        for number, _ in self._events.feed(data):
            self.receive(number)

    def restart(self) -> None:
        """Begin with a new stream: what the last one left unfinished will come again."""
        self._events = EventStream()


class AnswerFollower(Protocol):
    """Follows an answer over one kind of connection."""

    async def follow(self) -> None:
        """Follow until the answer is whole, or no further connection is made."""

    def move(self, address: str) -> None:
        """Note that the client has another address now."""


def _find_kind(job: dict[str, Any]) -> Callable[[dict[str, Any], TokenReceiver], AnswerFollower]:
    if job["variant"].startswith("quic"):
        from bench.scenarios.migration.quic import QuicFollower  # noqa: PLC0415 - needs an extra of ours

        return QuicFollower
    from bench.scenarios.migration.tcp import TcpFollower  # noqa: PLC0415 - the other is not imported

    return TcpFollower


async def prepare(job: dict[str, Any]) -> None:
    """Import the follower before the client is ready: that takes longer than some outages last."""
    _find_kind(job)


async def act(job: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Follow until the answer is whole or the watch is over."""
    receiver = TokenReceiver(job["tokens"], go.start_ns)
    follower = _find_kind(job)(job, receiver)

    async def listen() -> None:
        while True:
            follower.move((await control.command())["address"])

    running = [asyncio.ensure_future(each) for each in (follower.follow(), listen())]
    ends = [asyncio.ensure_future(each) for each in (receiver.whole.wait(), control.stopped.wait())]
    await asyncio.wait(ends, timeout=job["watch_s"], return_when=asyncio.FIRST_COMPLETED)
    for each in (*running, *ends):
        each.cancel()
    for outcome in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return {"arrivals": receiver.arrivals, "connections": receiver.connections}


if __name__ == "__main__":
    process.run(act, prepare)
