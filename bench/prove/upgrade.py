"""The upgrade as a proof: what one nginx does with a configuration, and what a newer one does with it.

Both run the same copy. Lines that the newer one no longer needs are proven superfluous by running without
them; lines that it needs, by running with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from bench.prove import runner
from bench.prove.edited_model import without
from bench.prove.proof import LocationResult, Proof
from bench.prove.remedies import AddedLine, AddedLineJson, no_pool, remedies, with_lines
from bench.prove.testbed import ProofSettings
from bench.prove.workarounds import affects, find_workarounds
from bench.subjects.programs import Program
from nginx import versions
from nginx.finding import Finding, FindingJson, PlaceJson, Severity
from nginx.model import Model
from nginx.rules import CATALOGUE, CheckSettings, Hit, Rule, RuleContext
from nginx.tree import Directive
from nginx.versions import Version

REQUESTS = 999
"""Sent to each location under either nginx, besides the one that finds it."""
_REQUESTS_WITHOUT = 16
"""Sent to each location by a run without some lines: enough to see whether a connection is kept."""
_POOLING_IS_WRONG = frozenset({"NK031", "NK032"})
"""What check finds where a pool lends a source address, or an authenticated connection, to other clients."""
_MOST_RUNS = 24


class PerThousandJson(TypedDict):
    """New connections for 1,000 requests; null: not proven."""

    before: int | None
    after: int | None


class LocationUpgradeJson(PlaceJson):
    """One location under both nginx, in the JSON of an upgrade."""

    context: str
    target: str
    connections_per_1000_requests: PerThousandJson
    begins_to_fail: dict[str, int]
    nginx_begins_to_close_first: bool


@dataclass(frozen=True, slots=True)
class LocationUpgrade:
    """One location under both."""

    before: LocationResult
    after: LocationResult

    @property
    def is_proven(self) -> bool:
        """Whether requests reached it under both."""
        return self.before.is_proven and self.after.is_proven

    @property
    def failures(self) -> Mapping[str, int]:
        """What clients get now and did not get before, and how often."""
        known = self.before.failures
        return {what: count for what, count in self.after.failures.items() if what not in known}

    @property
    def moves_time_wait(self) -> bool:
        """Whether nginx begins to close first: its own ports stay in TIME_WAIT then."""
        return "nginx" == self.after.predicted.closes_first != self.before.predicted.closes_first

    def to_json(self) -> LocationUpgradeJson:
        """Return it as plain values."""
        passing = self.after.location.pass_location
        return {
            "file": passing.directive.place.file,
            "line": passing.directive.place.line,
            "context": passing.context,
            "target": passing.target,
            "connections_per_1000_requests": {
                "before": per_thousand(self.before),
                "after": per_thousand(self.after),
            },
            "begins_to_fail": dict(self.failures),
            "nginx_begins_to_close_first": self.moves_time_wait,
        }


def per_thousand(result: LocationResult) -> int | None:
    """Return the new connections for 1,000 requests of a location; None where it was not proven.

    With several servers, those of all of them together.
    """
    counted = result.balancing or result.measured
    if counted is None:
        return None
    return -(-1000 * counted.connections // max(1, counted.requests))


class LineJson(PlaceJson):
    """A line of a configuration."""

    text: str


class UpgradeJson(TypedDict):
    """What an upgrade does, in the JSON of `bench prove`."""

    before: str
    after: str
    rejected: str | None
    locations: list[LocationUpgradeJson]
    deletable: list[LineJson]
    needed: list[AddedLineJson]
    new_findings: list[FindingJson]
    notes: list[str]


@dataclass(slots=True)
class Upgrade:
    """What an upgrade does to a configuration."""

    before: Proof
    after: Proof
    locations: Sequence[LocationUpgrade] = ()
    deletable: list[Directive] = field(default_factory=list)
    """Lines that are superfluous after the upgrade: it was run without all of them."""
    needed: list[AddedLine] = field(default_factory=list)
    """Lines with which what begins to fail does not: it was run with them."""
    findings: list[Finding] = field(default_factory=list)
    """What check finds under the newer nginx only."""
    notes: list[str] = field(default_factory=list)

    @property
    def failing(self) -> list[LocationUpgrade]:
        """The locations that begin to fail."""
        return [each for each in self.locations if each.failures]

    @property
    def rejection(self) -> str | None:
        """Which of both rejects the configuration, and why."""
        found = ((proof.version, proof.rejection) for proof in (self.before, self.after) if proof.rejection)
        return next((f"nginx {version} rejects it: {why}" for version, why in found), None)

    @property
    def is_safe(self) -> bool:
        """Whether it was proven, nothing begins to fail, and no line is missing."""
        return self.rejection is None and not self.failing and not self.needed

    def to_json(self) -> UpgradeJson:
        """Return it as plain values."""
        return {
            "before": self.before.version,
            "after": self.after.version,
            "rejected": self.rejection,
            "locations": [each.to_json() for each in self.locations],
            "deletable": [_line_to_json(line) for line in self.deletable],
            "needed": [line.to_json() for line in self.needed],
            "new_findings": [finding.to_json() for finding in self.findings],
            "notes": list(self.notes),
        }


def _line_to_json(line: Directive) -> LineJson:
    return {"file": line.place.file, "line": line.place.line, "text": f"{line};"}


def prove_upgrade(
    model: Model, before: Proof, after: Proof, program: Program, settings: ProofSettings
) -> Upgrade:
    """Return what an upgrade does, given what both nginx did; `program` is the newer one.

    RoleError where a backend or nginx does not start, LabError where the lab does not open.
    """
    found = Upgrade(before, after)
    if found.rejection is not None:
        return found
    pairs = zip(before.results, after.results, strict=True)
    found.locations = [LocationUpgrade(*pair) for pair in pairs]
    found.findings = new_findings(model, versions.parse(before.version), versions.parse(after.version))
    found.needed += pools_to_switch_off(model, found.findings, versions.parse(after.version))
    runs = _Runs(model, program, settings)
    _Search(runs, found).delete()
    _Search(runs, found).add()
    return found


def new_findings(model: Model, before: Version, after: Version) -> list[Finding]:
    """Return what check finds about a configuration under the version `after` only, if it matters."""
    known = {(rule.id, hit.place) for rule, hit in _hits(model, before)}
    silenced = model.configuration.ignored
    return [
        Finding(
            rule.id,
            rule.severity if hit.severity is None else hit.severity,
            hit.place,
            hit.message,
            hit.fix,
            versions=(str(after),),
        )
        for rule, hit in _hits(model, after)
        if (rule.id, hit.place) not in known
        and (rule.severity if hit.severity is None else hit.severity) >= Severity.MEDIUM
        and rule.id not in silenced.get((hit.place.file, hit.place.line), ())
    ]


def pools_to_switch_off(model: Model, findings: Sequence[Finding], version: Version) -> list[AddedLine]:
    """Return a line for each pool that mixes what a configuration keeps apart, and that has none before.

    No traffic here shows that: connections come from the lab's own addresses, and no client authenticates.
    """
    wrong = {(finding.rule, finding.place) for finding in findings if finding.rule in _POOLING_IS_WRONG}
    found = []
    for upstream in model.upstreams if wrong else ():
        without_pool = with_lines(model, [no_pool(upstream)])
        left = {(rule.id, hit.place) for rule, hit in _hits(without_pool, version)}
        if gone := sorted(rule for rule, place in wrong if (rule, place) not in left):
            found.append(no_pool(upstream, f"check then finds no {', '.join(gone)}"))
    return found


def _hits(model: Model, version: Version) -> Iterator[tuple[Rule, Hit]]:
    ctx = RuleContext(model, version, CheckSettings())
    yield from ((rule, hit) for rule in CATALOGUE.values() for hit in rule.detect(ctx))


@dataclass(slots=True)
class _Runs:
    """Runs of the newer nginx with another text, as many as are allowed."""

    model: Model
    program: Program
    settings: ProofSettings
    left: int = _MOST_RUNS

    def run(self, model: Model) -> Proof:
        """Run a configuration that was edited."""
        self.left -= 1
        return runner.prove(model, self.program, replace(self.settings, requests=_REQUESTS_WITHOUT))


@dataclass(slots=True)
class _Search:
    """The search for lines that the newer nginx does without, and for those that it needs."""

    runs: _Runs
    found: Upgrade
    _wanted: list[Any] = field(default_factory=list)

    def delete(self) -> None:
        """Delete all candidates at once, and those that turn out to matter one by one."""
        version = versions.parse(self.runs.program.version)
        found = find_workarounds(self.runs.model, version)
        candidates = [line for line in found if self._is_provable(line)]
        if not candidates:
            return
        self._wanted = self._outcome([])
        if self._is_same(candidates):
            self.found.deletable = candidates
            return
        for line in candidates:
            if self.runs.left <= 0:
                self._note_limit()
                return
            if self._is_same([*self.found.deletable, line]):
                self.found.deletable.append(line)

    def _is_provable(self, line: Directive) -> bool:
        """Return whether requests reach all locations that a line may be about."""
        about = [each for each in self.found.locations if affects(line, each.after.location.pass_location)]
        return bool(about) and all(each.after.is_proven for each in about)

    def _is_same(self, lines: Sequence[Directive]) -> bool:
        return self._outcome(lines) == self._wanted

    def _outcome(self, lines: Sequence[Directive]) -> list[Any]:
        return list(_outcomes(self.runs.run(without(self.runs.model, lines))))

    def add(self) -> None:
        """Try what may mend the locations that begin to fail, one after the other."""
        failing = {each.after.location.number: each.after for each in self.found.failing}
        while failing:
            result = failing.pop(min(failing))
            for lines in remedies(result):
                if self.runs.left <= 0:
                    self._note_limit()
                    return
                proof = self.runs.run(with_lines(self.runs.model, [*self.found.needed, *lines]))
                still = {each.location.number for each in proof.results if each.failures}
                if proof.rejection is None and result.location.number not in still:
                    self.found.needed += lines
                    failing = {number: each for number, each in failing.items() if number in still}
                    break

    def _note_limit(self) -> None:
        self.found.notes.append(f"only {_MOST_RUNS} runs were made: there may be more lines to edit")


def _outcomes(proof: Proof) -> Iterator[Any]:
    """Yield what a run showed of each location, as far as it is the same each time."""
    yield proof.rejection is None
    for result in proof.results:
        balanced = result.balancing and result.balancing.verdict
        yield result.measured and (result.measured.verdict, set(result.measured.statuses)), balanced
        yield set(result.failures)
