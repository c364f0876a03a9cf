"""In which order the places of a run are named."""

from __future__ import annotations

from bench.cluster.connection import WorkerFacts
from bench.cluster.placement import RolePlace, ordered
from bench.cluster.worker import WorkerDescription


def place(name: str) -> RolePlace:
    facts = WorkerFacts("host-1", "tcp://127.0.0.1:1", {})
    here = WorkerDescription(1, "machine", "net", (0,), {}, {})
    return RolePlace(f"{name}-ab12", name, name.partition("-")[0], facts, here, "127.0.0.1")


def test_places_are_ordered_by_role_and_by_number() -> None:
    names = ["client-10", "backend-1", "client-2", "proxy-2", "client-1", "proxy-11"]
    assert [each.name for each in ordered(map(place, names))] == [
        "proxy-2",
        "proxy-11",
        "backend-1",
        "client-1",
        "client-2",
        "client-10",
    ]
