"""Assign cores to roles: the load generator is kept apart from what it measures."""

import os
from collections.abc import Collection

Cores = set[int] | None
"""The cores of one role; None: wherever the system puts it."""


def available_cores() -> set[int]:
    """Return the cores that this process may use, which a container may have narrowed."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def assign(available: Collection[int], client_workers: int, pin: bool) -> dict[str, Cores]:
    """Return the cores of each role.

    The client gets one core a worker, half of them at the most; the backend half of the rest, where the
    rest is more than one; the proxy what is left. With one core, or without `pin`, none is pinned.
    """
    ordered = sorted(available)
    if not pin or len(ordered) < 2:
        return {"client": None, "proxy": None, "backend": None}
    split = min(client_workers, len(ordered) // 2)
    client, rest = ordered[:split], ordered[split:]
    half = len(rest) // 2
    backend, proxy = (rest[:half], rest[half:]) if half else (rest, rest)
    return {"client": set(client), "proxy": set(proxy), "backend": set(backend)}
