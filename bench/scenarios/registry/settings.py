"""The settings of the registry scenario, and the steps in which its instances join. Pure."""

import math
from dataclasses import dataclass

from bench.experiment.definition import Settings
from bench.lab import LabRequest

_LEAST_INSTANCES = 100
_STEPS_PER_DECADE = 2
_SPARE_CONNECTIONS = 64
_LAST_S = 10.0
"""How long the last change may take on a busy machine, besides what registry and members wait anyway."""


@dataclass(frozen=True, slots=True)
class RegistrySettings(Settings):
    """How many beat how often, how many follow, what changes. The times are Nacos's own."""

    instances: int = 10_000
    """At the end; the trial gets there in steps, from 100 on."""
    beat_every_s: float = 5.0
    expire_s: float = 15.0
    """An instance silent for so long is taken for dead."""
    poll_every_s: float = 10.0
    """How often subscribers poll, in variants without notifications."""
    instances_per_service: int = 10
    subscribers: int = 100
    changes: int = 20
    """Instances that die, and as many that come, in the window."""
    joins_per_s: float = 500.0
    addresses: int = 8
    """Addresses of the clients, and of a proxy, whose ports a short connection each time uses up."""
    server_closes: bool = False
    """Whether the registry closes a short connection first, and so keeps its TIME_WAIT."""
    proxy_workers: int = 1
    """Of a proxy. Those of nginx are processes: together they may have more files open than one may."""
    real_instances: int = 10
    real_subscribers: int = 2
    """Of Nacos's own clients, each with threads or a gRPC channel of its own."""
    duration_s: float = 30.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        LabRequest(self.addresses, self.addresses).check("addresses")

    @property
    def lasts_s(self) -> float:
        """Return how long a trial lasts, about: until all have joined, and the window."""
        return plan_steps(self)[-1].steady_s + self.duration_s

    @property
    def connections(self) -> int:
        """Return the connections of all clients, at the most."""
        return self.instances + self.subscribers + self.changes + _SPARE_CONNECTIONS

    @property
    def patience_s(self) -> float:
        """Return how long the last change may take to be seen: the registry checks each third of expiry."""
        return self.expire_s * 4 / 3 + self.poll_every_s + _LAST_S


@dataclass(frozen=True, slots=True)
class JoinStep:
    """A part of the trial with the same number of instances."""

    instances: int
    joins_s: float
    """When the last of them begin to join."""
    steady_s: float
    """When all have joined and each has beaten once."""


def plan_steps(settings: RegistrySettings) -> list[JoinStep]:
    """Return how the instances join: a few steps for each power of ten, so that the cost shows as a line."""
    decades = math.log10(max(1.0, settings.instances / _LEAST_INSTANCES))
    count = max(1, round(decades * _STEPS_PER_DECADE))
    sizes = [
        round(settings.instances / 10 ** (decades * (count - each) / count)) for each in range(count + 1)
    ]
    steps: list[JoinStep] = []
    at_s, before = 0.0, 0
    for size in dict.fromkeys(sizes):
        steady_s = at_s + (size - before) / settings.joins_per_s + 0.2 * settings.beat_every_s
        steps.append(JoinStep(size, at_s, steady_s))
        at_s, before = steady_s + settings.beat_every_s, size
    return steps
