"""The order of trials: every item once a round, and every other round backwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.experiment.recorder import interleave, numbered


def test_every_other_round_is_reversed() -> None:
    assert list(interleave("ab", 3)) == ["a", "b", "b", "a", "a", "b"]


def test_trials_are_numbered_from_one() -> None:
    assert list(numbered(["short", "keepalive"], 1)) == [(1, "short"), (2, "keepalive")]


@given(st.lists(st.integers(), unique=True), st.integers(0, 9))
def test_each_round_has_every_item_once(items: list[int], rounds: int) -> None:
    order = list(interleave(items, rounds))
    assert len(order) == len(items) * rounds
    for number in range(rounds):
        assert set(order[number * len(items) : (number + 1) * len(items)]) == set(items)
