"""The second run of a proof: a backend for each server, requests in flight, idle times, no bodies.

Each step begins with a new nginx: its pools are empty, and no server counts as failed (max_fails) for what a
step before did to it.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat

from bench.prove import balancing
from bench.prove.backends import BackendCounts
from bench.prove.bodiless import measure_bodiless, needs_bodiless
from bench.prove.changes import ChangeLog
from bench.prove.idle_end import MOST_AT_END, IdleTest, end_idling, requests_at_end
from bench.prove.in_flight import measure_in_flight
from bench.prove.inventory import Inventory
from bench.prove.proof import ConnectionWitnesses, LocationResult, Proof
from bench.prove.requests import Request
from bench.prove.shared_pool import measure_shared_pools, mixed_groups
from bench.prove.testbed import NginxTestbed, ProofSettings, open_testbed
from bench.subjects.programs import Program
from nginx import versions
from nginx.verdict import compute_verdict
from nginx.versions import Version

_MOST_PROCESSES = 64
"""Servers with more processes are not filled unless that is wanted."""


def measure_details(inventory: Inventory, program: Program, settings: ProofSettings, proof: Proof) -> None:
    """Run the reached locations again where there is more to see, with a backend for each server."""
    reached = {each.location.number for each in proof.results if each.request is not None}
    separate = balancing.separate_servers(inventory)
    separate = {number: count for number, count in separate.items() if number in reached}
    wanted = {each.location.number for each in proof.results if _is_wanted(each, settings)} | set(separate)
    _measure_shared(inventory, program, settings, proof)
    if wanted:
        _measure_each(inventory, program, settings, proof, wanted=wanted, separate=separate)
    _measure_crowded(inventory, program, settings, proof, separate)


def _measure_each(
    inventory: Inventory,
    program: Program,
    settings: ProofSettings,
    proof: Proof,
    *,
    wanted: Container[int],
    separate: Mapping[int, int],
) -> None:
    with open_testbed(inventory, program, settings, ChangeLog(), separate=separate) as testbed:
        assert isinstance(testbed, NginxTestbed), "the same lines with other addresses were accepted before"
        _SecondRun(testbed, settings, versions.parse(proof.version), separate).measure(proof, wanted)
        assert proof.witnesses is not None
        proof.witnesses += witnesses(testbed, testbed.backends.count())


def _is_crowded(result: LocationResult, settings: ProofSettings) -> bool:
    """Return whether several workers keep connections to servers that serve few at once."""
    is_limited = result.kind is not None and result.kind.processes is not None
    return is_limited and settings.workers > 1 and _in_flight(result, settings) > 1


def _measure_crowded(
    inventory: Inventory,
    program: Program,
    settings: ProofSettings,
    proof: Proof,
    separate: Mapping[int, int],
) -> None:
    """Send requests in flight at once through several workers, whose pools may hold all processes."""
    crowded = {each.location.number for each in proof.results if _is_crowded(each, settings)}
    if not crowded:
        return
    workers, version, log = settings.workers, versions.parse(proof.version), ChangeLog()
    with open_testbed(inventory, program, settings, log, separate=separate, workers=workers) as testbed:
        assert isinstance(testbed, NginxTestbed), "the same lines with other addresses were accepted before"
        for index, result in enumerate(proof.results):
            request = result.request
            if result.location.number not in crowded or request is None or request.is_subrequest:
                continue
            count = _in_flight(result, settings) * (workers if settings.in_flight > 1 else 1)
            predicted = compute_verdict(result.location.pass_location, version, -(-count // workers))
            found = measure_in_flight(testbed, result.location, request, count, predicted, workers=workers)
            proof.results[index] = replace(result, in_flight=found)


def _measure_shared(inventory: Inventory, program: Program, settings: ProofSettings, proof: Proof) -> None:
    requests = {each.location.number: each.request for each in proof.results if each.request is not None}
    reached = [each for each in inventory.locations if each.number in requests]
    groups = mixed_groups(reached, versions.parse(proof.version))
    if groups:
        found = measure_shared_pools(groups, requests, inventory, program, settings)
        proof.results = [replace(each, shared_pool=found.get(each.location.number)) for each in proof.results]


def witnesses(testbed: NginxTestbed, counts: Mapping[str, BackendCounts]) -> ConnectionWitnesses:
    """Return the connections upstream as both ends counted them."""
    return ConnectionWitnesses(sum(each.accepted for each in counts.values()), testbed.opened())


def _is_wanted(result: LocationResult, settings: ProofSettings) -> bool:
    if result.request is None:
        return False
    return _in_flight(result, settings) > 1 or _meets_end(result, turn=0) or _has_bodiless(result)


def _has_bodiless(result: LocationResult) -> bool:
    return result.request is not None and needs_bodiless(result.location, result.request)


def _idle_test(result: LocationResult) -> IdleTest | None:
    """Return what is known of the end of the servers' idle time; None where they have none, or no pool."""
    if result.idle_end is not None:
        return result.idle_end
    kind, pool = result.kind, result.predicted.pool
    return (
        None if kind is None or kind.idle_s is None or pool is None else IdleTest(kind, pool.idle_timeout_s)
    )


