"""Trials and runs as JSON and back."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plan.convert import ConvertError, convert
from bench.runs.record import Percentiles, SecondOpinion, Trial, TrialWarning
from tests.synthetic import KEEPALIVE, SHORT_NARROW, trial

TRIAL = trial(1, "short", SHORT_NARROW)[0]
text = st.text(max_size=20)
counts = st.integers(0, (1 << 63) - 1)
times = st.none() | st.floats(0, 1e6)
percentiles = st.builds(Percentiles, times, times, times, times, times)
opinions = st.builds(SecondOpinion, text, counts, counts, st.floats(0, 1e6), times, percentiles)
trials = st.builds(
    lambda number, flags, warnings, latency, service, cpu, opinion: dataclasses.replace(
        TRIAL, trial=number, valid=flags[0], interrupted=flags[1], warnings=tuple(warnings),
        latency_ms=latency, service_ms=service, cpu_us_per_request=cpu, second_opinion=opinion,
    ),
    st.integers(1, 1000), st.tuples(st.booleans(), st.booleans()),
    st.lists(st.builds(TrialWarning, text, text, text, st.booleans()), max_size=3),
    percentiles, st.none() | percentiles, st.dictionaries(text, times, max_size=3),
    st.none() | opinions,
)  # fmt: skip


@given(trials)
def test_a_trial_comes_back_from_a_line_of_json(made: Trial) -> None:
    assert convert(json.loads(json.dumps(made.to_json())), Trial, "trial") == made


def test_a_trial_has_the_keys_of_the_format() -> None:
    values = trial(2, "keepalive", KEEPALIVE)[0].to_json()
    assert set(values) >= {
        "trial", "mode", "closes_first", "subject", "lab", "valid", "interrupted", "warnings", "warmup_s",
        "duration_s", "requests", "errors", "requests_per_s", "latency_ms", "connect_ms", "upstream",
        "time_wait", "ports", "cpu_us_per_request", "memory_mib",
    }  # fmt: skip
    assert set(values["latency_ms"]) == {"p50", "p90", "p99", "p99_9", "max"}
    assert set(values["upstream"]["errors"]) == {"address_exhausted", "refused", "reset", "timeout"}
    assert set(values["time_wait"]["proxy"]) == {"peak", "end"}


def test_keys_of_a_later_bench_are_left_out() -> None:
    assert convert({**TRIAL.to_json(), "phase_of_the_moon": "full"}, Trial, "trial") == TRIAL


@pytest.mark.parametrize(
    "broken", [{}, {"trial": 1}, {**TRIAL.to_json(), "subject": {}}, {**TRIAL.to_json(), "ports": 3}]
)
def test_a_damaged_trial_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ConvertError):
        convert(broken, Trial, "trial")


def test_only_witnesses_that_exist_are_counted() -> None:
    loopback = trial(1, "short", SHORT_NARROW, lab="loopback")[0]
    assert set(loopback.upstream.witnesses.counts()) == {"backend", "subject"}
    assert set(TRIAL.upstream.witnesses.counts()) == {"backend", "kernel", "subject"}
