"""What may be said of a trial, of a case and of a run: nothing void, and no average over a cliff."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import claims, cliff, metrics
from bench.analysis.claims import RunVerdict, Standing
from bench.analysis.metrics import Metric
from bench.errors import ExitCode
from bench.runs.ports_record import Ports
from bench.runs.record import Percentiles, Run, ScenarioTrial, SubjectRecord, Trial, TrialWarning
from tests import synthetic

RATE, CPU, OPENED = (
    metrics.named(key)
    for key in ("requests_per_s", "cpu_us_per_request.proxy", "upstream.connections_opened")
)
CLIFF = Ports(range=100, tuples=100, half_range_passed_s=1.0, rate_before=9.0, rate_after=1.0)


def trial(*codes: str, mode: str = "short", interrupted: bool = False, ports: Ports | None = None) -> Trial:
    """Return a trial that warnings with these codes void."""
    return Trial(
        trial=1,
        mode=mode,
        closes_first=None,
        subject=SubjectRecord("a", "1"),
        lab="namespaces",
        valid=not codes,
        interrupted=interrupted,
        warnings=tuple(TrialWarning(code, "seen", voids=True) for code in codes),
        requests_per_s=5.0,
        cpu_us_per_request={"proxy": 20.0},
        ports=ports or Ports(),
    )


@pytest.mark.parametrize(
    ("made", "rate", "cpu"),
    [
        (trial(), Standing.COUNTS, Standing.COUNTS),
        (trial("generator-saturated"), Standing.VOID, Standing.COUNTS),
        (trial("machine-shared"), Standing.VOID, Standing.COUNTS),
        (trial("generator-saturated", "mode-not-short"), Standing.VOID, Standing.VOID),
        (trial("no-traffic"), Standing.VOID, Standing.VOID),
        (trial(interrupted=True), Standing.VOID, Standing.VOID),
        (replace(trial(), valid=False), Standing.VOID, Standing.VOID),
        (trial(ports=CLIFF), Standing.MIXED, Standing.MIXED),
        (trial(ports=replace(CLIFF, rate_after=None)), Standing.COUNTS, Standing.COUNTS),
    ],
)
def test_a_figure_counts_or_is_void_or_is_an_average_over_the_cliff(
    made: Trial, rate: Standing, cpu: Standing
) -> None:
    assert [claims.sample([made], metric).standing for metric in (RATE, CPU)] == [rate, cpu]
    for metric in (RATE, CPU):
        sample = claims.sample([made], metric)
        assert bool(sample.quoted) == (sample.standing is Standing.COUNTS)
        assert sample.values, "what does not count is still there to be drawn as such"


def test_the_rate_before_the_cliff_is_the_whole_rate_of_trials_that_did_not_meet_it() -> None:
    """As in a comparison: else a title would be of some trials, and the table below it of all."""
    before = metrics.named("ports.rate_before")
    assert claims.sample([trial(ports=CLIFF), trial()], before).values == (9.0, 5.0)
    assert claims.sample([trial(), trial()], before).standing is Standing.MISSING


def test_a_window_without_a_response_voids_rates_but_not_what_became_of_the_ports() -> None:
    made = trial("empty-window", ports=CLIFF)
    keys = ("requests_per_s", "ports.rate_before", "ports.half_range_passed_s", "ports.used_peak")
    standings = [claims.sample([made], metrics.named(key)).standing for key in keys]
    assert standings == [Standing.VOID, Standing.COUNTS, Standing.COUNTS, Standing.COUNTS]


def test_void_trials_are_left_out_where_others_count() -> None:
    sample = claims.sample([trial("machine-shared"), replace(trial(), requests_per_s=7.0)], RATE)
    assert (sample.standing, sample.values, sample.median) == (Standing.COUNTS, (7.0,), 7.0)
    unmeasured = claims.sample([trial()], metrics.named("cpu_us_per_request.client"))
    assert (unmeasured.standing, unmeasured.median) == (Standing.MISSING, None)


@pytest.mark.parametrize(
    ("trials", "verdict", "code"),
    [
        ([trial(), trial()], RunVerdict.VALID, ExitCode.OK),
        ([trial(), trial(interrupted=True)], RunVerdict.VALID, ExitCode.OK),
        ([trial(), trial("machine-shared")], RunVerdict.LEFT_OUT, ExitCode.OK),
        (
            [trial("machine-shared"), trial(mode="keepalive")],
            RunVerdict.TOO_BUSY,
            ExitCode.CANNOT_TELL,
        ),
        ([trial(), trial("mode-not-short")], RunVerdict.INVALID, ExitCode.FINDINGS),
        ([trial("machine-shared"), trial("generator-saturated")], RunVerdict.INVALID, ExitCode.FINDINGS),
        ([trial(interrupted=True)], RunVerdict.EMPTY, ExitCode.FINDINGS),
        ([], RunVerdict.EMPTY, ExitCode.FINDINGS),
    ],
)
def test_a_run_amounts_to_what_its_cases_do(trials: list[Trial], verdict: RunVerdict, code: ExitCode) -> None:
    run = Run({}, {}, "now", tuple(trials))
    assert (claims.judge(run), claims.exit_code([run])) == (verdict, code)


def test_of_several_runs_the_gravest_decides() -> None:
    fine, busy, wrong = (
        Run({}, {}, "now", (made,)) for made in (trial(), trial("machine-shared"), trial("no-traffic"))
    )
    assert claims.exit_code([fine, busy]) is ExitCode.CANNOT_TELL
    assert claims.exit_code([busy, wrong, fine]) is ExitCode.FINDINGS
    assert claims.exit_code([]) is ExitCode.FINDINGS


def test_the_causes_are_named_the_most_common_one_first() -> None:
    trials = [trial("no-traffic"), trial("machine-shared"), trial("machine-shared"), trial("new-one")]
    assert claims.explain(trials) == (
        "others used the machine and no request reached the backend and the warning `new-one` voids it"
    )


def test_a_trial_of_a_scenario_over_the_cliff_has_no_rate_and_no_cost() -> None:
    cliff = TrialWarning("port-cliff", "half of the ports were used", "shorter")
    subject = SubjectRecord("nginx", "1")
    figures: dict[str, float | int | None] = {"requests_per_s": 9.0, "cores": 0.5, "full": 3}
    made = ScenarioTrial(
        trial=1, subject=subject, lab="namespaces", variant="plain-new", figures=figures, warnings=(cliff,),
        cpu_us_per_unit={"proxy": 7.0}, bytes_per_unit={"back": 5.0},
        times_ms={"beat": Percentiles(1.0, None, None, None, None)},
    )  # fmt: skip
    expected = {
        "figures.requests_per_s": Standing.MIXED,
        "figures.cores": Standing.MIXED,
        "cpu_us_per_unit.proxy": Standing.MIXED,
        "times_ms.beat.p50": Standing.MIXED,
        "figures.full": Standing.COUNTS,
        "bytes_per_unit.back": Standing.COUNTS,
    }
    assert {key: claims.sample([made], Metric(key, "")).standing for key in expected} == expected
    assert claims.counts(made), "it is no fault of the trial"


def test_what_a_comparison_refuses_over_the_cliff_is_mixed_in_every_output() -> None:
    crossed = [synthetic.trial(number, "short", synthetic.SHORT)[0] for number in (1, 2)]
    for metric in metrics.METRICS:
        found = claims.sample(crossed, metric)
        is_refused = cliff.metric_instead(metric, crossed) is not None and found.values
        is_count = metric.key in ("late", "never_started")
        assert (found.standing is Standing.MIXED) is bool(is_refused and not is_count), metric.key
    assert claims.sample(crossed, metrics.named("latency_ms.p50")).standing is Standing.MIXED
    assert claims.sample(crossed, metrics.named("latency_ms.p99_9")).median is None
