"""What a command says of the rules by which its run ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

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
