"""The reference run of each step, which stands in where this machine gives no verdict: found in results/.

They ship with the repository, and not with the installed package; where there are none, there is no stand-in.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.errors import ResultsError
from bench.runs import read
from bench.runs.record import RunRecord
from bench.tour.steps import INCIDENT, SNIPPET

RESULTS = Path(__file__).parents[2] / "results"
_FOLDERS = {INCIDENT: "reference", SNIPPET: "reference-incident-at-once"}
"""Of the steps that are no scenarios; that of a scenario is called by its name."""


def find(steps: Iterable[str], results: Path = RESULTS) -> dict[str, RunRecord[Any]]:
    """Return the reference run of each of `steps` that has one under `results`."""
    found = {}
    for step in steps:
        try:
            found[step] = read.read(results / _FOLDERS.get(step, f"reference-{step}"))
        except (ResultsError, OSError):
            continue
    return found
