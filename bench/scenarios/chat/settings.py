"""The settings of the chat scenario."""

from dataclasses import dataclass

from bench.errors import PlanError
from bench.experiment.definition import Settings
from bench.plan import bounds


@dataclass(frozen=True, slots=True)
class ChatSettings(Settings):
    """How many rooms and agents there are, how often a message is sent, and when a fault happens."""

    rooms: int = 200
    agents: int = 50
    agents_per_room: int = 2
    send_every_s: float = 2.0
    """Between two messages in one room."""
    idle_s: float = 1.0
    """The silence after which the proxy ends a connection (variants idle and idle-beats)."""
    fault_at_s: float = 2.0
    """When in the window the proxy is reloaded or restarted."""
    warmup_s: float = 2.0
    duration_s: float = 6.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        most = self.rooms * self.agents_per_room
        if not self.agents_per_room <= self.agents <= most:
            raise PlanError(
                f"plan: settings.agents = {self.agents} cannot have {self.agents_per_room} in each of"
                f" {self.rooms} rooms and a room each; take {self.agents_per_room} to {most}"
            )

        if (rate := self.rooms / self.send_every_s) > bounds.MOST_PER_S:
            raise PlanError(
                f"plan: settings.send_every_s = {self.send_every_s:g} in {self.rooms} rooms is {rate:,.0f}"
                f" messages a second, more than {bounds.MOST_PER_S:,}; raise it"
            )

    @property
    def members(self) -> int:
        """Return the number of customers and agents, each with a connection."""
        return self.rooms + self.agents
