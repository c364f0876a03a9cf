"""The constant rate: each row says what is due at a moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.pace import Pacer


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
    while (due_ns := pacer.take(now_ns)) is not None:
        taken.append(due_ns)
    assert taken == due, why
    assert pacer.taken == len(due)


def test_a_stall_moves_no_due_time() -> None:
    pacer = Pacer(0, rate=1e6)
    assert pacer.take(0) == 0
    assert [pacer.take(5500) for _ in range(6)] == [1000, 2000, 3000, 4000, 5000, None]
    assert pacer.next_due_ns == 6000


def test_what_is_given_up_is_counted_and_never_handed_out() -> None:
    pacer = Pacer(0, rate=1e6, end_ns=10_000)
    assert pacer.take(9000) == 0
    assert pacer.give_up(3000) == 2  # those due at 1000 and 2000
    assert pacer.give_up(3000) == 0
    assert pacer.take(9000) == 3000
    assert pacer.give_up(1_000_000) == 6  # none is due at the end itself
    assert pacer.take(1_000_000) is None


@given(st.floats(0.5, 1e6), st.floats(0, 0.99), st.integers(0, 10**15), st.floats(0.001, 2))
def test_every_due_time_is_either_taken_or_given_up(
    rate: float, phase: float, start_ns: int, seconds: float
) -> None:
    seconds = min(seconds, 2000 / rate)
    end_ns = start_ns + int(seconds * 1e9)
    taken, dropped = Pacer(start_ns, rate, phase, end_ns), Pacer(start_ns, rate, phase, end_ns)
    due = []
    while (due_ns := taken.take(end_ns)) is not None:
        due.append(due_ns)
    assert due == sorted(due)
    assert all(start_ns <= due_ns < end_ns for due_ns in due)
    assert dropped.give_up(end_ns + 1) == len(due)
    assert abs(len(due) - seconds * rate) <= 1 + phase + 1e-6 * rate


def test_the_phases_of_workers_interleave() -> None:
    first, second = Pacer(0, rate=1e6, phase=0.0), Pacer(0, rate=1e6, phase=0.5)
    assert [first.take(1999), second.take(1999), first.take(1999), second.take(1999)] == [0, 500, 1000, 1500]
