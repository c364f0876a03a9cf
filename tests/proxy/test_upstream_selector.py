"""Whose turn it is, and who is left out, with the time passed in."""

import pytest

from proxy.upstream_selector import UpstreamSelector


def rotation(size: int = 3, max_fails: int = 1) -> UpstreamSelector:
    return UpstreamSelector(size, max_fails=max_fails, fail_timeout_s=10.0)


def turns(found: UpstreamSelector, count: int, now: float = 0.0) -> list[int]:
    return [found.select(now) for _ in range(count)]


def test_each_in_turn() -> None:
    assert turns(rotation(), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_another_is_asked_once_each_and_the_turns_do_not_mind() -> None:
    found = rotation()
    assert found.select(0.0) == 0
    assert found.select_next((0,), 0.0) == 1
    assert found.select_next((0, 1), 0.0) == 2
    assert found.select_next((0, 1, 2), 0.0) is None
    assert found.select(0.0) == 1


def test_who_fails_is_left_out_for_a_while() -> None:
    found = rotation()
    assert found.report_failure(1, now=0.0)
    assert turns(found, 4, now=9.9) == [0, 2, 0, 2]
    assert found.select_next((0,), 9.9) == 2


def test_then_one_connection_tries_it() -> None:
    found = rotation()
    found.report_failure(1, now=0.0)
    assert turns(found, 4, now=10.0) == [0, 1, 2, 0], "the first of these tries, the others go on without"
    found.report_success(1)
    assert turns(found, 3, now=10.0) == [1, 2, 0]


def test_and_leaves_it_out_again_where_that_fails() -> None:
    found = rotation()
    found.report_failure(1, now=0.0)
    assert turns(found, 2, now=10.0) == [0, 1]
    assert not found.report_failure(1, now=10.5), "it was out already"
    assert turns(found, 4, now=20.4) == [2, 0, 2, 0]
    assert 1 in turns(found, 3, now=20.5)


def test_all_are_asked_where_all_have_failed() -> None:
    found = rotation(2)
    found.report_failure(0, now=0.0)
    found.report_failure(1, now=0.0)
    assert turns(found, 4, now=1.0) == [0, 1, 0, 1]
    assert found.select_next((0,), 1.0) == 1


def test_who_is_left_out_is_asked_when_no_other_is_left() -> None:
    found = rotation(2)
    found.report_failure(0, now=0.0)
    assert found.select(1.0) == 1
    assert found.select_next((1,), 1.0) == 0


def test_failures_count_within_a_while() -> None:
    found = rotation(2, max_fails=3)
    assert not any(found.report_failure(0, now) for now in (0.0, 9.0, 11.0, 20.0)), (
        "never three within ten seconds"
    )
    assert found.report_failure(0, now=20.5)
    assert turns(found, 2, now=21.0) == [1, 1]


@pytest.mark.parametrize(("size", "max_fails"), [(1, 1), (2, 0)])
def test_nobody_is_left_out_without_another_or_when_told_so(size: int, max_fails: int) -> None:
    found = rotation(size, max_fails)
    assert not found.report_failure(0, now=0.0)
    assert turns(found, size, now=0.0) == list(range(size))
