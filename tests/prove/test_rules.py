"""The examples of every rule, bad and good, proven: where check has a verdict, traffic confirms it."""

from __future__ import annotations

import pytest

from nginx.check import check
from nginx.rules import CATALOGUE, Rule
from tests.proving import every_version, needs_nginx, prove

NO_REQUEST_SUCCEEDS = {"NK054", "NX005"}
"""Rules about locations that answer each request with an error, or that no request finds."""
pytestmark = [needs_nginx, pytest.mark.long]


@every_version
@pytest.mark.parametrize("example", ["bad", "good"])
@pytest.mark.parametrize("rule", CATALOGUE.values(), ids=lambda rule: rule.id)
def test_examples(rule: Rule, example: str, version: str) -> None:
    text = rule.bad if example == "bad" else rule.good
    found = prove(text, version)
    assert found.disagreements == []
    assert found.rejection is not None or found.witnesses is None or found.witnesses.agree
    # A good example may need a newer nginx than this; then it rejects it.
    if found.rejection is None:
        unreached = [each.unreached for each in found.results if each.measured is None]
        fails = rule.id in NO_REQUEST_SUCCEEDS and rule.id in rules_that_hit(text, version)
        assert bool(unreached) is fails, unreached


def rules_that_hit(text: str, version: str) -> set[str]:
    return {finding.rule for finding in check("x", [version], text=text).findings}
