"""The settings of the broker scenario."""

from dataclasses import dataclass

from bench.errors import PlanError
from bench.experiment.definition import Settings
from bench.plan import bounds

SPARE_CONNECTIONS = 16
_LAST_S = 10.0
"""How long the last message may take besides the time between two pulls: a later one is lost."""


@dataclass(frozen=True, slots=True)
class BrokerSettings(Settings):
    """How many consume, and how often there is something for them."""

    consumers: int = 300
    messages_per_s: float = 0.5
    """To each queue: most pulls find nothing where this is seldom."""
    poll_every_s: float = 0.5
    hold_s: float = 15.0
    """How long the broker holds a pull that finds nothing, as RocketMQ does."""
    real_consumers: int = 3
    """Of RocketMQ's own clients, each with threads and a gRPC channel of its own."""
    warmup_s: float = 1.0
    duration_s: float = 10.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        if (rate := self.messages_per_s * self.consumers) > bounds.MOST_PER_S:
            raise PlanError(
                f"plan: settings.messages_per_s = {self.messages_per_s:g} to {self.consumers} consumers is"
                f" {rate:,.0f} a second, more than {bounds.MOST_PER_S:,}; lower it"
            )

    @property
    def connections(self) -> int:
        """Return the connections of all clients, at the most."""
        return self.consumers + SPARE_CONNECTIONS

    @property
    def patience_s(self) -> float:
        """Return how long after the window the clients wait for the last messages."""
        return self.poll_every_s + _LAST_S
