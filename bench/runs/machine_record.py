"""The machines of a cluster, as the record of a run holds them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """One place of a cluster: what it is, and the role that it has throughout the run."""

    name: str
    """Role and number: client-1, proxy-1, backend-2."""
    role: str
    address: str
    """Where its role listens, or where its connections come from."""
    worker: str
    """The name of its Dask worker."""
    description: dict[str, Any] = field(default_factory=dict)
    """The machine, as `bench.machine.describe` describes it."""


@dataclass(frozen=True, slots=True)
class MachineTrial:
    """One machine in one trial; None: not measured there.

    Counts are over the whole trial, requests and CPU over the window.
    """

    name: str
    role: str
    requests: int | None = None
    """Correct responses that its clients got; of a backend, requests that it answered in the whole trial."""
    opened: int | None = None
    """TCP connections that its kernel opened."""
    accepted: int | None = None
    """TCP connections that its role accepted."""
    time_wait_peak: int | None = None
    time_wait_end: int | None = None
    port_range: int | None = None
    ports_used_peak: int | None = None
    cpu_s: float | None = None
    """Of its role's processes, in the window."""
    memory_mib: float | None = None
    run_queue_wait: float | None = None
    """Clients: the share of the window that the worker which waited most was ready but had no core."""
    core_idle: float | None = None
    """Clients: the share of the window that the cores of the load workers were idle."""
    clock_offset_ms: float | None = None
    """Its monotonic clock less that of the machine where `bench` runs."""
    clock_error_ms: float | None = None
    """The most that the offset may be wrong by: half of the shortest round trip."""
    lost: str | None = None
    """Why it was lost during the trial; None: it was not."""
