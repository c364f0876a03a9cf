"""Due times of an open loop."""

import dataclasses
from itertools import pairwise

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.load.job import LoadJob, split
from bench.load.pacing import NEVER_NS, Pacer, RateCurve, build_pacer
from bench.load.schedule import SECOND_NS, Phases


def constant(rate: float, start_ns: int = 0, phase: float = 0.0, end_ns: int = NEVER_NS) -> Pacer:
    return Pacer(RateCurve(start_ns, rate, rate), phase, end_ns)


@pytest.mark.parametrize(
    ("now_ns", "due", "why"),
    [
        (999, [], "before the start nothing is due"),
        (1000, [1000], "the first is due at the start"),
        (1099, [1000], "the second not before its time"),
        (1100, [1000, 1100], "but then it is"),
        (1350, [1000, 1100, 1200, 1300], "a late comer finds all that wait, oldest first"),
        (9999, [1000, 1100, 1200, 1300, 1400], "and none is due at the end or after it"),
    ],
)
def test_requests_are_due_one_by_one(now_ns: int, due: list[int], why: str) -> None:
    pacer = constant(1e7, start_ns=1000, end_ns=1500)
    taken = []
    while (due_ns := pacer.take_due(now_ns)) is not None:
        taken.append(due_ns)
    assert taken == due, why
    assert pacer.taken == len(due)


def test_a_stall_moves_no_due_time() -> None:
    pacer = constant(1e6)
    assert pacer.take_due(0) == 0
    assert [pacer.take_due(5500) for _ in range(6)] == [1000, 2000, 3000, 4000, 5000, None]
    assert pacer.next_due_ns == 6000


def test_what_is_given_up_is_counted_and_never_handed_out() -> None:
    pacer = constant(1e6, end_ns=10_000)
    assert pacer.take_due(9000) == 0
    assert pacer.drop_due(3000) == 2  # those due at 1000 and 2000
    assert pacer.drop_due(3000) == 0
    assert pacer.take_due(9000) == 3000
    assert pacer.drop_due(1_000_000) == 6  # none is due at the end itself
    assert pacer.take_due(1_000_000) is None


@given(st.floats(0.5, 1e6), st.floats(0, 0.99), st.integers(0, 10**15), st.floats(0.001, 2))
def test_every_due_time_is_either_taken_or_given_up(
    rate: float, phase: float, start_ns: int, seconds: float
) -> None:
    seconds = min(seconds, 2000 / rate)
    end_ns = start_ns + int(seconds * 1e9)
    taken, dropped = (constant(rate, start_ns, phase, end_ns) for _ in range(2))
    due = []
    while (due_ns := taken.take_due(end_ns)) is not None:
        due.append(due_ns)
    assert due == sorted(due)
    assert all(start_ns <= due_ns < end_ns for due_ns in due)
    assert dropped.drop_due(end_ns + 1) == len(due)
    assert abs(len(due) - seconds * rate) <= 1 + phase + 1e-6 * rate


def test_the_phases_of_workers_interleave() -> None:
    first, second = constant(1e6), constant(1e6, phase=0.5)
    assert [first.take_due(1999), second.take_due(1999), first.take_due(1999), second.take_due(1999)] == [
        0,
        500,
        1000,
        1500,
    ]


# -- ramps


def ramp(rate: float, rate_end: float) -> RateCurve:
    """Return one second at `rate`, then ten in which it changes to `rate_end`."""
    return RateCurve(5 * SECOND_NS, rate, rate_end, 6 * SECOND_NS, 16 * SECOND_NS)


@pytest.mark.parametrize(
    ("rate", "rate_end", "at_s", "count"),
    [
        (1000, 20_000, 1, 1000),
        (1000, 20_000, 6, 1000 + 5 * (1000 + 10_500) / 2),
        (1000, 20_000, 11, 1000 + 10 * (1000 + 20_000) / 2),
        (1000, 20_000, 12, 1000 + 10 * (1000 + 20_000) / 2 + 20_000),
        (2000, 0, 6, 2000 + 5 * (2000 + 1000) / 2),
        (2000, 0, 30, 2000 + 10 * 2000 / 2),
        (0, 100, 1, 0),
        (0, 100, 6, 5 * 50 / 2),
        (300, 300, 4, 1200),
    ],
)
def test_so_many_are_due_up_to_a_moment_of_a_ramp(
    rate: float, rate_end: float, at_s: float, count: float
) -> None:
    moment_ns = 5 * SECOND_NS + at_s * SECOND_NS
    assert ramp(rate, rate_end).count(moment_ns) == pytest.approx(count)
    if 0 < count < ramp(rate, rate_end).count(1000 * SECOND_NS):
        assert ramp(rate, rate_end).due_ns(count) == pytest.approx(moment_ns)


