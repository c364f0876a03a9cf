"""The settings of the push scenario, and the jobs of its client processes. Pure."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.errors import PlanError
from bench.experiment.definition import Settings

SPARE_CONNECTIONS = 64
"""Besides one for each subscriber: the publisher's, a browser's, and those that end as others come."""
_LARGEST = 64 * 1024 * 1024
"""Bytes of a message that the servers accept (backends/scenarios/push/server.py)."""


@dataclass(frozen=True, slots=True)
class PushSettings(Settings):
    """How many subscribe, how often something is published, how often pollers ask, and what goes wrong."""

    subscribers: int = 300
    messages_per_s: float = 1.0
    message_bytes: int = field(default=0, metadata={"least": 0})
    """Padding of each message, after its number and its moment."""
    poll_every_s: float = 0.5
    retry_s: float = 0.2
    """How long after the end of its connection a subscriber connects again."""
    drop_every_s: float = field(default=0.0, metadata={"least": 0})
    """The server ends the connections of half of its subscribers each so many seconds; 0: never."""
    stalled: int = field(default=0, metadata={"least": 0})
    """Subscribers that do not read until the window ends, and then want all of it."""
    frame_limit_bytes: int = 4 * 1024 * 1024
    """The largest WebSocket message that a subscriber accepts."""
    client_processes: int = 1
    browser: bool = False
    """A headless Chromium as one more subscriber, by SSE or WebSocket."""
    find_limit: bool = False
    """Raise the rate step by step until the 99th percentile of the delay passes 100 ms."""
    step_s: float = 2.0
    warmup_s: float = 1.0
    duration_s: float = 6.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        if self.message_bytes > _LARGEST // 2:
            raise PlanError(
                f"plan: settings.message_bytes = {self.message_bytes} is above {_LARGEST // 2}; send less"
            )
        for name in ("client_processes", "stalled"):
            if getattr(self, name) > self.subscribers:
                raise PlanError(
                    f"plan: settings.{name} = {getattr(self, name)} is more than the"
                    f" {self.subscribers} subscribers; lower it"
                )


def jobs(settings: PushSettings, variant: str, address: str) -> Iterator[dict[str, Any]]:
    """Yield the job of each client process: its share of the subscribers; the first one publishes too."""
    shares = list(_shares(settings.subscribers, settings.client_processes))
    stalled = list(_shares(settings.stalled, settings.client_processes))
    for place, share in enumerate(shares):
        yield {
            **dataclasses.asdict(settings),
            "variant": variant,
            "address": address,
            "connections": share + SPARE_CONNECTIONS,
            "subscribers": share,
            "stalled": stalled[place],
            "publishes": place == 0,
            "step_s": settings.step_s if settings.find_limit else None,
        }


def _shares(total: int, parts: int) -> Iterator[int]:
    for place in range(parts):
        yield total // parts + (place < total % parts)
