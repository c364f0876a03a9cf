"""`python -m bench.scenarios.sdk.rocketmq`: a producer and consumers that are RocketMQ's own clients."""

import asyncio
import threading
from time import monotonic_ns
from typing import Any

from rocketmq import ClientConfiguration, Credentials, FilterExpression, Message, Producer, SimpleConsumer

from bench.load.counters import TimeHistogram, merge_histograms
from bench.scenarios.client import process
from bench.scenarios.client.process import ClientControl, Go

_BATCH = 32
_INVISIBLE_S = 30
_DRAIN_S = 2.0


class RocketConsumer:
    """One consumer with a topic of its own, on a thread of its own: the client waits there."""

    def __init__(self, number: int, job: dict[str, Any], go: Go) -> None:
        self.topic = f"topic-{number}"
        self.delays = TimeHistogram()
        self.delivered = self.received = self.pulls = self.empty = 0
        self._go = go
        hold_s = int(job["hold_s"])
        configured = _configuration(job)
        self._client = SimpleConsumer(
            configured, f"group-{number}", {self.topic: FilterExpression()}, await_duration=hold_s
        )
        self.is_over = False

    def consume(self) -> None:
        """Pull, and acknowledge, until it is over."""
        self._client.startup()
        while not self.is_over:
            began_ns = monotonic_ns()
            messages = self._client.receive(_BATCH, _INVISIBLE_S) or []
            now_ns = monotonic_ns()
            if self._go.is_in_window(began_ns):
                self.pulls += 1
                self.empty += not messages
            for message in messages:
                self.received += 1
                published_ns = int(message.body)
                if self._go.is_in_window(published_ns):
                    self.delivered += 1
                    self.delays.add(now_ns - published_ns)
                self._client.ack(message)


def _configuration(job: dict[str, Any]) -> Any:
    return ClientConfiguration(job["address"], Credentials())


def produce(job: dict[str, Any], go: Go, topics: list[str]) -> tuple[int, int]:
    """Publish to the topics in turn until the window ends; return how many, in all and in the window."""
    producer = Producer(_configuration(job), topics)
    producer.startup()
    every_ns = round(1e9 / (job["messages_per_s"] * len(topics)))
    sent = published = 0
    pause = threading.Event()
    while (now_ns := monotonic_ns()) < go.end_ns:
        message = Message()
        message.topic, message.body = topics[sent % len(topics)], str(now_ns).encode()
        producer.send(message)
        published += go.is_in_window(now_ns)
        sent += 1
        pause.wait(every_ns / 1e9)
    return sent, published


async def act(job: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Have the consumers pull, publish until the window ends, and wait for the last messages."""
    consumers = [RocketConsumer(number, job, go) for number in range(job["consumers"])]
    for each in consumers:
        threading.Thread(target=each.consume, daemon=True).start()
    sent, published = await asyncio.to_thread(produce, job, go, [each.topic for each in consumers])
    await process.wait_until(
        lambda: sum(each.received for each in consumers) >= sent or control.stopped.is_set(), _DRAIN_S
    )
    for each in consumers:
        each.is_over = True
    received = sum(each.received for each in consumers)
    return {
        "published": published,
        "delivered": sum(each.delivered for each in consumers),
        "lost": max(0, sent - received),
        "doubled": max(0, received - sent),
        "pulls": sum(each.pulls for each in consumers),
        "empty": sum(each.empty for each in consumers),
        "failed": 0,
        "delay_us": sorted(merge_histograms(each.delays.histogram() for each in consumers).items()),
    }


if __name__ == "__main__":
    process.run_beside_threads(act)
