"""Locations that share a pool and speak different versions of HTTP: what one finds of the other's in it.

nginx does not compare the version when it takes a connection from a pool (NK030). Elsewhere in a proof each
location has a pool of its own; here they share one, towards a server that speaks both.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from bench.prove.changes import ChangeLog, Rejection
from bench.prove.inventory import Inventory, Location
from bench.prove.requests import Request
from bench.prove.testbed import ProofSettings, open_testbed
from bench.subjects.programs import Program
from nginx.versions import Version

_ROUNDS = 6


class SharedPoolJson(TypedDict):
    """What a shared pool did, in the JSON of a proof."""

    others: list[str]
    statuses: dict[str, int]
    unanswered: int


@dataclass(frozen=True, slots=True)
class SharedPool:
    """What requests to one location got, in turn with those to the others of its pool."""

    others: tuple[str, ...]
    """The other locations, as written."""
    statuses: Mapping[int, int]
    unanswered: int = 0

    @property
    def failures(self) -> dict[str, int]:
        """What clients got instead of an answer, and how often."""
        found = {f"status {each}": count for each, count in self.statuses.items() if each >= 500}
        return found | ({"no answer": self.unanswered} if self.unanswered else {})

    def to_json(self) -> SharedPoolJson:
        """Return the counts as plain values."""
        statuses = {str(status): count for status, count in self.statuses.items()}
        return {"others": list(self.others), "statuses": statuses, "unanswered": self.unanswered}


def mixed_groups(reached: Iterable[Location], version: Version) -> list[list[Location]]:
    """Return the groups of locations that share an upstream {} and speak different versions of HTTP to it."""
    groups: dict[int, list[Location]] = {}
    for location in reached:
        is_plain = not any(peer.is_tls for peer in location.peers)
        if location.upstream is not None and is_plain and _spoken(location, version) is not None:
            groups.setdefault(id(location.upstream), []).append(location)
    return [group for group in groups.values() if len({_spoken(each, version) for each in group}) > 1]


def _spoken(location: Location, version: Version) -> str | None:
    passing = location.pass_location
    if passing.protocol == "grpc":
        return "2"
    if passing.protocol != "http":
        return None
    return "2" if passing.http.effective(version) == "2" else "1"


def measure_shared_pools(
    groups: Sequence[Sequence[Location]],
    requests: Mapping[int, Request],
    inventory: Inventory,
    program: Program,
    settings: ProofSettings,
) -> dict[int, SharedPool]:
    """Return what each location of these groups got, by its number; `requests` are by number, too."""
    shared = {each.number: index for index, group in enumerate(groups, 1) for each in group}
    with open_testbed(inventory, program, settings, ChangeLog(), shared=shared) as testbed:
        assert not isinstance(testbed, Rejection), "the same lines with other addresses were accepted before"
        statuses: dict[int, Counter[int]] = {number: Counter() for number in shared}
        unanswered: Counter[int] = Counter()
        for group in groups:
            for location in [*group] * _ROUNDS:
                if any(unanswered[each.number] for each in group):
                    break  # each further one would cost a timeout, and show the same
                responses = testbed.send(location, [requests[location.number]])
                statuses[location.number] += responses.statuses
                unanswered[location.number] += responses.failed
    return {
        each.number: SharedPool(
            tuple(other.pass_location.context for other in group if other is not each),
            dict(statuses[each.number]),
            unanswered[each.number],
        )
        for group in groups
        for each in group
    }
