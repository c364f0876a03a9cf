"""The second run of a proof: a backend for each server, requests in flight, idle times, no bodies."""

from collections.abc import Container, Mapping
from dataclasses import replace
from itertools import repeat
from typing import Any

from bench.prove import balancing
from bench.prove.backends import BackendCounts
from bench.prove.bodiless import measure_bodiless, needs_bodiless
from bench.prove.changes import ChangeLog
from bench.prove.idle_end import measure_idle_end
from bench.prove.in_flight import measure_in_flight
from bench.prove.inventory import Inventory, Location
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
        version = versions.parse(proof.version)
        proof.results = [
            _with_details(testbed, each, settings, version, is_separate=each.location.number in separate)
            if each.location.number in wanted
            else each
            for each in proof.results
        ]
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
    idles = result.kind is not None and result.kind.idle_s is not None and result.predicted.pool is not None
    is_busy = _in_flight(result, settings) > 1
    return is_busy or idles or needs_bodiless(result.location, result.request)


def _in_flight(result: LocationResult, settings: ProofSettings) -> int:
    """Return how many requests to send at once: by default one more than the servers have processes."""
    processes = result.kind.processes if result.kind is not None else None
    if settings.in_flight > 1 or processes is None or processes > _MOST_PROCESSES:
        return settings.in_flight
    return processes * max(1, len(result.location.upstream_servers)) + 1


def _with_details(
    testbed: NginxTestbed,
    result: LocationResult,
    settings: ProofSettings,
    version: Version,
    *,
    is_separate: bool,
) -> LocationResult:
    location, request, found = result.location, result.request, dict[str, Any]()
    assert request is not None
    if is_separate:
        found["balancing"] = _balance(testbed, location, request, settings, version)
    if needs_bodiless(location, request):
        found["bodiless"] = measure_bodiless(testbed, location, request, settings.requests)
    kind, pool = result.kind, result.predicted.pool
    if kind is not None and kind.idle_s is not None and pool is not None:
        found["idle_end"] = measure_idle_end(testbed, location, request, kind, pool)
    in_flight = _in_flight(result, settings)
    if in_flight > 1 and not request.is_subrequest and not _is_crowded(result, settings):
        # Last: what a server does not answer any more stays in the way of all that follows.
        predicted = compute_verdict(location.pass_location, version, in_flight)
        found["in_flight"] = measure_in_flight(testbed, location, request, in_flight, predicted)
    return replace(result, **found)


def _balance(
    testbed: NginxTestbed,
    location: Location,
    request: Request,
    settings: ProofSettings,
    version: Version,
) -> balancing.Balancing:
    before = testbed.counts_by_server(location.number)
    testbed.send(location, repeat(request, balancing.request_count(location, settings.requests)))
    added = map(BackendCounts.since, testbed.counts_by_server(location.number), before)
    counts = [(each.requests, each.accepted) for each in added]
    return balancing.summarize_balancing(location, version, counts)
