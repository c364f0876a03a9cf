"""What each command prints as JSON, as types, and the JSON Schema of it.

A command that prints JSON belongs into OUTPUTS; the types of its parts stand beside what they are about.
"""

from typing import Any, TypedDict

import msgspec

from bench.analysis.claims import RunVerdict
from bench.analysis.compare import ComparisonJson
from bench.analysis.conditions import JudgedJson
from bench.analysis.proxy_fleet import SizingJson
from bench.analysis.run_figures import CaseFigures
from bench.cluster.survey_json import ClusterSurveyJson
from bench.doctor.checks import Check
from bench.plan.run_plan import Plan
from bench.probe.advice import AdvisedProbeJson
from bench.report.config.proof_answer import ProofAnswerJson
from bench.runs.machine_record import MachineRecord
from bench.runs.read import ListedJson
from bench.runs.record import Kind, Refused, ScenarioTrial, Trial
from bench.runs.sweep_trial import SweepTrial
from bench.runs.target_record import TargetRecord
from bench.runs.watch_trial import WatchTrial
from bench.watch.output import WatchLineJson
from nginx.check import CheckJson


class _RunOutput(TypedDict):
    kind: Kind
    verdict: RunVerdict
    """What the run amounts to."""
    plan: dict[str, Any]
    machine: dict[str, Any]
    machines: tuple[MachineRecord, ...]
    """Of a cluster, one for each role on each of its machines; else empty."""
    started: str
    refused: tuple[Refused, ...]
    interleaved: str | None
    target: TargetRecord | None
    grid: dict[str, list[Any]] | None
    """Of a sweep: the plan keys that are varied, each with its values."""
    objective: dict[str, Any] | None
    """Of a search: what is required, and where it looks."""
    directory: str | None
    cases: tuple[CaseFigures, ...]
    """Medians and intervals."""
    comparison: ComparisonJson | None
    """The modes of a run beside each other; null where there is one, and for scenarios."""
    most_blocks: int | None
    """The blocks that it could take at the most, where its trials were looked at on the way."""
    conditions: list[JudgedJson]
    """The verdicts on what --require says; empty where the run is shown again."""
    ended: str | None
    """Why it ended before its last trial."""


class RunOutput(_RunOutput):
    """A run of the load generator."""

    trials: tuple[Trial, ...]


class ScenarioOutput(_RunOutput):
    """A run of a scenario."""

    trials: tuple[ScenarioTrial, ...]


class SweepOutput(_RunOutput):
    """A run of each cell of a grid."""

    trials: tuple[SweepTrial, ...]


class RecordingOutput(_RunOutput):
    """A recording of a watch."""

    trials: tuple[WatchTrial, ...]


class AbOutput(TypedDict):
    """What `bench ab` prints."""

    runs: list[RunOutput]
    comparisons: list[ComparisonJson]
    conditions: list[JudgedJson]
    ended: str | None
    pictures: list[str]


class CompareOutput(TypedDict):
    """What `bench compare` prints."""

    comparisons: list[ComparisonJson]
    pictures: list[str]
    conditions: list[JudgedJson]


OUTPUTS: dict[str, tuple[Any, ...]] = {
    "run": (RunOutput,),
    "ab": (AbOutput,),
    "plan": (Plan,),
    "scenario run": (ScenarioOutput,),
    "sweep": (SweepOutput,),
    "search": (SweepOutput,),
    "list": (list[ListedJson],),
    "show": (RunOutput, ScenarioOutput, SweepOutput, RecordingOutput),
    "compare": (CompareOutput,),
    "size": (SizingJson,),
    "doctor": (list[Check], ClusterSurveyJson),
    "check": (CheckJson,),
    "prove": (ProofAnswerJson,),
    "probe": (AdvisedProbeJson,),
    "watch": (WatchLineJson,),
}
"""The types of what a command prints: one of them each time, and of a watch one on each line."""


def schema(command: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what `command` prints; KeyError where it prints none."""
    kinds, definitions = msgspec.json.schema_components(OUTPUTS[command])
    shape = kinds[0] if len(kinds) == 1 else {"anyOf": list(kinds)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The JSON of `bench {command}`",
        **shape,
        "$defs": dict(definitions),
    }
