"""Format findings for other programs: SARIF 2.1.0, and annotations of GitHub Actions."""

import hashlib
from collections import Counter
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from nginx.check import CheckResult
from nginx.finding import Finding, Severity
from nginx.identity import identities
from nginx.report.documentation import POOLS, help_uri
from nginx.report.rules import format_rule
from nginx.rules import CATALOGUE, Rule
from nginx.spans import Span
from nginx.tree import Place

_LEVELS = {
    Severity.ERROR: ("error", "error"),
    Severity.HIGH: ("error", "error"),
    Severity.MEDIUM: ("warning", "warning"),
    Severity.LOW: ("note", "notice"),
    Severity.INFO: ("note", "notice"),
}
"""The levels of SARIF and of GitHub."""
_PROBLEM = {"error": "error", "warning": "warning", "note": "recommendation"}


def sarif(result: CheckResult, version: str) -> dict[str, Any]:
    """Return the findings as a SARIF 2.1.0 log, with what GitHub's code scanning asks for.

    Args:
        result: the result.
        version: that of the program, and so of its rules.
    """
    used = sorted({finding.rule for finding in result.findings})
    driver = {
        "name": "bench check",
        "semanticVersion": version,
        "informationUri": POOLS,
        "rules": [_sarif_rule(CATALOGUE[rule_id], version) for rule_id in used],
    }
    judged = {each: result.reasons.get(each, "") for each in result.versions}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [
            _sarif_result(each, result.spans.get(each), used.index(each.rule), fingerprint)
            for each, fingerprint in zip(result.findings, _fingerprints(result), strict=True)
        ],
        "properties": {"nginxVersions": judged},
    }
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _sarif_rule(rule: Rule, version: str) -> dict[str, Any]:
    level = _LEVELS[rule.severity][0]
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": f"{rule.summary} {rule.explanation}".strip()},
        "help": {"text": format_rule(rule)},
        "helpUri": help_uri(rule.id),
        "defaultConfiguration": {"level": level},
        "properties": {
            "version": version,
            "tags": ["nginx", "keep-alive"],
            "precision": "high",
            "problem.severity": _PROBLEM[level],
        },
    }


def _sarif_result(finding: Finding, span: Span | None, index: int, fingerprint: str) -> dict[str, Any]:
    where = _sarif_location(finding.place)
    if span is not None:
        where["physicalLocation"]["region"] |= {
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        }
    found: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity][0],
        "message": {"text": _sentence(finding)},
        "locations": [where],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint},
        "properties": {"versions": list(finding.versions), "severity": str(finding.severity)},
    }
    if finding.related:
        found["relatedLocations"] = [
            _sarif_location(place) | {"id": number, "message": {"text": what}}
            for number, (place, what) in enumerate(finding.related, 1)
        ]
    return found


def _fingerprints(result: CheckResult) -> list[str]:
    """Return what stays the same of each finding while its lines move; equal ones are numbered."""
    seen: Counter[str] = Counter()
    found = []
    for key in identities(result):
        digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
        seen[digest] += 1
        found.append(f"{digest}:{seen[digest]}")
    return found


def _sarif_location(place: Place) -> dict[str, Any]:
    path = PurePath(place.file)
    artifact = {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix(), safe="/,")}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": max(1, place.line)}}}


def github(result: CheckResult) -> str:
    """Return the findings as workflow commands of GitHub Actions, one a line."""
    lines = [f"judged for {result.judged_for}", *(_github_line(each, result) for each in result.findings)]
    return "".join(f"{_escaped(line) if number == 0 else line}\n" for number, line in enumerate(lines))


def _github_line(finding: Finding, result: CheckResult) -> str:
    level = _LEVELS[finding.severity][1]
    title = f"{finding.rule} {CATALOGUE[finding.rule].name}"
    where = f"file={_property(finding.place.file)},line={max(1, finding.place.line)}"
    if (span := result.spans.get(finding)) is not None:
        where += f",col={span.column},endLine={span.end_line},endColumn={span.end_column}"
    return f"::{level} {where},title={_property(title)}::{_escaped(_sentence(finding))}"


def _sentence(finding: Finding) -> str:
    text = finding.message
    if finding.fix:
        text += f". Fix: {finding.fix}"
    return f"{text} (nginx {', '.join(finding.versions)})" if finding.versions else text


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
