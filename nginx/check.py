"""Check a configuration: read it, compute a verdict per pass location and apply the rules.

Reads files; runs no program and changes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict

from nginx import versions
from nginx.acceptance import Acceptance, AcceptanceJson
from nginx.assumptions import assumptions
from nginx.errors import NginxConfigError
from nginx.finding import Finding, FindingJson, PlaceJson, Severity
from nginx.hits import RuleHits, merge_findings
from nginx.loading.inputs import ConfigInput, find_inputs
from nginx.model import Model, build_model
from nginx.rules import CheckSettings, RuleContext
from nginx.server_names import server_name
from nginx.spans import Span, SpanFinder
from nginx.tree import Place
from nginx.verdict import Verdict, VerdictJson

NEWEST, OLDEST = str(versions.NEWEST), str(versions.OLDEST_SUPPORTED)
FAILING: Final = frozenset({"not reused", "partly reused"})
"""The answers that fail a check."""


class JudgedJson(VerdictJson):
    """A verdict with the rules that say more about it."""

    rules: list[str]
    accepted: bool


class LocationJson(PlaceJson):
    """A pass location in the JSON of `bench check`, its verdicts by version."""

    server: str
    context: str
    target: str
    verdicts: dict[str, JudgedJson]


@dataclass(frozen=True, slots=True)
class LocationVerdicts:
    """A pass location with its verdict, and the rules that explain it, by version."""

    place: Place
    context: str
    target: str
    verdicts: dict[str, Verdict]
    rules: dict[str, tuple[str, ...]]
    server: str = ""
    """The server {} around it as clients address it: `shop.example:443`; empty where nothing names it."""
    accepted: frozenset[str] = frozenset()
    """The versions under which all that could be wrong with the verdict is accepted, or it is right so."""
    acceptances: tuple[Acceptance, ...] = ()
    """By what."""

    @property
    def heading(self) -> str:
        """What the location is called: its server, and its block."""
        return f"{self.server} {self.context}".strip()

    @property
    def fails(self) -> bool:
        """Connections are lost under one of the versions, and nobody has accepted that."""
        return any(
            verdict.answer in FAILING
            for version, verdict in self.verdicts.items()
            if version not in self.accepted
        )

    @property
    def depends(self) -> bool:
        """Under one of the versions the answer depends on what is not known here."""
        return any(verdict.answer == "depends" for verdict in self.verdicts.values())

    def to_json(self) -> LocationJson:
        """Return the location as plain values."""
        verdicts: dict[str, JudgedJson] = {
            version: {
                **verdict.to_json(),
                "rules": list(self.rules[version]),
                "accepted": version in self.accepted,
            }
            for version, verdict in self.verdicts.items()
        }
        return {
            "file": self.place.file,
            "line": self.place.line,
            "server": self.server,
            "context": self.context,
            "target": self.target,
            "verdicts": verdicts,
        }


class CheckJson(TypedDict):
    """What `bench check --format json` prints."""

    versions: dict[str, str]
    """Each judged version, and why it is judged."""
    locations: list[LocationJson]
    findings: list[FindingJson]
    accepted: list[AcceptanceJson]
    """What is not reported, and does not fail, because somebody accepted it."""
    assumptions: list[str]


@dataclass(slots=True)
class CheckResult:
    """The result for one or more configurations: pass locations with verdicts, and findings."""

    versions: tuple[str, ...]
    reasons: dict[str, str] = field(default_factory=dict)
    """Why each version is judged, as far as that is known."""
    locations: list[LocationVerdicts] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    spans: dict[Finding, Span] = field(default_factory=dict)
    """Which part of its line a finding is about, where that is known."""
    upstreams: set[str] = field(default_factory=set)
    """The names of the upstream {} blocks, in lower case."""
    accepted: list[Acceptance] = field(default_factory=list)
    """What is not among the findings because comments, options or a baseline accept it."""
    assumptions: tuple[str, ...] = ()
    """What the verdicts take for granted of the servers."""

    @classmethod
    def merge(cls, parts: "Sequence[CheckResult]") -> "CheckResult":
        """Return several results, for the same versions, as one."""
        merged = cls(parts[0].versions, parts[0].reasons, assumptions=parts[0].assumptions)
        for part in parts:
            merged.locations += part.locations
            merged.files += part.files
            merged.spans.update(part.spans)
            merged.upstreams |= part.upstreams
            merged.accepted += part.accepted
        merged.add(finding for part in parts for finding in part.findings)
        return merged

    def add(self, findings: Iterable[Finding]) -> None:
        """Add findings; the most severe come first."""
        self.findings += findings
        self.findings.sort(key=lambda finding: (-finding.severity, finding.place, finding.rule))

    @property
    def judged_for(self) -> str:
        """The versions, and why each of them is judged: `nginx 1.22.1 (given) and 1.31.4`."""
        named = [
            f"{version} ({self.reasons[version]})" if self.reasons.get(version) else version
            for version in self.versions
        ]
        return f"nginx {' and '.join(named)}"

    def to_json(self) -> CheckJson:
        """Return the result as plain values."""
        return {
            "versions": {version: self.reasons.get(version, "") for version in self.versions},
            "locations": [location.to_json() for location in self.locations],
            "findings": [finding.to_json() for finding in self.findings],
            "accepted": [each.to_json() for each in self.accepted],
            "assumptions": list(self.assumptions),
        }

    def worst(self) -> Severity | None:
        """Return the highest severity among the findings."""
        return max((finding.severity for finding in self.findings), default=None)


def check(
    path: str | Path,
    nginx_versions: Sequence[str] | Mapping[str, str] = (OLDEST, NEWEST),
    *,
    root: Path | None = None,
    extra_files: Sequence[Path] = (),
    settings: CheckSettings | None = None,
    text: str | None = None,
) -> CheckResult:
    """Return verdicts and findings for a file, or for all configurations below a folder.

    Args:
        path: the file or folder; with `text`, only the name to report.
        nginx_versions: the nginx versions to judge for, perhaps each with why.
        root: where absolute includes are looked up.
        extra_files: files that replace includes that lie elsewhere.
        settings: what the sizing rules need to know.
        text: the configuration itself, such as standard input or an `nginx -T` dump.

    Raises:
        NginxConfigError: the configuration cannot be read.
        VersionError: a version cannot be parsed.
    """
    result, found = _no_result(nginx_versions), list[Finding]()
    result.assumptions = tuple(assumptions(settings or CheckSettings()))
    for each in find_inputs(Path(path), root, extra_files, text):
        configuration, sources = each.read()
        findings = _check_one(build_model(configuration), result, settings or CheckSettings())
        finder = SpanFinder(configuration, sources.text)
        found += findings
        result.spans.update((each, span) for each in findings if (span := finder.span(each)))
    result.add(found)
    return result


def check_texts(
    texts: Mapping[str, str], nginx_versions: Mapping[str, str], settings: CheckSettings
) -> tuple[CheckResult, Model]:
    """Return verdicts and findings for one configuration, and its model, whose passes are in the same order.

    Args:
        texts: the texts of its files by path, the main file first; no other file is read.
        nginx_versions: the nginx versions to judge for, each with why.
        settings: what the sizing rules need to know.

    Raises:
        VersionError: a version cannot be parsed.
    """
    result = _no_result(nginx_versions)
    configuration, _ = ConfigInput(next(iter(texts)), dump=texts).read()
    model = build_model(configuration)
    result.add(_check_one(model, result, settings))
    return result, model


def load_model(
    path: str | Path,
    root: Path | None = None,
    extra_files: Sequence[Path] = (),
    text: str | None = None,
    replaced: Mapping[str, str] | None = None,
) -> Model:
    """Return the model of one configuration: a file, an `nginx -T` dump, or `text` called `path`.

    Args:
        path: the file; with `text`, only its name.
        root: where absolute includes are looked up.
        extra_files: files that replace includes that lie elsewhere.
        text: the configuration itself.
        replaced: texts to read instead of its files, by name, such as those of a repair.

    Raises:
        NginxConfigError: it cannot be read, or is a folder.
    """
    if text is None and Path(path).is_dir():
        raise NginxConfigError(str(path), 0, "is a folder; name the main file in it")
    configuration, _ = next(find_inputs(Path(path), root, extra_files, text)).read(replaced or {})
    return build_model(configuration)


def load_models(
    path: str | Path, root: Path | None = None, extra_files: Sequence[Path] = (), text: str | None = None
) -> Iterator[Model]:
    """Yield the model of each configuration in a file, a folder or a `text` called `path`.

    Raises:
        NginxConfigError: one cannot be read.
    """
    for each in find_inputs(Path(path), root, extra_files, text):
        configuration, _ = each.read()
        yield build_model(configuration)


def _no_result(nginx_versions: Sequence[str] | Mapping[str, str]) -> CheckResult:
    """Return an empty result for versions; VersionError where one cannot be parsed."""
    for version in nginx_versions:
        versions.parse(version)
    reasons = dict(nginx_versions) if isinstance(nginx_versions, Mapping) else {}
    return CheckResult(tuple(dict.fromkeys(nginx_versions)), reasons)


def _check_one(model: Model, result: CheckResult, settings: CheckSettings) -> list[Finding]:
    """Add the verdicts on a configuration to a result, and return what is found."""
    parsed = {version: versions.parse(version) for version in result.versions}
    oldest = min(parsed.values())
    contexts = {name: RuleContext(model, version, settings, oldest) for name, version in parsed.items()}
    hits = {version: RuleHits.of(ctx) for version, ctx in contexts.items()}
    for each in model.passes:
        result.locations.append(
            LocationVerdicts(
                place=each.directive.place,
                context=each.context,
                target=each.target,
                verdicts={version: found.verdict(each) for version, found in hits.items()},
                rules={version: found.rules_about(each) for version, found in hits.items()},
                server=server_name(each.level),
                accepted=frozenset(version for version, found in hits.items() if found.accepts(each)),
                acceptances=_unique(one for found in hits.values() for one in found.acceptances(each)),
            )
        )
    result.files += model.configuration.files
    result.upstreams |= set(model.names.upstreams)
    result.accepted += _unique(one for found in hits.values() for one in found.accepted)
    return list(merge_findings(hits))


def _unique(found: Iterable[Acceptance]) -> tuple[Acceptance, ...]:
    return tuple(dict.fromkeys(found))
