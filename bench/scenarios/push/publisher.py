"""The publisher: when each message is due, and how it is sent to the server."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic_ns

from bench.scenarios.client.process import ClientControl, Go
from bench.scenarios.client.session import open_session
from bench.scenarios.push import rising_rate
from bench.scenarios.push.subscribers import END, PushJob

Send = Callable[[bytes], Awaitable[None]]
"""Sends the text of a message to the server and waits until it has it."""


@dataclass(slots=True)
class Published:
    """What was published: over the whole trial, in the window, and in each step of a rising rate."""

    total: int = 0
    window: int = 0
    steps: dict[int, int] = field(default_factory=dict)


def dues(start_ns: int, per_s: float) -> Iterator[int]:
    """Yield when messages are due, evenly, from one interval after the start on."""
    for turn in itertools.count(1):
        yield start_ns + round(turn / per_s * 1e9)


@asynccontextmanager
async def by_post(job: PushJob) -> AsyncIterator[Send]:
    """Publish by a request for each message, on one kept connection."""
    async with open_session() as session:

        async def send(text: bytes) -> None:
            async with session.post(f"http://{job.address}/publish", data=text) as response:
                response.raise_for_status()

        yield send


@asynccontextmanager
async def by_socket(job: PushJob) -> AsyncIterator[Send]:
    """Publish by a WebSocket message that is answered."""
    url = f"http://{job.address}/publish"
    async with open_session() as session, session.ws_connect(url, compress=0, max_msg_size=0) as socket:

        async def send(text: bytes) -> None:
            await socket.send_str(text.decode())
            await socket.receive_str()

        yield send


class Publisher:
    """Publishes in one trial, at one rate or at a rising one."""

    def __init__(self, job: PushJob, go: Go, control: ClientControl, send: Send) -> None:
        self._job, self._go, self._control, self._send = job, go, control, send
        self._filling = b" " + b"x" * job.message_bytes if job.message_bytes else b""
        self.published = Published()

    async def publish_steadily(self) -> None:
        """Publish at the rate of the job from the middle of the warm-up until the window ends."""
        go = self._go
        for due_ns in dues((go.start_ns + go.window_ns) // 2, self._job.messages_per_s):
            if due_ns < min(go.window_ns, monotonic_ns()):
                continue  # overdue in the warm-up, while all connected: its backlog is not to be measured
            if due_ns >= go.end_ns or await self._control.sleep_until(due_ns):
                break
            await self._publish(due_ns)

    async def publish_ever_faster(self, is_too_much: Callable[[int], bool]) -> None:
        """Raise the rate step by step until a step was too much, or it falls behind by a whole step."""
        job, go = self._job, self._go
        assert job.step_s is not None, "a rising rate has steps"
        current = 0
        for step, due_ns in rising_rate.rising(go.window_ns, job.step_s, job.messages_per_s):
            if step > current:
                if is_too_much(current):
                    break
                current = step
            if await self._control.sleep_until(due_ns) or monotonic_ns() - due_ns > job.step_s * 1e9:
                break
            await self._publish(due_ns)
            self.published.steps[step] = self.published.steps.get(step, 0) + 1

    async def publish_last(self) -> None:
        """Publish the last message."""
        await self._send(b"%d %b" % (monotonic_ns(), END))
        self.published.total += 1

    async def _publish(self, due_ns: int) -> None:
        """Publish one message; it carries the moment at which it was due, so that no wait goes uncounted."""
        await self._send(b"%d%b" % (due_ns, self._filling))
        self.published.total += 1
        self.published.window += self._go.is_in_window(due_ns)
