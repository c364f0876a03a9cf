"""The rows of the side-by-side benchmark: their order, their verdicts and how they read."""

from __future__ import annotations

import pytest

from tests.perf import pairs, table
from tests.perf.pairs import Row, Target, paired_ratio

ROW = Row("a", "requests", "CPU us/request", None, notes=("64 opens",))


def test_each_round_starts_elsewhere_and_turns_round() -> None:
    names = ["ours", "nginx", "envoy"]
    orders = [pairs.order(names, round_) for round_ in range(6)]
    assert orders[0] == ["ours", "nginx", "envoy"]
    assert orders[1] == ["envoy", "nginx", "ours"]
    assert orders[2] == ["nginx", "envoy", "ours"]
    for place in range(3):
        assert {order[place] for order in orders} == set(names)


@pytest.mark.parametrize(
    ("target", "ours", "theirs", "met"),
    [
        (Target(1.05), [10.0] * 6, [10.0] * 6, True),
        (Target(1.05), [11.0] * 6, [10.0] * 6, False),
        (Target(1.05, "ratio_low"), [10.0] + [11.0] * 5, [10.0] * 6, True),
        (Target(1.05, "ratio_low"), [11.0] * 5, [10.0] * 5, None),
        (Target(4.0, "ours"), [3.9, 4.0, 9.0], [1.0] * 3, True),
        (Target(4.0, "ours"), [3.9, 4.1, 9.0], [1.0] * 3, False),
        (None, [1.0], [1.0], None),
    ],
)
def test_a_target_is_met_by_what_it_names(
    target: Target | None, ours: list[float], theirs: list[float], met: bool | None
) -> None:
    assert pairs.beside(ROW, "nginx", ours, theirs, target).met is met


def test_ratios_are_taken_round_by_round() -> None:
    row = pairs.beside(ROW, "nginx", [10.0, 40.0, 90.0], [10.0, 20.0, 30.0])
    assert row.ratio is not None
    assert row.ratio.center == 2.0


def test_markdown_has_a_table_a_part_with_notes_below() -> None:
    rows = [
        pairs.beside(ROW, "wrk", [8.0] * 6, [10.0] * 6, Target(1.05)),
        pairs.alone("d", "bench --help", "s", [0.25, 0.2, 1234.0], Target(0.2, "ours")),
        pairs.missing("d", "a trial", "bench run", "no namespaces here"),
    ]
    assert table.markdown(rows) == (
        "## a\n\n"
        "| what | unit | ours | other | its | ours / its | target |  |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| requests | CPU us/request | 8 (8 - 8) | wrk | 10 (10 - 10) | 0.80 (0.80 - 0.80) "
        "| ratio <= 1.05 | met |\n"
        "\n- requests: 64 opens\n\n"
        "## d\n\n"
        "| what | unit | ours | other | its | ours / its | target |  |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| bench --help | s | 0.25 (0.2 - 1,234) |  |  |  | ours <= 0.2 | NOT met |\n"
        "| a trial |  |  | bench run | missing: no namespaces here |  |  |  |\n"
        "\n- a trial: no namespaces here\n"
    )


def test_eleven_paired_rounds_give_an_interval_around_a_known_ratio() -> None:
    old = [10.0 + k for k in range(11)]
    new = [value * (1 + k / 100) for k, value in enumerate(old)]
    estimate = paired_ratio(old, new)
    assert estimate.center == pytest.approx(1.05)
    assert estimate.low == pytest.approx(1.01)
    assert estimate.high == pytest.approx(1.09)
    assert estimate.n == 11


def test_pairs_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1.0], [1.0, 2.0])
