"""Looks at trials on the way: what they spend together, and what is found of it by simulation."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import looks, stats


@given(st.integers(1, 1000))
def test_all_looks_together_spend_what_one_would(most: int) -> None:
    moments = looks.looks(most)
    assert moments[-1] == most
    assert list(moments) == sorted(set(moments))
    assert sum(looks.alpha_at(each, most) for each in moments) == pytest.approx(stats.ALPHA)
    assert all(looks.alpha_at(each, most) > 0 for each in moments)


@given(st.integers(1, 200), st.data())
def test_an_end_between_two_looks_spends_no_more(most: int, data: st.DataObject) -> None:
    """The time limit may end a run after any block: what the looks before it have spent is gone."""
    last = data.draw(st.integers(1, most))
    before = [look for look in looks.looks(most) if look < last]
    spent = sum(looks.alpha_at(each, most) for each in before) + looks.alpha_at(last, most)
    assert spent <= stats.ALPHA + 1e-12


@pytest.mark.parametrize("repeated", [False, True])
def test_looking_repeatedly_errs_as_rarely_as_once_only_with_intervals_that_are_made_for_it(
    repeated: bool,
) -> None:
    """Equal sides, looked at until an interval excludes 1: how often one does. The seed is fixed."""
    drawn, errors, runs, most = random.Random(12), 0, 400, 40
    for _ in range(runs):
        old, new = ([drawn.lognormvariate(0, 0.1) for _ in range(most)] for _ in range(2))
        for block in looks.looks(most):
            alpha = looks.alpha_at(block, most) if repeated else stats.ALPHA
            ratio = stats.ratio(old[:block], new[:block], alpha)
            if ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high:
                errors += 1
                break
    assert (errors / runs <= stats.ALPHA) is repeated
