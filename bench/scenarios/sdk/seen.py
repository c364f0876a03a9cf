"""What the clients of a registry saw and sent, whichever kind they are. No connections."""

from __future__ import annotations

from time import monotonic_ns

from bench.scenarios.client.process import Go, Times

SERVICE = "orders"


class Seen:
    """What the subscribers have yet to see, and how late they saw the rest. Called on any thread."""

    def __init__(self) -> None:
        self.came, self.went = Times(), Times()
        self.unseen: dict[tuple[int, str, bool], int] = {}

    def expect(self, subscribers: int, ip: str, came: bool) -> None:
        """Have every subscriber be yet to see an instance come, or go."""
        now_ns = monotonic_ns()
        self.unseen.update({(who, ip, came): now_ns for who in range(subscribers)})

    def take(self, who: int, ip: str, came: bool) -> None:
        """Take what a subscriber was told."""
        at_ns = self.unseen.pop((who, ip, came), None)
        if at_ns is not None:
            (self.came if came else self.went).add(monotonic_ns() - at_ns)


class Beats:
    """Beats that were answered in the window, as far as a client tells of them."""

    def __init__(self, go: Go) -> None:
        self._go = go
        self.times = Times()
        self.count = 0

    def add(self, began_ns: int) -> None:
        """Record one."""
        if self._go.is_in_window(began_ns):
            self.count += 1
            self.times.add(monotonic_ns() - began_ns)
