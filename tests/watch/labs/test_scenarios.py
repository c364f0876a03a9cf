"""What needs a kernel of its own: narrow ports, a low limit of TIME_WAIT, a full backlog."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.watch.verdict import WatchVerdictJson
from tests import needs

pytestmark = [pytest.mark.long, needs.on_linux, needs.in_namespaces]


def verdict(scenario: str) -> WatchVerdictJson:
    """Return the verdict on a scenario."""
    argv = [sys.executable, "-m", "tests.watch.labs.scenario", scenario]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    found: WatchVerdictJson = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("scenario", "urgency", "outlooks"),
    [
        ("half", "soon", ("reaches end",)),
        ("past half", "slow", ("past half",)),
        ("exhausted", "failing", ("exhausted",)),
    ],
)
def test_narrow_ports_run_out(scenario: str, urgency: str, outlooks: tuple[str, ...]) -> None:
    (found,) = verdict(scenario)["findings"]
    assert (found["pattern"], found["urgency"]) == ("short-connections", urgency)
    assert found["forecast"] is not None
    assert found["forecast"]["outlook"] in outlooks


@pytest.mark.parametrize(
    ("scenario", "pattern", "hop"),
    [
        ("held", "ports-held", "10.87.9.1:8080"),
        ("dns", "dns-over-tcp", "10.87.9.1:53"),
        ("backlog", "syn-backlog-overflow", ":8080"),
        ("refused", "failed-connects", "this host"),
        ("time-wait limit", "time-wait-overflow", "this host"),
    ],
)
def test_a_limit_of_the_kernel_is_named(scenario: str, pattern: str, hop: str) -> None:
    found = {each["pattern"]: each for each in verdict(scenario)["findings"]}
    assert hop in found[pattern]["hop"]
