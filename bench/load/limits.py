"""The file limit of a worker: each client takes a descriptor."""

from __future__ import annotations

import resource

_BESIDE_CLIENTS = 32
"""Standard streams, the poller, and what Python itself may hold open."""


def allow_descriptors(clients: int) -> str | None:
    """Raise the soft limit so that `clients` fit; return what stands against it, else None."""
    wanted = clients + _BESIDE_CLIENTS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return (
            f"{clients} connections need {wanted} open files, and the limit is {hard};"
            f" raise it (ulimit -Hn {wanted}) or use more workers"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return None
