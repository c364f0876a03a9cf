"""`python -m bench.scenarios.stream.clients`: requests answers, and notes when each token comes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

import aiohttp

from bench.load.counters import TimeHistogram
from bench.scenarios.client import process
from bench.scenarios.client.event_stream import EventStream
from bench.scenarios.client.process import ClientControl, Go
from bench.scenarios.client.session import open_session

END = b"end"
_SPACING_S = 0.05
"""Between the requests of two readers: each has its own stream, and not all begin at once."""


@dataclass(slots=True)
class AnswerRead:
    """What one reader received: when it began, and when each token came, counted from then."""

    begin_ns: int
    arrivals_ns: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    ended: bool = False


class AnswerReader:
    """Reads answers in one way, any number at a time, and keeps their times."""

    def __init__(self, job: dict[str, Any], session: aiohttp.ClientSession) -> None:
        self._job = job
        self._session = session
        self.first, self.gaps, self.held = TimeHistogram(), TimeHistogram(), TimeHistogram()
        self.answers: list[AnswerRead] = []

    async def read(self) -> None:
        """Request one answer and read it to its end, or to where it is cut."""
        answer = AnswerRead(monotonic_ns())
        self.answers.append(answer)
        source = self._socket() if self._job["socket"] else self._events()
        try:
            async for number, token in source:
                if self._receive(answer, number, token):
                    break
        except (aiohttp.ClientError, OSError):
            return  # cut: what came until then counts

    def _receive(self, answer: AnswerRead, number: int, token: bytes) -> bool:
        """Note one token; return whether it was the end."""
        now_ns = monotonic_ns()
        moment, _, word = token.partition(b" ")
        if word == END:
            answer.ended = True
            return True
        at_ns = now_ns - answer.begin_ns
        if answer.arrivals_ns:
            self.gaps.add(at_ns - answer.arrivals_ns[-1])
        else:
            self.first.add(at_ns)
        self.held.add(now_ns - int(moment))
        answer.arrivals_ns.append(at_ns)
        answer.numbers.append(number)
        return False

    async def _events(self) -> AsyncIterator[tuple[int, bytes]]:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": self._job["encoding"]}
        url, events = f"http://{self._job['address']}/events", EventStream()
        async with self._session.get(url, headers=headers) as response:
            response.raise_for_status()
            async for data in response.content.iter_any():
                for event in events.feed(data):
                    yield event

    async def _socket(self) -> AsyncIterator[tuple[int, bytes]]:
        async with self._session.ws_connect(f"http://{self._job['address']}/socket", compress=0) as socket:
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    return
                number, _, token = str(frame.data).encode().partition(b" ")
                yield int(number), token

    def event(self) -> dict[str, Any]:
        """Return the keys of the `done` event."""
        return {
            "first_us": self.first.histogram(),
            "gaps_us": self.gaps.histogram(),
            "held_us": self.held.histogram(),
            "tokens": sum(len(each.numbers) for each in self.answers),
            "doubled": sum(len(each.numbers) - len(set(each.numbers)) for each in self.answers),
            "cut": sum(not each.ended for each in self.answers),
            "arrivals_s": [at_ns / 1e9 for at_ns in self.answers[0].arrivals_ns],
        }


async def act(job: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Have every reader read one answer in the window; they begin shortly one after another."""
    async with open_session() as session:
        reader = AnswerReader(job, session)
        await control.sleep_until(go.window_ns)
        await control.run_unless_stopped(_read_all(reader, job["streams"]))
    return reader.event()


async def _read_all(reader: AnswerReader, count: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(reader.read())
            await asyncio.sleep(_SPACING_S)


if __name__ == "__main__":
    process.run(act)
