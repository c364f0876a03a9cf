"""Every rule has a configuration that it flags and one that it must not flag."""

from __future__ import annotations

import pytest

from nginx.check import examine
from nginx.rules import CATALOGUE, Rule

BY_TRAFFIC = {"NK046"}
SHOWN = sorted((rule for rule in CATALOGUE.values() if rule.id not in BY_TRAFFIC), key=lambda rule: rule.id)


def flagged(rule: Rule, text: str) -> bool:
    examination = examine("nginx.conf", [rule.shown_on], settings=rule.shown_with, text=text)
    return any(finding.rule == rule.id for finding in examination.findings)


@pytest.mark.parametrize("rule", SHOWN, ids=lambda rule: rule.id)
def test_bad_example_is_flagged(rule: Rule) -> None:
    assert flagged(rule, rule.bad)


@pytest.mark.parametrize("rule", SHOWN, ids=lambda rule: rule.id)
def test_good_example_is_not_flagged(rule: Rule) -> None:
    assert not flagged(rule, rule.good)


@pytest.mark.parametrize("rule", CATALOGUE.values(), ids=lambda rule: rule.id)
def test_rule_explains_itself(rule: Rule) -> None:
    assert rule.summary.endswith(".")
    assert rule.name == rule.name.lower()
