"""The JSON of a run: its trials, and what they amount to."""

from typing import TYPE_CHECKING, Any

from bench.commands.run_metrics import metrics_of

if TYPE_CHECKING:
    from bench.analysis.compare import ComparisonJson
    from bench.commands.answering import Answers
    from bench.commands.json_output import RecordingOutput, RunOutput, ScenarioOutput, SweepOutput
    from bench.runs.record import RunRecord


def build_output(
    done: "RunRecord[Any]", answers: "Answers | None" = None
) -> "RunOutput | ScenarioOutput | SweepOutput | RecordingOutput":
    """Return what `--json` prints for a run, with the answers of one that has just been made."""
    from bench.analysis import run_figures

    figures = run_figures.summarize(done, metrics_of(done))
    return {
        "kind": done.kind,
        "verdict": figures.verdict,
        "plan": done.plan,
        "machine": done.machine,
        "machines": done.machines,
        "started": done.started,
        "refused": done.refused,
        "interleaved": done.interleaved,
        "target": done.target,
        "grid": done.grid or None,
        "objective": done.objective or None,
        "directory": done.directory,
        "cases": figures.cases,
        "comparison": _compare_modes(done),
        "most_blocks": done.most_blocks,
        "conditions": [] if answers is None else [each.to_json() for each in answers.judged],
        "ended": None if answers is None else answers.ended,
        "trials": done.trials,
    }


def _compare_modes(done: "RunRecord[Any]") -> "ComparisonJson | None":
    """Return the modes of a run beside each other; None where there are no two."""
    from bench.analysis import compare, sides

    if done.kind != "run" or len(done.subjects) != 1:
        return None
    modes = sides.split(done)
    return compare.compare(modes, metrics_of(done)).to_json() if len(modes) > 1 else None
