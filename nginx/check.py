"""Checks a configuration: reads it, asks the model for verdicts and the rules for findings.

`check` is the short question, `examine` the whole answer. Reads files, runs nothing, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nginx import versions
from nginx.errors import NginxConfigError
from nginx.finding import Finding, Severity
from nginx.loading.includes import Configuration
from nginx.loading.inputs import openings
from nginx.model import Model, model
from nginx.rules import CATALOGUE, Case, Hit, Rule, Settings
from nginx.tree import Place
from nginx.verdict import Verdict

NEWEST = str(versions.NEWEST)
_Key = tuple[str, Place, str]


@dataclass(frozen=True, slots=True)
class Judged:
    """A pass location with its verdict, and the rules that explain it, by version."""

    place: Place
    context: str
    target: str
    verdicts: dict[str, Verdict]
    rules: dict[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """Returns the location as plain values."""
        verdicts = {
            version: verdict.to_json() | {"rules": list(self.rules[version])}
            for version, verdict in self.verdicts.items()
        }
        return {
            "file": self.place.file,
            "line": self.place.line,
            "context": self.context,
            "target": self.target,
            "verdicts": verdicts,
        }


@dataclass(slots=True)
class Examination:
    """The answer about one or more configurations: pass locations with verdicts, and findings."""

    versions: tuple[str, ...]
    locations: list[Judged] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    @classmethod
    def together(cls, parts: Sequence[Examination]) -> Examination:
        """Returns several answers, for the same versions, as one."""
        whole = cls(parts[0].versions)
        for part in parts:
            whole.locations += part.locations
            whole.findings += part.findings
            whole.files += part.files
        whole.findings.sort(key=_gravest_first)
        return whole

    def add(self, findings: Iterable[Finding]) -> None:
        """Adds what others have found."""
        self.findings += findings
        self.findings.sort(key=_gravest_first)

    def to_json(self) -> dict[str, Any]:
        """Returns the examination as plain values."""
        return {
            "locations": [location.to_json() for location in self.locations],
            "findings": [finding.to_json() for finding in self.findings],
        }

    def worst(self) -> Severity | None:
        """Returns the gravest severity among the findings."""
        return max((finding.severity for finding in self.findings), default=None)


def check(path: str | Path, version: str = NEWEST) -> list[Finding]:
    """Returns the findings on a configuration under a version of nginx, gravest first.

    Raises:
        NginxConfigError: the configuration cannot be read.
        VersionError: the version is none.
    """
    return examine(path, [version]).findings


def examine(
    path: str | Path,
    asked: Sequence[str] = (NEWEST,),
    *,
    root: Path | None = None,
    handed_over: Sequence[Path] = (),
    settings: Settings | None = None,
    text: str | None = None,
) -> Examination:
    """Returns verdicts and findings on a file, or on all configurations below a folder.

    Args:
        path: the file or folder; with `text`, only the name to report.
        asked: the nginx versions to judge for.
        root: where absolute includes are looked up.
        handed_over: files that stand in for includes that lie elsewhere.
        settings: what the sizing rules need to know.
        text: the configuration itself, such as standard input or an `nginx -T` dump.

    Raises:
        NginxConfigError: the configuration cannot be read.
        VersionError: a version is none.
    """
    for version in asked:
        versions.parse(version)
    result = Examination(tuple(dict.fromkeys(asked)))
    for opening in openings(Path(path), root, handed_over, text):
        configuration, _ = opening.read()
        _examine_one(configuration, result, settings or Settings())
    result.findings.sort(key=_gravest_first)
    return result


def _gravest_first(finding: Finding) -> tuple[int, Place, str]:
    return -finding.severity, finding.place, finding.rule


def read(
    path: str | Path,
    root: Path | None = None,
    handed_over: Sequence[Path] = (),
    text: str | None = None,
    replaced: Mapping[str, str] | None = None,
) -> Model:
    """Returns the model of one configuration: a file, an `nginx -T` dump, or `text` called `path`.

    Args:
        replaced: texts that its files are read as, by name, such as those of a repair.

    Raises:
        NginxConfigError: it cannot be read, or is a folder.
    """
    if text is None and Path(path).is_dir():
        raise NginxConfigError(str(path), 0, "is a folder; name the main file in it")
    opening = next(iter(openings(Path(path), root, handed_over, text)))
    configuration, _ = opening.read(replaced or {})
    return model(configuration)


def models(path: str | Path, root: Path | None = None, handed_over: Sequence[Path] = ()) -> Iterator[Model]:
    """Yields the model of each configuration in a file or folder.

    Raises:
        NginxConfigError: one cannot be read.
    """
    for opening in openings(Path(path), root, handed_over, None):
        configuration, _ = opening.read()
        yield model(configuration)


def _examine_one(configuration: Configuration, result: Examination, settings: Settings) -> None:
    found = model(configuration)
    asked = {version: versions.parse(version) for version in result.versions}
    oldest = min(asked.values())
    cases = {name: Case(found, version, settings, oldest) for name, version in asked.items()}
    hits = {version: list(_hits(case)) for version, case in cases.items()}
    explaining = {version: _explaining(found_hits) for version, found_hits in hits.items()}
    for each in found.passes:
        verdicts = {version: case.verdict(each) for version, case in cases.items()}
        rules = {version: tuple(sorted(explaining[version].get(id(each), ()))) for version in cases}
        place = each.directive.place
        result.locations.append(Judged(place, each.context, each.target, verdicts, rules))
    result.findings += _findings(hits, configuration)
    result.files += configuration.files


def _hits(case: Case) -> Iterable[tuple[Rule, Hit]]:
    for rule in CATALOGUE.values():
        if rule.detect is not None:
            for hit in rule.detect(case):
                yield rule, hit


def _explaining(hits: Iterable[tuple[Rule, Hit]]) -> dict[int, set[str]]:
    """Returns the rules about reuse that apply to a pass location, by its identity."""
    found: dict[int, set[str]] = {}
    for rule, hit in hits:
        for each in hit.passes if rule.about_reuse else ():
            found.setdefault(id(each), set()).add(rule.id)
    return found


def _findings(hits: dict[str, list[tuple[Rule, Hit]]], configuration: Configuration) -> list[Finding]:
    """Returns one finding for what holds at one place, under all versions where it does."""
    first: dict[_Key, Finding] = {}
    passes: dict[_Key, dict[Place, None]] = {}
    seen: dict[_Key, dict[str, None]] = {}
    for version, found in hits.items():
        for rule, hit in found:
            if rule.id in configuration.ignored.get((hit.place.file, hit.place.line), ()):
                continue
            key = (rule.id, hit.place, hit.message)
            if key not in first:
                first[key], passes[key], seen[key] = _finding(rule, hit), {}, {}
            passes[key].update((each.directive.place, None) for each in hit.passes)
            seen[key][version] = None
    return [
        replace(finding, passes=tuple(passes[key]), versions=tuple(seen[key]))
        for key, finding in first.items()
    ]


def _finding(rule: Rule, hit: Hit) -> Finding:
    severity = rule.severity if hit.severity is None else hit.severity
    return Finding(rule.id, severity, hit.place, hit.message, hit.fix, hit.related)