def _meets_end(result: LocationResult, *, turn: int) -> bool:
    """Return whether there is a request to send, in this turn, when the idle time is over."""
    test = _idle_test(result)
    if result.request is None or test is None:
        return False
    return not turn or (
        not test.is_nginx_first and turn < len(requests_at_end(result.location, result.request))
    )


def _in_flight(result: LocationResult, settings: ProofSettings) -> int:
    """Return how many requests to send at once: by default one more than the servers have processes."""
    processes = result.kind.processes if result.kind is not None else None
    if settings.in_flight > 1 or processes is None or processes > _MOST_PROCESSES:
        return settings.in_flight
    return processes * max(1, len(result.location.upstream_servers)) + 1


_Is = Callable[[LocationResult], bool]
_Take = Callable[[LocationResult, Request], LocationResult]
"""Returns what is known of one location, with what a step shows."""


@dataclass(frozen=True, slots=True)
class _SecondRun:
    """The steps of a second run. A location has servers and pools of its own, so all take a step together."""

    testbed: NginxTestbed
    settings: ProofSettings
    version: Version
    separate: Container[int]

    @property
    def _steps(self) -> Iterator[tuple[_Is, _Take]]:
        """Which locations take each step; in the last one servers may cease to answer."""
        yield self._is_separate, self._balance
        yield _has_bodiless, self._bodiless
        for turn in range(MOST_AT_END):
            yield partial(_meets_end, turn=turn), partial(self._idle_end, turn=turn)
        yield self._is_busy, self._in_flight

    def measure(self, proof: Proof, wanted: Container[int]) -> None:
        """Take all steps of the locations that are wanted."""
        is_new = True
        for is_due, take in self._steps:
            numbers = [
                index
                for index, each in enumerate(proof.results)
                if each.location.number in wanted and is_due(each)
            ]
            if numbers and not is_new:
                self.testbed.nginx.restart()
            for index in numbers:
                result = proof.results[index]
                assert result.request is not None, "only what was reached is wanted"
                proof.results[index] = take(result, result.request)
                is_new = False

    def _is_separate(self, result: LocationResult) -> bool:
        return result.location.number in self.separate

    def _balance(self, result: LocationResult, request: Request) -> LocationResult:
        location = result.location
        before = self.testbed.counts_by_server(location.number)
        count = balancing.request_count(location, self.settings.requests)
        self.testbed.send(location, repeat(request, count))
        added = map(BackendCounts.since, self.testbed.counts_by_server(location.number), before)
        counts = [(each.requests, each.accepted) for each in added]
        return replace(result, balancing=balancing.summarize_balancing(location, self.version, counts))

    def _bodiless(self, result: LocationResult, request: Request) -> LocationResult:
        found = measure_bodiless(self.testbed, result.location, request, self.settings.requests)
        return replace(result, bodiless=found)

    def _idle_end(self, result: LocationResult, request: Request, *, turn: int) -> LocationResult:
        test = _idle_test(result)
        assert test is not None, "only a server that ends connections is due"
        if test.is_nginx_first:
            return replace(result, idle_end=test)
        sent = requests_at_end(result.location, request)[turn]
        end = end_idling(self.testbed, result.location, sent, test.kind)
        return replace(result, idle_end=test if end is None else test.add(end))

    def _is_busy(self, result: LocationResult) -> bool:
        request = result.request
        is_alone = request is None or request.is_subrequest or _is_crowded(result, self.settings)
        return not is_alone and _in_flight(result, self.settings) > 1

    def _in_flight(self, result: LocationResult, request: Request) -> LocationResult:
        count = _in_flight(result, self.settings)
        predicted = compute_verdict(result.location.pass_location, self.version, count)
        found = measure_in_flight(self.testbed, result.location, request, count, predicted)
        return replace(result, in_flight=found)
