"""What a command says of the rules by which its run ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import conditions
from bench.commands.answering import Answers
from bench.errors import ExitCode
from bench.experiment.stopping import Stopping, Until
from bench.plan import run_plan as plans
from bench.runs.record import Run
from tests.synthetic import KEEPALIVE, MACHINE, SHORT, trial

RUN = Run(
    plans.build({}).to_json(),
    MACHINE,
    "2026",
    (trial(1, "short", SHORT, 1.0)[0], trial(2, "keepalive", KEEPALIVE, 1.0)[0]),
)


@pytest.mark.parametrize(
    ("run", "when"),
    [
        (RUN, "after"),
        (replace(RUN, interrupted=True), "before"),
        (replace(RUN, problem="the proxy ended"), "before"),
    ],
)
def test_an_interval_that_is_too_wide_is_told_with_when_the_run_ended(
    run: Run, when: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = Answers([run], Stopping(until=Until(0.05)))
    answers.print(("requests_per_s",))
    said = f"ended:   {when} the last trial; the interval is not as narrow as --until asks\n"
    assert said in capsys.readouterr().out
    assert answers.exit_code is ExitCode.CANNOT_TELL


@pytest.mark.parametrize(
    ("required", "measured", "expected"),
    [
        ("abs:errors<1", ExitCode.CANNOT_TELL, ExitCode.OK),
        ("abs:errors<1", ExitCode.OK, ExitCode.OK),
        ("abs:errors<1", ExitCode.FINDINGS, ExitCode.FINDINGS),
        ("abs:errors>1", ExitCode.CANNOT_TELL, ExitCode.FINDINGS),
        (None, ExitCode.CANNOT_TELL, ExitCode.CANNOT_TELL),
    ],
)
def test_what_is_required_decides_where_a_busy_machine_left_other_figures_open(
    required: str | None, measured: ExitCode, expected: ExitCode
) -> None:
    rules = [] if required is None else [conditions.parse(required, "--require")]
    trials = tuple(trial(number, "keepalive", KEEPALIVE, 1.0)[0] for number in range(1, 7))
    run = replace(RUN, trials=trials)
    assert Answers([run], Stopping(required=rules)).end_after(measured) is expected


def test_quietly_only_what_does_not_hold_is_said_each_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    rules = [conditions.parse(text, "--require") for text in ("abs:errors<1", "abs:errors>1", "abs:errors>2")]
    trials = tuple(trial(number, "keepalive", KEEPALIVE, 1.0)[0] for number in range(1, 7))
    Answers([replace(RUN, trials=trials)], Stopping(required=rules)).print_unmet()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.split(":")[0] for line in shown.err.splitlines()] == ["failed", "failed"]
