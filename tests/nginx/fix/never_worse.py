"""What it means that a repair makes nothing worse: by what check says, and by what traffic does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bench.prove.proof import LocationResult, Proof
from nginx.check import CheckResult
from nginx.finding import Severity
from nginx.verdict import Verdict

RANKS = {"not reused": 0, "depends": 1, "partly reused": 1, "reused": 2}
HARMFUL = {"NX001", "NX004", "NK015", "NK019", "NK023", "NK024", "NK029", "NK030", "NK031", "NK032"}
"""The rules that no repair may bring up."""


def is_worse(before: Verdict, after: Verdict) -> bool:
    """Return whether fewer connections are reused, or nginx begins to close those that are not."""
    least = [1.0 if verdict.share is None else verdict.share.least for verdict in (before, after)]
    return (
        RANKS[after.answer] < RANKS[before.answer]
        or (before.answer == after.answer == "partly reused" and least[1] < least[0])
        or (after.closes_first == "nginx" and before.closes_first not in {"nginx", None})
    )


def worsened(before: CheckResult, after: CheckResult) -> Iterator[str]:
    """Yield what check says of a configuration that is worse than what it said before."""
    for old, new in zip(before.locations, after.locations, strict=True):
        for version, verdict in old.verdicts.items():
            if is_worse(verdict, new.verdicts[version]):
                text = f"{verdict.answer} -> {new.verdicts[version].answer}: {new.verdicts[version].reason}"
                yield f"{old.place} {old.context} ({version}): {text}"
    counts = [Counter(_harms(each)) for each in (before, after)]
    yield from (f"{rule} ({version})" for rule, version in counts[1] - counts[0])


def _harms(result: CheckResult) -> Iterator[tuple[str, str]]:
    """Yield the harmful findings by rule and version; their places move with the text."""
    for finding in result.findings:
        if finding.rule in HARMFUL and finding.severity >= Severity.MEDIUM:
            yield from ((finding.rule, version) for version in finding.versions)


def worsened_by_traffic(before: Proof, after: Proof) -> Iterator[str]:
    """Yield what traffic shows that is worse than before: refusals, errors, connections, disagreement."""
    if after.rejection is not None and before.rejection is None:
        yield f"nginx {after.version} rejects it: {after.rejection.message}"
        return
    for old, new in zip(before.results, after.results, strict=True):
        where = f"{old.location.pass_location.context} ({before.version})"
        if old.measured is None or new.measured is None:
            if old.measured is not None:
                yield f"{where} is not reached any more: {new.unreached}"
            continue
        if new.measured.connections > max(old.measured.connections, 1) and _answered(new) >= _answered(old):
            yield f"{where}: {old.measured.connections} -> {new.measured.connections} connections"
        if new_failures := new.failures.keys() - old.failures.keys():
            yield f"{where} begins to fail: {', '.join(sorted(new_failures))}"
        if new.disagreement is not None and old.disagreement is None:
            yield f"{where}: {new.disagreement}"


def _answered(result: LocationResult) -> int:
    assert result.measured is not None
    return result.measured.requests