RATES = st.just(0.0) | st.floats(1e-3, 1e6)


@given(RATES, RATES, st.floats(0, 20))
def test_a_due_time_is_the_inverse_of_the_count(rate: float, rate_end: float, at_s: float) -> None:
    curve = ramp(rate, rate_end)
    count = curve.count((5 + at_s) * SECOND_NS)
    if count > 0:
        assert curve.count(curve.due_ns(count)) == pytest.approx(count, rel=1e-6, abs=1e-6)


@given(RATES, RATES, st.floats(0, 0.99), st.integers(0, 20 * SECOND_NS))
def test_what_a_ramp_drops_is_what_it_would_have_given(
    rate: float, rate_end: float, phase: float, before_ns: int
) -> None:
    scale = max(1.0, (rate + rate_end) / 200)
    curve = ramp(rate / scale, rate_end / scale)
    taken, dropped = (Pacer(curve, phase, 16 * SECOND_NS) for _ in range(2))
    due = []
    while (due_ns := taken.take_due(before_ns - 1)) is not None:
        due.append(due_ns)
    assert due == sorted(due)
    assert dropped.drop_due(before_ns) == len(due)
    assert dropped.next_due_ns == taken.next_due_ns


# -- a Poisson process

POISSON = LoadJob(
    "h", 1, "h", rate=2000.0, arrivals="poisson", warmup_s=1.0, duration_s=10.0, connections=2, seed=7
)


def due_times(job: LoadJob) -> list[int]:
    """Return all due times of a job, in the order in which they are taken."""
    pacer = build_pacer(job, Phases(0, job.warmup_s, job.duration_s))
    assert pacer is not None
    due = []
    while (due_ns := pacer.take_due(NEVER_NS)) is not None:
        due.append(due_ns)
    return due


@pytest.mark.parametrize("workers", [1, 3])
def test_the_gaps_of_poisson_arrivals_are_exponential_and_independent(workers: int) -> None:
    due = sorted(due_ns for part in split(POISSON, workers) for due_ns in due_times(part))
    gaps = [after - before for before, after in pairwise(due)]
    assert scipy.stats.kstest(gaps, "expon", args=(0, SECOND_NS / 2000)).pvalue > 0.01
    assert abs(scipy.stats.spearmanr(gaps[1:], gaps[:-1]).statistic) < 3 / len(gaps) ** 0.5
    assert abs(len(due) - 22_000) < 3 * 22_000**0.5


def test_a_seed_decides_the_arrivals_of_each_worker() -> None:
    first, second = split(POISSON, 2)
    assert due_times(first) == due_times(split(POISSON, 2)[0])
    assert due_times(first) != due_times(second)
    assert due_times(first) != due_times(dataclasses.replace(first, seed=8))


def test_a_ramp_of_poisson_arrivals_has_its_rate_at_each_moment() -> None:
    job = dataclasses.replace(POISSON, rate=0.0, rate_end=4000.0)
    phases = Phases(0, job.warmup_s, job.duration_s)
    curve = RateCurve(0, 0.0, 4000.0, phases.window_start_ns, phases.window_end_ns)
    # Time is stretched so that the rate is 1: there each gap is exponential.
    counts = [curve.count(due_ns) for due_ns in due_times(job)]
    gaps = [after - before for before, after in pairwise(counts)]
    assert scipy.stats.kstest(gaps, "expon").pvalue > 0.01


def test_dropped_poisson_arrivals_are_those_that_were_due() -> None:
    due, pacer = due_times(POISSON), build_pacer(POISSON, Phases(0, 1.0, 10.0))
    assert pacer is not None
    assert pacer.drop_due(3 * SECOND_NS) == sum(due_ns < 3 * SECOND_NS for due_ns in due)
    assert pacer.next_due_ns == next(due_ns for due_ns in due if due_ns >= 3 * SECOND_NS)
