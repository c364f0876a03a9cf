"""The JSON Schema of a line of `run.jsonl`: `python -m bench.runs.schema > results/schema.json` writes it."""

import json
import sys
from typing import Any

import msgspec

from bench.runs.record import FORMAT, RunHeader, ScenarioTrial, Trial
from bench.runs.sweep_trial import SweepTrial
from bench.runs.watch_trial import WatchTrial


def schema() -> dict[str, Any]:
    """Return the schema: a line is the header, or a trial: of a run, a scenario, a sweep or a watch."""
    lines, definitions = msgspec.json.schema_components(
        [RunHeader, Trial, ScenarioTrial, SweepTrial, WatchTrial]
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of run.jsonl, format {FORMAT}",
        "anyOf": list(lines),
        "$defs": dict(definitions),
    }


def text() -> str:
    """Return the schema as `results/schema.json` holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
