"""A search: what it runs and records, and what it then says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis import objective
from bench.analysis.objective import Objective
from bench.analysis.rate_search import SearchOutcome, SearchRange
from bench.errors import ExitCode, PlanError
from bench.experiment import run as experiment
from bench.experiment.summary import Outcome
from bench.plan.run_plan import Mode, Plan
from bench.report.live import LiveLine
from bench.report.sweep import search_text, text
from bench.runs import read
from bench.runs.ports_record import Ports
from bench.runs.record import Percentiles, SubjectRecord, Trial
from bench.runs.sweep_trial import SweepRun
from bench.sweep import search
from tests.made_up_sweep import DISTURBED, trial

SOUGHT = Objective(("latency_ms.p99<20", "errors<=0"), SearchRange(100.0, 50_000.0, 0.2, 40))


def searched(
    root: Path, monkeypatch: pytest.MonkeyPatch, limit: float, *, served: float = 1.0, void: bool = False
) -> SweepRun:
    """Return a search of a subject whose p99 is 20 ms at `limit` requests per second."""

    def perform(plan: Plan, number: int, mode: Mode, *_: object) -> Outcome[Trial]:
        rate = plan.load.rate
        assert isinstance(rate, float)
        made = Trial(
            trial=number,
            subject=SubjectRecord("asyncio", "1"),
            lab="loopback",
            mode=mode.value,
            closes_first=None,
            requests_per_s=served * rate,
            latency_ms=Percentiles(1.0, 2.0, 20 * (rate / limit) ** 3),
        )
        disturbed = replace(made, valid=False, warnings=(DISTURBED,))
        return Outcome(disturbed if void else made, [], [])

    monkeypatch.setattr(experiment, "check", lambda plan: None)
    monkeypatch.setattr(experiment, "perform_trial", perform)
    values = Plan(mode="keepalive").to_json()
    silent = LiveLine(lambda state, now_s: None)
    done = search.perform(values, SOUGHT, stage=experiment.LabStage("loopback"), root=root, progress=silent)
    return read.read(Path(str(done.directory)))


def test_the_rate_is_told_with_its_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = searched(tmp_path, monkeypatch, 7_000)
    found = objective.answer(run)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 7_000 <= found.high
    said = search_text.summarize(run)
    assert said.startswith("The highest rate at which latency_ms.p99<20 and errors<=0 holds is ")
    assert search_text.exit_code(run) is ExitCode.OK
    assert said[:60] in " ".join(text.format_run(run).split())


@pytest.mark.parametrize(
    ("play", "said", "code"),
    [
        ((50.0, 1.0, False), "does not hold at 100/s already", ExitCode.FINDINGS),
        ((1e9, 0.9, False), "does not hold at 100/s already", ExitCode.FINDINGS),
        ((1e9, 1.0, False), "holds at 50,000/s still", ExitCode.CANNOT_TELL),
        (
            (7_000.0, 1.0, True),
            "cannot be told (4 trials, 4 of which do not count: others used",
            ExitCode.CANNOT_TELL,
        ),
    ],
)
def test_without_a_rate_it_says_why(
    play: tuple[float, float, bool],
    said: str,
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit, served, void = play
    run = searched(tmp_path, monkeypatch, limit, served=served, void=void)
    assert objective.answer(run).outcome is not SearchOutcome.FOUND
    assert said in search_text.summarize(run)
    assert search_text.exit_code(run) is code


CROSSED = Ports(28_232, 28_232, 20_000, 1.5, None, 8_000.0, 400.0)


@pytest.mark.parametrize(
    ("require", "changed", "holds", "why"),
    [
        ("latency_ms.p99<20", {}, True, ""),
        ("latency_ms.p99<2", {}, False, ""),
        ("tls.full<1", {}, None, "tls.full was not measured"),
        ("latency_ms.p99<20", {"ports": CROSSED}, None,
         "latency_ms.p99 means nothing where half of the ports were passed;"
         " take cpu_us_per_request_before_cliff.proxy"),
        ("errors<1", {"ports": CROSSED}, True, ""),
        ("tls.full<1", {"requests_per_s": 900.0}, False, ""),
        ("errors<1", {"valid": False, "warnings": (DISTURBED,)}, None, "others used the machine"),
        ("errors<1", {"interrupted": True}, None, "the trial was interrupted"),
    ],
)  # fmt: skip
def test_a_trial_says_nothing_of_what_it_did_not_measure(
    require: str, changed: dict[str, Any], holds: bool | None, why: str
) -> None:
    made = replace(
        trial(1, {"load.rate": 1000.0}, "rate=1000"), requests_per_s=1000.0, ports=Ports(10, 10, 1)
    )
    asked = [objective.parse(require)]
    assert objective.holds(replace(made, **changed), asked) is holds
    assert objective.why_void(replace(made, **changed), asked) == why


def test_nonsense_is_refused_with_an_example_that_is_no_ratio() -> None:
    with pytest.raises(PlanError, match=r"^--require 'fast' is no condition; write METRIC OP VALUE such as"):
        objective.parse("fast")


def test_a_search_that_was_cut_off_says_what_it_knows_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = searched(tmp_path, monkeypatch, 7_000)
    for count, said in [(0, "holds at any rate cannot be told"), (2, "holds at 200/s, and nothing is known")]:
        assert said in search_text.summarize(replace(whole, trials=whole.trials[:count]))


def test_the_objective_comes_back_from_the_header_whole() -> None:
    assert Objective.of(SOUGHT.to_json()) == SOUGHT
    with pytest.raises(PlanError, match="objective"):
        Objective.of({"require": ["errors<1"], "low": "much"})
