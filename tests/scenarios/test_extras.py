"""Servers and clients of scenarios start without the packages that only some of their variants need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.experiment.definition import Need
from bench.scenarios import catalogue

ROOT = Path(__file__).parents[2]
SHARED = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for pattern in ("backends/scenarios/*/server.py", "bench/scenarios/*/clients.py")
    for file in ROOT.glob(pattern)
)
"""What every variant of a scenario starts."""
OF_SEVERAL = {"tokens": ("stream", "migration")}
"""Folders whose name is not that of their scenario."""
WITHOUT = (
    "import importlib, sys; sys.modules |= dict.fromkeys(sys.argv[2:]); importlib.import_module(sys.argv[1])"
)


def needed_by_some(scenario: str) -> set[str]:
    """Return the packages that some variants of a scenario need, and others do not."""
    by_variant = [
        {need.module for need in each.needs if isinstance(need, Need)}
        for each in catalogue.load(scenario).variants
    ]
    every = set[str]().union(*by_variant)
    return {module for module in every if any(module not in needs for needs in by_variant)}


@pytest.mark.parametrize("module", SHARED)
def test_what_all_variants_start_needs_nothing_that_one_does_not(module: str) -> None:
    folder = next(part for part in reversed(module.split(".")[:-1]) if part != "scenarios")
    scenarios = OF_SEVERAL.get(folder, (folder,))
    absent = sorted(set[str]().union(*map(needed_by_some, scenarios)))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, module, *absent],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
