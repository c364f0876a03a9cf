"""Accept what a check finds today, so that only what is new is reported later.

An entry names its file, its location and its message, and no line: it survives lines that move.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nginx.acceptance import Acceptance
from nginx.check import CheckResult, LocationVerdicts
from nginx.errors import NginxConfigError
from nginx.finding import Severity
from nginx.identity import Identity, identities

_FORMAT = "bench check baseline 2"


@dataclass(slots=True)
class Baseline:
    """What was accepted: findings and verdicts, each with how often it was there."""

    folder: Path
    """Where the file lies; files below it are named from there."""
    findings: dict[Identity, list[Severity]] = field(default_factory=dict)
    locations: dict[Identity, list[tuple[str, ...]]] = field(default_factory=dict)
    """The answers of each location that fails a check."""
    reasons: dict[Identity, str] = field(default_factory=dict)
    """Why somebody accepts a finding or a location: what was written into its entry."""

    @classmethod
    def of(cls, result: CheckResult, folder: Path) -> "Baseline":
        """Return the baseline that accepts all of a result."""
        found = cls(folder)
        name = _names(result, folder)
        for finding, (file, *others) in zip(result.findings, identities(result), strict=True):
            found.findings.setdefault((name(file), *others), []).append(finding.severity)
        for each in result.locations:
            if each.fails:
                answers = tuple(sorted({verdict.answer for verdict in each.verdicts.values()}))
                found.locations.setdefault(_location_key(each, name), []).append(answers)
        return found

    @classmethod
    def read(cls, path: Path) -> "Baseline":
        """Read a baseline.

        Raises:
            NginxConfigError: it cannot be read, or is none.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls._from_json(values, path.parent)
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = f"is no baseline of `bench check --write-baseline` ({error})"
            raise NginxConfigError(str(path), 0, why) from error

    @classmethod
    def _from_json(cls, values: Any, folder: Path) -> "Baseline":
        if values["format"] != _FORMAT:
            raise ValueError(f"format {values['format']!r}")
        found = cls(folder)
        for each in values["findings"]:
            key = (each["file"], each["rule"], each["message"], *each["locations"])
            found.findings.setdefault(key, []).append(Severity[each["severity"].upper()])
            found.reasons[key] = str(each["reason"])
        for each in values["locations"]:
            key = (each["file"], each["location"], each["target"])
            found.locations.setdefault(key, []).append(tuple(each["answers"]))
            found.reasons[key] = str(each["reason"])
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the baseline as plain values, in an order that makes small differences small."""
        return {
            "format": _FORMAT,
            "findings": [
                {"file": key[0], "rule": key[1], "severity": str(severity), "message": key[2]}
                | {"locations": list(key[3:]), "reason": self.reasons.get(key, "")}
                for key, severities in sorted(self.findings.items())
                for severity in severities
            ],
            "locations": [
                {"file": key[0], "location": key[1], "target": key[2], "answers": list(answers)}
                | {"reason": self.reasons.get(key, "")}
                for key, times in sorted(self.locations.items())
                for answers in times
            ],
        }

    def accept(self, result: CheckResult) -> int:
        """Take what is accepted out of a result; return how many entries apply to nothing any more.

        A finding that has become more severe is new, and so is a location with another answer.
        """
        name = _names(result, self.folder)
        left = {key: sorted(severities) for key, severities in self.findings.items()}
        kept = []
        for finding, (file, *others) in zip(result.findings, identities(result), strict=True):
            key = (name(file), *others)
            accepted = left.get(key, [])
            if accepted and accepted[-1] >= finding.severity:
                accepted.pop()
                reason = self.reasons.get(key, "")
                result.accepted.append(Acceptance(finding.rule, finding.place, "the baseline", reason))
            else:
                kept.append(finding)
        result.findings = kept
        return sum(map(len, left.values())) + self._accept_locations(result, name)

    def _accept_locations(self, result: CheckResult, name: Callable[[str], str]) -> int:
        left = {key: list(times) for key, times in self.locations.items()}
        for number, each in enumerate(result.locations):
            key = _location_key(each, name)
            times = left.get(key)
            if times and each.fails:
                answers = times.pop()
                same = {version for version, verdict in each.verdicts.items() if verdict.answer in answers}
                by = Acceptance("", each.place, "the baseline", self.reasons.get(key, ""))
                result.locations[number] = replace(
                    each, accepted=each.accepted | same, acceptances=(*each.acceptances, by)
                )
        return sum(map(len, left.values()))


def _location_key(each: LocationVerdicts, name: Callable[[str], str]) -> Identity:
    return (name(each.place.file), each.heading, each.target)


def _names(result: CheckResult, folder: Path) -> Callable[[str], str]:
    """Return how to call the files of a result: from the baseline's folder where they lie below it."""
    names: dict[str, str] = {}
    for file in result.files:
        relative = os.path.relpath(file, folder) if Path(file).is_file() else file
        names[file] = file if relative.startswith("..") else Path(relative).as_posix()
    return lambda file: names.get(file, file)
