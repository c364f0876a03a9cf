"""The settings of the rpc scenario."""

from dataclasses import dataclass, field

from bench.errors import PlanError
from bench.experiment.definition import Settings
from bench.lab import LabRequest

_MIB = 1024 * 1024
_BODY_MAX = 8 * _MIB
"""Dubbo's default limit of a message, which the provider keeps to (backends/scenarios/rpc/server.py)."""
_SPARE_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class RpcSettings(Settings):
    """How many callers there are, and how slow or large the outliers among the calls are."""

    callers: int = 50
    """Call at the same time, each one call after the other; where there are outliers, `rate` decides."""
    pool: int = 8
    answer_bytes: int = field(default=128, metadata={"least": 0})
    rate: float = 500.0
    """Calls per second where some are outliers: far below what is possible, so that only these delay."""
    outlier_every: int = 50
    """Each so-many-th call is slow or has a large answer, in the variants that have such calls."""
    slow_ms: int = 50
    """How long a slow call takes the provider."""
    large_bytes: int = 2 * _MIB
    addresses: int = 8
    """Addresses of the consumers, whose ports a connection for each call uses up."""
    real_callers: int = 10
    """That share one of Dubbo's own clients, each on a thread."""
    warmup_s: float = 1.0
    duration_s: float = 5.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        for name in ("answer_bytes", "large_bytes"):
            if getattr(self, name) > _BODY_MAX:
                raise PlanError(f"plan: settings.{name} = {getattr(self, name)} must be {_BODY_MAX} or less")
        LabRequest(self.addresses).check("addresses")

    @property
    def connections(self) -> int:
        """Return the connections of all callers, at the most."""
        return self.callers + self.pool + _SPARE_CONNECTIONS
