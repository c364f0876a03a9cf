"""Run a proof: open a testbed, find requests, send them, count, compare."""

import re
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import repeat

from bench import units
from bench.lab import landlock
from bench.prove import requests, second_run
from bench.prove.backends import BackendCounts
from bench.prove.changes import ChangeLog, Rejection
from bench.prove.inventory import Inventory, Location, build_inventory
from bench.prove.proof import LocationResult, Measurement, Proof
from bench.prove.requests import Request
from bench.prove.targets import deciding_lines
from bench.prove.testbed import LocationSockets, NginxTestbed, ProofSettings, open_testbed
from bench.subjects.programs import Program
from nginx import versions
from nginx.model import Model
from nginx.rules import CATALOGUE, CheckSettings, RuleContext
from nginx.verdict import compute_verdict
from nginx.versions import Version

_SEARCH_TIMEOUT_S = 10.0
"""How long requests for one location are tried: some may wait for a timeout."""
_SETTLE_TIMEOUT_S = 3.0
_POLL_S = 0.01
_SUBREQUEST_TIMEOUT_S = 1.0
_QUIET_S = 0.2
_UNKNOWN_NAME = 'unknown "'


@dataclass(slots=True)
class _Search:
    """The request that reached a location, or why none did."""

    request: Request | None = None
    unreached: str = ""
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0


def prove(model: Model, program: Program, settings: ProofSettings) -> Proof:
    """Run a configuration under one nginx and return what it did.

    RoleError where a backend or nginx does not start, LabError where the lab does not open.
    """
    inventory, log = build_inventory(model), ChangeLog()
    proof = Proof(program.path, program.version, settings.lab)
    proof.rejection = _reject_unread(model, versions.parse(program.version))
    if proof.rejection is not None:
        proof.results = _unproven(inventory, proof, "it was not run")
        return proof
    if not inventory.locations:
        proof.notes = ["no location has a pass directive: there is nothing to prove"]
        return proof
    with open_testbed(inventory, program, settings, log) as testbed:
        if isinstance(testbed, Rejection):
            proof.rejection = testbed
            proof.results = _unproven(inventory, proof, "nginx rejects it")
        else:
            proof.lab = testbed.lab.name
            proof.notes = _notes(testbed)
            _measure_locations(testbed, inventory, settings, proof)
    proof.changes = log.changes
    second_run.measure_details(inventory, program, settings, proof)
    return proof


def _reject_unread(model: Model, version: Version) -> Rejection | None:
    """Return why a text is not run at all: nginx would not read it, or it is an unrendered template."""
    rejected = CATALOGUE["NX001"].detect
    assert rejected is not None
    for hit in rejected(RuleContext(model, version, CheckSettings())):
        # Whether an unknown name (a variable of a module, say) matters, the copy and nginx decide.
        if _UNKNOWN_NAME not in hit.message:
            return Rejection(f"nginx would reject it: {hit.message.removeprefix('[emerg] ')}", hit.place)
    for place, language in model.configuration.templates:
        return Rejection(f"it is a {language} template; prove the rendered text instead", place)
    return None


def _notes(testbed: NginxTestbed) -> list[str]:
    found = list(testbed.lab.notes)
    if not testbed.is_confined:
        missing = "no Landlock" if not landlock.abi_version() else "no Landlock for ports"
        found.append(f"this kernel has {missing}: only the rewriting keeps nginx from touching anything")
    return found


def _unproven(inventory: Inventory, proof: Proof, why: str) -> list[LocationResult]:
    version = versions.parse(proof.version)
    return [
        LocationResult(location, compute_verdict(location.pass_location, version), unreached=why)
        for location in inventory.locations
    ]


# One location after the other


def _measure_locations(
    testbed: NginxTestbed, inventory: Inventory, settings: ProofSettings, proof: Proof
) -> None:
    """Prove every location; count apart what reaches it while others are proven."""
    found = [(each, *_measure(testbed, each, inventory, settings)) for each in inventory.locations]
    counts = testbed.backends.count()
    proof.witnesses = second_run.witnesses(testbed, counts)
    version = versions.parse(proof.version)
    for location, search, measured in found:
        total = testbed.counts_of(location.number, counts)
        whole = measured and replace(
            measured,
            other_requests=total.requests - measured.requests,
            other_connections=total.accepted - measured.connections,
        )
        predicted = compute_verdict(location.pass_location, version, settings.wanted_in_flight)
        kind = testbed.backends.kinds.get(location.number)
        result = LocationResult(location, predicted, search.request, search.unreached, whole, kind=kind)
        proof.results.append(replace(result, left_out=deciding_lines(location, inventory.model)))


