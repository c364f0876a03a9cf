"""What a consumers' process was asked, and what its consumers got. No connections."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic_ns

from bench.scenarios.client.process import Go, Times
from bench.scenarios.client.requests import Manner


@dataclass(frozen=True, slots=True)
class Job:
    """What the producer and the consumers are to do."""

    variant: str
    address: str
    consumers: int
    messages_per_s: float
    """To each queue."""
    poll_every_s: float
    hold_s: float
    patience_s: float
    connections: int

    def manner(self, is_kept: bool = True) -> Manner:
        """Return how somebody asks."""
        host, _, port = self.address.rpartition(":")
        return Manner(host, int(port), is_kept)


class Got:
    """What the consumers got."""

    def __init__(self, go: Go, consumers: int) -> None:
        self.go = go
        self.last = [0] * consumers
        self.delays = Times()
        self.delivered = self.lost = self.doubled = self.pulls = self.empty = self.failed = 0

    def take(self, who: int, line: str) -> None:
        """Take one message of a consumer's queue."""
        number, _, published = line.partition(" ")
        expected, got = self.last[who] + 1, int(number)
        if got < expected:
            self.doubled += 1
            return
        self.lost += got - expected
        self.last[who] = got
        if self.go.is_in_window(int(published)):
            self.delivered += 1
            self.delays.add(monotonic_ns() - int(published))

    def pulled(self, lines: list[str]) -> None:
        """Count one pull that was answered."""
        if self.go.is_in_window(monotonic_ns()):
            self.pulls += 1
            self.empty += not lines
