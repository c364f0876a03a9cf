"""Runs as they are read from disk: one run, or all runs of a folder."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Required, TypedDict

from bench.errors import ResultsError
from bench.plan import toml
from bench.plan.convert import ConvertError, check_plain, convert
from bench.plan.run_plan import Plan
from bench.plan.scenario_plan import ScenarioPlan
from bench.runs import timeline
from bench.runs.record import FORMAT, Kind, RunHeader, RunRecord, ScenarioTrial, Trial, TrialRecord
from bench.runs.storage import RUN_FILE
from bench.runs.sweep_trial import SweepTrial
from bench.runs.watch_trial import KEY, WatchPlan, WatchTrial
from nginx.printable import printable

_TRIALS: dict[str, type[TrialRecord]] = {
    "run": Trial,
    "scenario": ScenarioTrial,
    "sweep": SweepTrial,
    "watch": WatchTrial,
}


class ListedJson(TypedDict, total=False):
    """A stored run in the JSON of `bench list`; `problem` where it cannot be read."""

    directory: Required[str]
    problem: str | None
    kind: Kind
    started: str
    scenario: str
    scope: str
    """Of a recording: what was watched."""
    mode: str
    subject: str
    trials: int
    valid: int
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """The folder of a run, with the run or with the reason why it cannot be read."""

    directory: Path
    run: RunRecord[Any] | None
    problem: str | None = None

    def to_json(self) -> ListedJson:
        """Return the object that `bench list --json` prints for the run."""
        run = self.run
        if run is None:
            return {"directory": str(self.directory), "problem": self.problem}
        names: ListedJson = {"directory": str(self.directory)}
        if run.kind == "scenario":
            names |= {"scenario": run.scenario}
        elif run.kind == "watch":
            names |= {"scope": run.plan[KEY]["scope"]}
        else:
            names |= {"mode": run.plan["mode"], "subject": run.plan["subject"]["name"]}
        return {
            **names,
            "kind": run.kind,
            "started": run.started,
            "trials": len(run.trials),
            "valid": sum(trial.valid for trial in run.trials),
            "interrupted": any(trial.interrupted for trial in run.trials),
        }


def read(path: Path) -> RunRecord[Any]:
    """Return the run at `path`, a folder or its run.jsonl; lines that cannot be read are in `damage`.

    ResultsError where there is no run, its header is damaged, or it is in another format than ours.
    """
    file = path / RUN_FILE if path.is_dir() else path
    numbered = timeline.numbered_lines(file)
    header = _header(file, *next(numbered, (1, "")))
    trials: list[TrialRecord] = []
    damage: list[str] = []
    for number, text in numbered:
        try:
            trials.append(convert(_object(text), _TRIALS[header.kind], "trial"))
        except ValueError as error:
            damage.append(str(ResultsError(file, number, f"not a trial: {_reason(error)}; left out")))
    return RunRecord(
        header.plan,
        header.machine,
        header.started,
        tuple(trials),
        str(file.parent),
        tuple(damage),
        refused=header.refused,
        target=header.target,
        interleaved=header.interleaved,
        grid=header.grid,
        objective=header.objective,
        most_blocks=header.most_blocks,
        machines=header.machines,
    )


def runs(root: Path) -> list[Listed]:
    """Return each run under `root`, unreadable ones first, then the oldest."""
    found: list[Listed] = []
    for directory in sorted(each.parent for each in root.glob(f"*/{RUN_FILE}")):
        try:
            found.append(Listed(directory, read(directory)))
        except (ResultsError, OSError) as error:
            found.append(Listed(directory, None, str(error)))
    return sorted(found, key=lambda each: each.run.started if each.run else "")


def _header(file: Path, number: int, text: str) -> RunHeader:
    try:
        values = _object(text)
        _check_format(file, number, values)
        header = convert(values, RunHeader, "")
        header = dataclasses.replace(header, plan=_complete_plan(header))
    except ValueError as error:
        raise ResultsError(file, number, f"not the header of a run: {_reason(error)}") from error
    return header


def _complete_plan(header: RunHeader) -> dict[str, Any]:
    """Return the plan of a header with every key; ConvertError where it is none, for all relies on it."""
    if header.kind == "scenario":
        plan = convert(header.plan, ScenarioPlan, "plan")
        convert(plan.settings, dict[str, Any] | None, "plan.settings")  # type: ignore[arg-type]
        return header.plan
    if header.kind == "watch":
        convert(header.plan.get(KEY), WatchPlan, f"plan.{KEY}")
        return header.plan
    if "subject" not in header.plan:
        raise ConvertError("plan.subject is missing")
    # What a plan could not say yet when it was written was as it is by default now.
    complete = toml.merge(Plan().to_json(), header.plan)
    convert(complete, Plan, "plan")
    return complete


def _check_format(file: Path, number: int, values: dict[str, Any]) -> None:
    """Refuse a format that is not ours, whatever else the header holds."""
    known = values.get("format")
    if not isinstance(known, int) or known < 1:
        raise ConvertError(f"format = {known!r} is not a number from 1")
    if known != FORMAT:
        remedy = "use a newer bench" if known > FORMAT else "use the bench that wrote it"
        raise ResultsError(
            file, number, f"is in format {known}, and this bench reads format {FORMAT}; {remedy}"
        )


def _object(text: str) -> dict[str, Any]:
    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not a number")

    try:
        values = json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    check_plain(values, "")
    return {printable(key): _printable(value) for key, value in values.items()}


def _printable(value: Any) -> Any:
    """Return a value of JSON whose texts can be shown wherever they get to: tables, pages, pictures."""
    if isinstance(value, dict):
        return {printable(key): _printable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return printable(value) if isinstance(value, str) else value


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON ({error.msg}, column {error.colno})" if error.doc.strip() else "it is empty"
    return str(error)
