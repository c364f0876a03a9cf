"""A job survives its JSON line, and is split without remainder."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import job_rules
from bench.load.job import LoadJob, split
from bench.load.messages import RequestBuilder
from bench.load.ordinary import OrdinaryCheck
from bench.load.pacing import build_pacer
from bench.load.schedule import Phases
from bench.plan.run_plan import Load

JOB = LoadJob(
    "127.0.0.1",
    80,
    "a.example",
    paths=(("/a", 1), ("/b?c=d", 20)),
    method="PUT",
    headers=(("Accept", "*/*"),),
    body=b"\x00\xff",
    rate_end=20.0,
    arrivals="poisson",
    body_bytes=(1, 5),
    rate=10.0,
    requests=7,
    connections=5,
)


def test_a_job_survives_its_json_line() -> None:
    line = json.dumps({"command": "job", **JOB.to_json()})
    assert LoadJob.from_json(json.loads(line)) == JOB
    plain = LoadJob("::1", 80, "a")
    assert LoadJob.from_json(json.loads(json.dumps(plain.to_json()))) == plain


def test_the_rules_know_each_key_and_hold_for_a_plain_job() -> None:
    assert job_rules.JOB.keys() == {field.name for field in dataclasses.fields(LoadJob)}
    JOB.check()


def test_a_job_and_a_plan_have_the_same_defaults() -> None:
    planned = {field.name: field.default for field in dataclasses.fields(Load)}
    shared = planned.keys() - {"client_mode", "body"}
    for field in dataclasses.fields(LoadJob):
        if field.default is not dataclasses.MISSING and field.name in shared:
            assert field.default == planned[field.name], field.name


TIMES = [key for key in job_rules.JOB if key.endswith("_s")]
RATES = ["rate", "rate_end", "rate_phase"]


@pytest.mark.parametrize("key", [*TIMES, *RATES, "connections", "requests", "port", "seed"])
@pytest.mark.parametrize(
    "value",
    [math.inf, -math.inf, math.nan, 10**400, -1, "1", [], {}, True, 1j],
    ids=lambda value: repr(value)[:9],
)
def test_what_is_not_a_number_of_a_job_is_named(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{key} = .* is not a ") as caught:
        LoadJob.from_json(JOB.to_json() | {key: value})
    assert len(str(caught.value)) < 200


NUMBERS = st.integers() | st.floats() | st.integers(1, 999)
JSON_VALUES = (
    st.none() | st.booleans() | NUMBERS | st.text() | st.lists(NUMBERS | st.text() | st.lists(st.text()))
)


@given(st.sampled_from(sorted(job_rules.JOB.keys() - {"body"})), JSON_VALUES)
def test_a_value_is_refused_or_can_be_worked_with(key: str, value: object) -> None:
    values = JOB.to_json() | {key: value}
    if not job_rules.JOB[key].holds(job_rules.frozen(value)):
        with pytest.raises(ValueError, match=f"^{key} = "):
            LoadJob.from_json(values)
        return
    job = LoadJob.from_json(values)
    _, request = next(iter(RequestBuilder(job)))
    assert request.endswith(b"\r\n\r\n" + job.body)
    assert OrdinaryCheck(job).check(b"", b"0") is None
    phases = Phases(0, job.warmup_s, job.duration_s)
    assert 0 <= phases.window_start_ns <= phases.window_end_ns
    pacer = build_pacer(job, phases)
    assert pacer is None or pacer.next_due_ns >= 0


@given(st.integers(1, 50), st.integers(0, 100))
def test_the_parts_are_the_whole(workers: int, more: int) -> None:
    connections = workers + more
    parts = split(LoadJob("h", 80, "h", connections=connections, requests=more, rate=1000.0), workers)
    assert sum(part.connections for part in parts) == connections
    assert sum(part.requests or 0 for part in parts) == more
    assert abs(sum(part.rate or 0 for part in parts) - 1000) < 1e-6
    assert max(part.connections for part in parts) - min(part.connections for part in parts) <= 1
    assert [part.worker for part in parts] == list(range(workers))
    assert [part.rate_phase for part in parts] == [worker / workers for worker in range(workers)]
