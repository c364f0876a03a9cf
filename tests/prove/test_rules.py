"""The examples of every rule, bad and good, proven: where check has a verdict, traffic bears it out."""

from __future__ import annotations

import pytest

from nginx.rules import CATALOGUE, Rule
from proving import here, needs_nginx, proof

pytestmark = [needs_nginx, pytest.mark.long]


@pytest.mark.parametrize("version", here())
@pytest.mark.parametrize("example", ["bad", "good"])
@pytest.mark.parametrize("rule", CATALOGUE.values(), ids=lambda rule: rule.id)
def test_examples(rule: Rule, example: str, version: str) -> None:
    found = proof(rule.bad if example == "bad" else rule.good, version)
    assert found.disagreements == []
    assert found.refusal is not None or found.witnesses is None or found.witnesses.agree
    # A good example may need a newer nginx than this; what it says then is a refusal, not silence.
    if found.refusal is None:
        assert [each.unreached for each in found.outcomes if each.measured is None] == []
