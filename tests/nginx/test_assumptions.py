"""What a verdict takes for granted of servers, and of which of them."""

from __future__ import annotations

import pytest

from nginx.assumptions import assumptions
from nginx.measured import MeasuredServer
from nginx.rules.rule import CheckSettings


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (CheckSettings(), "servers are taken to keep idle connections"),
        (CheckSettings(upstream_idle_s={"app": 5.0}), "other servers are taken to keep idle connections"),
        (
            CheckSettings(measured=(MeasuredServer("10.0.0.1:8080"),)),
            "other servers are taken to keep idle connections",
        ),
        (CheckSettings(backend_idle_s=5.0), None),
    ],
    ids=["nothing known", "one upstream given", "one server probed", "all given"],
)
def test_the_idle_time_of_what_was_neither_given_nor_measured_is_assumed(
    settings: CheckSettings, expected: str | None
) -> None:
    said = [each for each in assumptions(settings) if "keep idle" in each]
    assert [each.startswith(expected or "") for each in said] == ([] if expected is None else [True])
