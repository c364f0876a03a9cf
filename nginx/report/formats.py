"""Format findings for other programs: SARIF 2.1.0, and annotations of GitHub Actions."""

from typing import Any

from nginx.check import CheckResult
from nginx.finding import Finding, Severity
from nginx.rules import CATALOGUE, Rule
from nginx.tree import Place

_LEVELS = {
    Severity.ERROR: ("error", "error"),
    Severity.HIGH: ("error", "error"),
    Severity.MEDIUM: ("warning", "warning"),
    Severity.LOW: ("note", "notice"),
    Severity.INFO: ("none", "notice"),
}
"""The levels of SARIF and of GitHub."""


def sarif(result: CheckResult) -> dict[str, Any]:
    """Return the findings as a SARIF 2.1.0 log."""
    used = sorted({finding.rule for finding in result.findings})
    driver = {"name": "bench check", "rules": [_sarif_rule(CATALOGUE[rule_id]) for rule_id in used]}
    judged = {version: result.reasons.get(version, "") for version in result.versions}
    results = [_sarif_result(finding, used.index(finding.rule)) for finding in result.findings]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results, "properties": {"nginxVersions": judged}}],
    }


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": f"{rule.summary} {rule.explanation}".strip()},
        "defaultConfiguration": {"level": _LEVELS[rule.severity][0]},
    }


def _sarif_result(finding: Finding, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity][0],
        "message": {"text": _sentence(finding)},
        "locations": [_sarif_location(finding.place)],
        "properties": {"versions": list(finding.versions)},
    }
    if finding.related:
        related = [_sarif_location(place) | {"message": {"text": what}} for place, what in finding.related]
        result["relatedLocations"] = related
    return result


def _sarif_location(place: Place) -> dict[str, Any]:
    where = {"artifactLocation": {"uri": place.file}, "region": {"startLine": max(1, place.line)}}
    return {"physicalLocation": where}


def github(result: CheckResult) -> str:
    """Return what was judged, and the findings as workflow commands of GitHub Actions, one a line."""
    lines = [f"judged for {result.judged_for}", *map(_github_line, result.findings)]
    return "".join(f"{line}\n" for line in lines)


def _github_line(finding: Finding) -> str:
    level = _LEVELS[finding.severity][1]
    title = f"{finding.rule} {CATALOGUE[finding.rule].name}"
    where = f"file={_property(finding.place.file)},line={max(1, finding.place.line)},title={_property(title)}"
    return f"::{level} {where}::{_escaped(_sentence(finding))}"


def _sentence(finding: Finding) -> str:
    text = finding.message
    if finding.fix:
        text += f". Fix: {finding.fix}"
    return f"{text} (nginx {', '.join(finding.versions)})" if finding.versions else text


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
