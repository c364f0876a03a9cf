"""Due times, and seconds cut at the edges of the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.schedule import SECOND_NS, Pacer, Phases, Span


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
    pacer = Pacer(1000, rate=1e7, end_ns=1500)
    taken = []
    while (due_ns := pacer.take_due(now_ns)) is not None:
        taken.append(due_ns)
    assert taken == due, why
    assert pacer.taken == len(due)


def test_a_stall_moves_no_due_time() -> None:
    pacer = Pacer(0, rate=1e6)
    assert pacer.take_due(0) == 0
    assert [pacer.take_due(5500) for _ in range(6)] == [1000, 2000, 3000, 4000, 5000, None]
    assert pacer.next_due_ns == 6000


def test_what_is_given_up_is_counted_and_never_handed_out() -> None:
    pacer = Pacer(0, rate=1e6, end_ns=10_000)
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
    taken, dropped = Pacer(start_ns, rate, phase, end_ns), Pacer(start_ns, rate, phase, end_ns)
    due = []
    while (due_ns := taken.take_due(end_ns)) is not None:
        due.append(due_ns)
    assert due == sorted(due)
    assert all(start_ns <= due_ns < end_ns for due_ns in due)
    assert dropped.drop_due(end_ns + 1) == len(due)
    assert abs(len(due) - seconds * rate) <= 1 + phase + 1e-6 * rate


def test_the_phases_of_workers_interleave() -> None:
    first, second = Pacer(0, rate=1e6, phase=0.0), Pacer(0, rate=1e6, phase=0.5)
    assert [first.take_due(1999), second.take_due(1999), first.take_due(1999), second.take_due(1999)] == [
        0,
        500,
        1000,
        1500,
    ]


def spans(phases: Phases, until_s: float) -> list[tuple[int, float, float, bool]]:
    """Return the stretches from the start on, in seconds from it."""
    rows, at_ns = [], phases.start_ns
    while at_ns < phases.start_ns + until_s * SECOND_NS:
        span = phases.span(at_ns)
        assert span.start_ns == at_ns
        row = ((span.start_ns - phases.start_ns) / SECOND_NS, (span.end_ns - phases.start_ns) / SECOND_NS)
        rows.append((span.second, *row, span.in_window))
        at_ns = span.end_ns
    return rows


@pytest.mark.parametrize(
    ("warmup_s", "duration_s", "until_s", "rows"),
    [
        (1, 2, 4, [(0, 0, 1, False), (1, 1, 2, True), (2, 2, 3, True), (3, 3, 4, False)]),
        (0, 1, 2, [(0, 0, 1, True), (1, 1, 2, False)]),
        (0.5, 1, 2, [(0, 0, 0.5, False), (0, 0.5, 1, True), (1, 1, 1.5, True), (1, 1.5, 2, False)]),
        (0.25, 0.5, 1, [(0, 0, 0.25, False), (0, 0.25, 0.75, True), (0, 0.75, 1, False)]),
    ],
)
def test_no_stretch_lies_on_both_sides_of_an_edge(
    warmup_s: float, duration_s: float, until_s: float, rows: list[tuple[int, float, float, bool]]
) -> None:
    assert spans(Phases(7 * SECOND_NS, warmup_s, duration_s), until_s) == rows


def test_a_window_that_is_ended_early_ends_there() -> None:
    phases = Phases(0, 1, 10)
    phases.end_window(3 * SECOND_NS // 2)
    assert phases.span(SECOND_NS) == Span(1, SECOND_NS, 3 * SECOND_NS // 2, True)
    assert phases.span(3 * SECOND_NS // 2) == Span(1, 3 * SECOND_NS // 2, 2 * SECOND_NS, False)


def test_a_window_that_is_ended_in_the_warm_up_has_no_length() -> None:
    phases = Phases(0, 1, 10)
    phases.end_window(SECOND_NS // 2)
    assert phases.window_start_ns == phases.window_end_ns == SECOND_NS // 2
    assert not phases.span(SECOND_NS // 2).in_window


def test_the_end_of_a_window_cannot_be_put_off() -> None:
    phases = Phases(0, 1, 1)
    phases.end_window(9 * SECOND_NS)
    assert phases.window_end_ns == 2 * SECOND_NS
