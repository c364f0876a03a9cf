"""The examples of every rule, bad and good, proven: where check has a verdict, traffic confirms it."""

from __future__ import annotations

import pytest

from nginx.rules import CATALOGUE, Rule
from tests.proving import every_version, needs_nginx, prove

pytestmark = [needs_nginx, pytest.mark.long]


@every_version
@pytest.mark.parametrize("example", ["bad", "good"])
@pytest.mark.parametrize("rule", CATALOGUE.values(), ids=lambda rule: rule.id)
def test_examples(rule: Rule, example: str, version: str) -> None:
    found = prove(rule.bad if example == "bad" else rule.good, version)
    assert found.disagreements == []
    assert found.rejection is not None or found.witnesses is None or found.witnesses.agree
    # A good example may need a newer nginx than this; then it rejects it.
    if found.rejection is None:
        assert [each.unreached for each in found.results if each.measured is None] == []