def _measure(
    testbed: NginxTestbed, location: Location, inventory: Inventory, settings: ProofSettings
) -> tuple[_Search, Measurement | None]:
    if requests.has_parents(location, inventory):
        _wait_until_quiet(testbed, location)
    before, sockets_before = _settled(testbed, location)
    search = _reach(testbed, location, inventory, settings)
    if search.request is None:
        return search, None
    after, sockets = _settled(testbed, location)
    added = after.since(before)
    nginx, backend = None, None
    if sockets_before is not None and sockets is not None:
        nginx = sockets.time_wait_nginx - sockets_before.time_wait_nginx
        backend = sockets.time_wait_backend - sockets_before.time_wait_backend
    return search, Measurement(
        requests=added.requests,
        connections=added.accepted,
        still_open=after.open,
        closed=added.accepted - added.open,
        closed_by_backend=added.closed_first,
        time_wait_nginx=nginx,
        time_wait_backend=backend,
        statuses=search.statuses,
        unanswered=search.unanswered,
    )


def _settled(testbed: NginxTestbed, location: Location) -> tuple[BackendCounts, LocationSockets | None]:
    """Wait until no connection of a location is being closed; return its counts and its sockets."""
    deadline_s = time.monotonic() + _SETTLE_TIMEOUT_S
    sockets = testbed.sockets(location.number)
    while sockets is not None and sockets.closing and time.monotonic() <= deadline_s:
        time.sleep(_POLL_S)
        sockets = testbed.sockets(location.number)
    return testbed.counts_of(location.number), sockets


# Requests


def _wait_until_quiet(testbed: NginxTestbed, location: Location) -> None:
    """Wait until no subrequest of a location that was proven before arrives any more."""
    counts, since_s = testbed.counts_of(location.number), time.monotonic()
    while time.monotonic() - since_s < _QUIET_S:
        time.sleep(_POLL_S)
        if (now := testbed.counts_of(location.number)) != counts:
            counts, since_s = now, time.monotonic()


def _reach(
    testbed: NginxTestbed, location: Location, inventory: Inventory, settings: ProofSettings
) -> _Search:
    """Try requests until one reaches the location's backends, then send the series."""
    if location.obstacle is not None:
        return _Search(unreached=location.obstacle)
    candidates = requests.candidates(location, inventory, settings.given, settings.client)
    deadline_s = time.monotonic() + _SEARCH_TIMEOUT_S
    tried: list[str] = []
    # Some locations pass on only what is a file: in the second round every requested file exists.
    for request in (*candidates, *(replace(each, uses_added_file=True) for each in candidates)):
        if time.monotonic() > deadline_s:
            break
        before = testbed.counts_of(location.number).requests
        responses = testbed.send(location, [request])
        if _arrived(testbed, location, before + 1, request):
            series = testbed.send(location, repeat(request, settings.requests))
            _arrived(testbed, location, before + 1 + settings.requests, request)
            statuses = responses.statuses + series.statuses
            return _Search(request, statuses=statuses, unanswered=responses.failed + series.failed)
        tried.append(responses.last)
    first = f"; the likeliest got {tried[0]}{_last_error(testbed)}" if tried else ""
    advice = "pass one with --request 'GET /path Host: name'"
    return _Search(unreached=f"none of {units.plural(len(tried), 'request')} reached it{first}; {advice}")


def _arrived(testbed: NginxTestbed, location: Location, wanted: int, request: Request) -> bool:
    """Return whether so many requests arrived; a mirror's may arrive after the client's answer."""
    deadline_s = time.monotonic() + (_SUBREQUEST_TIMEOUT_S if request.is_subrequest else 0)
    while (found := testbed.counts_of(location.number).requests) < wanted and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    return found >= wanted


def _last_error(testbed: NginxTestbed) -> str:
    """Return the last error that nginx wrote, which is probably about the last request."""
    text = re.sub(r"^\S+ \S+ \[\w+\] \d+#\d+: (\*\d+ )?", "", testbed.nginx.exit_message)
    return f" (nginx: {text.partition(', client:')[0]})" if text else ""
