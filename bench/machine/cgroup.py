"""Read the limits of this process's control groups, of both versions. Judges nothing.

Version 2 has one tree (cgroups(7)), version 1 a tree for each controller; a limit of a group above ours
bounds us too, and the tightest is the one that counts. All are returned as version 2 spells them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.machine.describe import read_text

CPU, MEMORY = "cpu.max", "memory.max"
_UNLIMITED = 1 << 60
"""Version 1 writes "no limit" as the largest number of whole pages."""


def limits(own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> dict[str, str]:
    """Return the limits of CPU (quota and period, or `max`) and memory (bytes, or `max`) that there are."""
    found: dict[str, list[str]] = {}
    for line in (read_text(own) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for folder in _upwards(path):
            for name, limit in _limits(controllers, root, folder):
                found.setdefault(name, []).append(limit)
    return {name: tightest(each) for name, each in found.items()}


def tightest(limits: Iterable[str]) -> str:
    """Return the limit that bounds most."""

    def bound(limit: str) -> float:
        quota, _, period = limit.partition(" ")
        return float("inf") if quota == "max" else int(quota) / int(period or 1)

    return min(limits, key=bound)


def _upwards(path: str) -> list[str]:
    """Return a group and those above it, each relative to the root of its tree."""
    place = Path("/", path.lstrip("/"))
    return [str(each).lstrip("/") for each in (place, *place.parents)]


def _limits(controllers: str, root: Path, folder: str) -> Iterator[tuple[str, str]]:
    if not controllers:
        for name in (CPU, MEMORY):
            if (limit := read_text(root / folder / name)) is not None:
                yield name, limit
    for controller in controllers.split(","):
        group = root / controller / folder
        if controller == "cpu" and (quota := read_text(group / "cpu.cfs_quota_us")) is not None:
            period = read_text(group / "cpu.cfs_period_us") or 100_000
            yield CPU, "max" if int(quota) < 0 else f"{quota} {period}"
        if controller == "memory" and (most := read_text(group / "memory.limit_in_bytes")) is not None:
            yield MEMORY, "max" if int(most) > _UNLIMITED else most
