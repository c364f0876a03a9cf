"""The highest rate that holds, from answers that are wrong now and then."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from bench.analysis.rate_search import Reply, SearchOutcome, SearchRange, Threshold, assess

WHERE = SearchRange(100.0, 100_000.0, 0.2, 60)


def search(
    holds: Callable[[float], bool | None], where: SearchRange = WHERE
) -> tuple[Threshold, list[Reply]]:
    """Return what a search found, and all that it tried."""
    replies: list[Reply] = []
    while (rate := assess(replies, where).next_rate) is not None:
        replies.append(Reply(rate, holds(rate)))
    return assess(replies, where), replies


def noisy(threshold: float, spread: float, seed: int) -> Callable[[float], bool]:
    chance = random.Random(seed)
    return lambda rate: rate * math.exp(chance.gauss(0, spread)) < threshold


@pytest.mark.parametrize("threshold", [150.0, 14_000.0, 80_000.0])
def test_the_interval_holds_the_threshold_and_is_as_narrow_as_asked(threshold: float) -> None:
    found, tried = search(lambda rate: rate < threshold)
    assert found.outcome is SearchOutcome.FOUND
    assert found.low is not None
    assert found.high is not None
    assert found.low <= threshold <= found.high
    assert found.high / found.low <= 1.2
    assert len(tried) <= 40


def test_noise_costs_trials_but_not_the_truth() -> None:
    found = [search(noisy(14_000, 0.05, seed))[0] for seed in range(6)]
    inside = [each for each in found if each.low and each.high and each.low <= 14_000 <= each.high]
    assert len(inside) >= 5


def test_what_never_holds_is_named_after_the_lowest_rate() -> None:
    found, tried = search(lambda rate: False)
    assert (found.outcome, found.rate, len(tried)) == (SearchOutcome.NEVER, None, 2)


def test_what_always_holds_is_named_after_the_highest_rate() -> None:
    found, tried = search(lambda rate: True)
    assert (found.outcome, found.rate, found.low) == (SearchOutcome.ALWAYS, None, 100_000.0)
    assert [reply.rate for reply in tried][-2:] == [100_000.0] * 2


def test_one_wrong_answer_at_an_end_settles_nothing() -> None:
    first = iter([False])
    found, _ = search(lambda rate: next(first, rate < 5_000))
    assert found.outcome is SearchOutcome.FOUND


def test_trials_that_do_not_count_end_it_without_an_answer() -> None:
    found, tried = search(lambda rate: None)
    assert (found.outcome, found.rate, found.low, len(tried)) == (SearchOutcome.CANNOT_TELL, None, None, 4)


def test_too_few_trials_give_an_interval_and_no_claim() -> None:
    found, tried = search(lambda rate: rate < 14_000, SearchRange(100.0, 100_000.0, 0.01, 12))
    assert (found.outcome, len(tried)) == (SearchOutcome.CANNOT_TELL, 12)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 14_000 <= found.high
