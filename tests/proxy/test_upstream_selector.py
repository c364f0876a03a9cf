"""Selection and ejection of upstream addresses, with the time passed in."""

import pytest

from proxy.upstream_selector import UpstreamSelector


def selector(size: int = 3, max_fails: int = 1) -> UpstreamSelector:
    return UpstreamSelector(size, max_fails=max_fails, fail_timeout_s=10.0)


def selected(upstreams: UpstreamSelector, count: int, now: float = 0.0) -> list[int]:
    return [upstreams.select(now) for _ in range(count)]


def test_round_robin() -> None:
    assert selected(selector(), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_each_other_upstream_is_tried_once_without_effect_on_the_rotation() -> None:
    upstreams = selector()
    assert upstreams.select(0.0) == 0
    assert upstreams.select_next((0,), 0.0) == 1
    assert upstreams.select_next((0, 1), 0.0) == 2
    assert upstreams.select_next((0, 1, 2), 0.0) is None
    assert upstreams.select(0.0) == 1


def test_a_failing_upstream_is_ejected() -> None:
    upstreams = selector()
    assert upstreams.report_failure(1, now=0.0)
    assert selected(upstreams, 4, now=9.9) == [0, 2, 0, 2]
    assert upstreams.select_next((0,), 9.9) == 2


def test_after_the_timeout_one_connection_tries_an_ejected_upstream() -> None:
    upstreams = selector()
    upstreams.report_failure(1, now=0.0)
    assert selected(upstreams, 4, now=10.0) == [0, 1, 2, 0], "the first of these tries it, the others skip it"
    upstreams.report_success(1)
    assert selected(upstreams, 3, now=10.0) == [1, 2, 0]


def test_a_failed_retry_ejects_the_upstream_again() -> None:
    upstreams = selector()
    upstreams.report_failure(1, now=0.0)
    assert selected(upstreams, 2, now=10.0) == [0, 1]
    assert not upstreams.report_failure(1, now=10.5), "it was ejected already"
    assert selected(upstreams, 4, now=20.4) == [2, 0, 2, 0]
    assert 1 in selected(upstreams, 3, now=20.5)


def test_all_are_tried_if_all_have_failed() -> None:
    upstreams = selector(2)
    upstreams.report_failure(0, now=0.0)
    upstreams.report_failure(1, now=0.0)
    assert selected(upstreams, 4, now=1.0) == [0, 1, 0, 1]
    assert upstreams.select_next((0,), 1.0) == 1


def test_an_ejected_upstream_is_tried_if_no_other_is_left() -> None:
    upstreams = selector(2)
    upstreams.report_failure(0, now=0.0)
    assert upstreams.select(1.0) == 1
    assert upstreams.select_next((1,), 1.0) == 0


def test_failures_count_within_the_timeout() -> None:
    upstreams = selector(2, max_fails=3)
    assert not any(upstreams.report_failure(0, now) for now in (0.0, 9.0, 11.0, 20.0)), (
        "never three within ten seconds"
    )
    assert upstreams.report_failure(0, now=20.5)
    assert selected(upstreams, 2, now=21.0) == [1, 1]


@pytest.mark.parametrize(("size", "max_fails"), [(1, 1), (2, 0)])
def test_no_ejection_of_a_single_upstream_or_without_max_fails(size: int, max_fails: int) -> None:
    upstreams = selector(size, max_fails)
    assert not upstreams.report_failure(0, now=0.0)
    assert selected(upstreams, size, now=0.0) == list(range(size))
