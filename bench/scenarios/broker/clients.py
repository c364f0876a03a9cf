"""`python -m bench.scenarios.broker.clients`: one producer and N consumers with a queue each."""

import asyncio
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, Protocol

from bench.load.counters import TimeHistogram
from bench.scenarios.client import process
from bench.scenarios.client.process import ClientControl, Go
from bench.scenarios.client.requests import HttpCaller, RequestOptions


@dataclass(frozen=True, slots=True)
class BrokerJob:
    """What the producer and the consumers are to do."""

    variant: str
    address: str
    consumers: int
    messages_per_s: float
    """To each queue."""
    poll_every_s: float
    hold_s: float
    patience_s: float


class ConsumerCounts:
    """What the consumers received."""

    def __init__(self, go: Go, consumers: int) -> None:
        self.go = go
        self.last = [0] * consumers
        self.delays = TimeHistogram()
        self.delivered = self.lost = self.doubled = self.pulls = self.empty = self.failed = 0

    def receive(self, consumer: int, line: str) -> None:
        """Count one message of a consumer's queue."""
        field, _, published = line.partition(" ")
        expected, number = self.last[consumer] + 1, int(field)
        if number < expected:
            self.doubled += 1
            return
        self.lost += number - expected
        self.last[consumer] = number
        if self.go.is_in_window(int(published)):
            self.delivered += 1
            self.delays.add(monotonic_ns() - int(published))

    def count_pull(self, lines: list[str]) -> None:
        """Count one pull that was answered."""
        if self.go.is_in_window(monotonic_ns()):
            self.pulls += 1
            self.empty += not lines

    def event(self, total: int, published: int) -> dict[str, Any]:
        """Return the keys of the `done` event; `total` messages were published, `published` in the window."""
        names = ("delivered", "doubled", "pulls", "empty", "failed")
        return {
            "published": published,
            "lost": self.lost + total - sum(self.last),
            **{name: getattr(self, name) for name in names},
            "delay_us": self.delays.histogram(),
        }


class BrokerClients(Protocol):
    """The consumers and the producer of one variant."""

    async def consume(self, consumer: int) -> None:
        """Receive the messages of a queue for good."""

    async def publish(self, queue: int, text: str) -> None:
        """Publish a message and wait until the broker has it; OSError where it cannot be published."""


class PullClients:
    """Consumers that pull, and a producer that sends requests."""

    def __init__(self, job: BrokerJob, counts: ConsumerCounts) -> None:
        self._job = job
        self._counts = counts
        self._publisher = HttpCaller(RequestOptions(job.address))

    async def consume(self, consumer: int) -> None:
        """Pull the messages of a queue for good, one pull after the other."""
        job, counts = self._job, self._counts
        caller = HttpCaller(RequestOptions(job.address, is_kept=job.variant != "short-poll-new"))
        is_held = job.variant == "long-poll"
        wait = f"&wait={job.hold_s:g}" if is_held else ""
        if not is_held:
            # Spread evenly, as clients are that know nothing of each other.
            await asyncio.sleep(job.poll_every_s * consumer / job.consumers)
        while True:
            try:
                target = f"/pull?queue={consumer}&after={counts.last[consumer]}{wait}"
                response = await caller.request("GET", target)
            except OSError:
                counts.failed += 1
                await asyncio.sleep(1.0)
                continue
            lines = response.body.decode().splitlines()
            counts.count_pull(lines)
            for line in lines:
                counts.receive(consumer, line)
            if not is_held and not lines:
                await asyncio.sleep(job.poll_every_s)

    async def publish(self, queue: int, text: str) -> None:
        """Publish by one request."""
        await self._publisher.request("POST", f"/publish?queue={queue}", text.encode())


async def produce(job: BrokerJob, go: Go, clients: BrokerClients) -> tuple[int, int]:
    """Publish to the queues in turn until the window ends; return how many messages, in all and in it."""
    every_ns = round(1e9 / (job.messages_per_s * job.consumers))
    count = published = 0
    while (due_ns := go.start_ns + (count + 1) * every_ns) < go.end_ns:
        await asyncio.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
        now_ns = monotonic_ns()
        await clients.publish(count % job.consumers, str(now_ns))
        published += go.is_in_window(now_ns)
        count += 1
    return count, published


async def act(values: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Consume, produce until the window ends, and wait for the last messages."""
    job = process.read_job(BrokerJob, values)
    counts = ConsumerCounts(go, job.consumers)
    clients = await _connect(job, counts)
    consuming = [asyncio.ensure_future(clients.consume(number)) for number in range(job.consumers)]
    produced = await control.run_unless_stopped(produce(job, go, clients))
    total, published = produced or (sum(counts.last), counts.delivered)
    await process.wait_until(lambda: sum(counts.last) >= total, job.patience_s)
    await process.cancel(*consuming)
    return counts.event(total, published)


async def _connect(job: BrokerJob, counts: ConsumerCounts) -> BrokerClients:
    if job.variant == "push":
        from bench.scenarios.broker.websocket import PushClients  # noqa: PLC0415 - needs an extra of ours

        return await PushClients.connect(job, counts)
    return PullClients(job, counts)


if __name__ == "__main__":
    process.run(act)
