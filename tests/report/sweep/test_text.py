"""A sweep as text, as pictures and as a page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.report import html, style
from bench.report.sweep import page, picture, text
from bench.runs.sweep_trial import SweepTrial
from tests.made_up_sweep import CONNECTIONS, DISTURBED, POOL_IDLE, POOLS, run


def test_the_table_has_a_row_for_each_cell_and_says_what_is_before_the_cliff() -> None:
    table = text.build_table(run({POOL_IDLE: POOLS}))
    assert table.columns[:2] == ["pool-idle", "requests/s"]
    assert [row[0] for row in table.rows] == [str(each) for each in POOLS]
    assert list(table.rows[0][1:3]) == ["8,000 <", "past half"]


def test_a_cell_whose_ports_ran_out_is_named_with_what_failed() -> None:
    def spend(trial: SweepTrial) -> SweepTrial:
        if trial.cell[POOL_IDLE] != 0:
            return trial
        ports = replace(trial.ports, exhausted_s=2.5)
        return replace(trial, ports=ports, errors={"status": 70}, statuses={"502": 70})

    warnings = text.summarize_warnings(run({POOL_IDLE: POOLS}, change=spend))
    assert "pool-idle=0: no port left after 2.5 s, and 70 requests failed (status 502)" in warnings


def test_the_knee_is_named_in_words_or_why_there_is_none() -> None:
    (sentence,) = text.summarize(run({POOL_IDLE: POOLS[1:]}))
    assert "it levels off at pool-idle 16" in sentence
    assert "Kneedle" in sentence
    (few,) = text.summarize(run({POOL_IDLE: [1, 16]}))
    assert "no knee is named: 2 points are too few" in few
    (words,) = text.summarize(run({"subject.name": ["asyncio", "nginx"]}))
    assert "its values are no numbers" in words


def test_what_counts_for_nothing_is_void_everywhere_and_never_quoted() -> None:
    def void(trial: SweepTrial) -> SweepTrial:
        return replace(trial, valid=False, warnings=(DISTURBED,), requests_per_s=31_337.0)

    made = run({POOL_IDLE: POOLS}, change=void)
    shown = text.format_run(made)
    assert "31,337" not in shown
    assert "pool-idle 0 to 64: connections per 1,000 requests goes from 1,000 to 15.4" in " ".join(
        shown.split()
    )
    assert "other processes used 40% (void), and alike in 23 more of 24 trials" in shown
    written = html.render(page.build_page(made))
    assert "31,337" not in written.split("Every trial")[0]
    for axis in text.list_pictures(made).values():
        assert "31,337" not in style.render_svg(picture.draw, made, axis)


def test_cells_without_a_trial_are_told_with_the_way_to_go_on() -> None:
    made = run({POOL_IDLE: POOLS}, change=lambda each: each if each.cell[POOL_IDLE] < 32 else None)
    assert "2 cells have no trial yet; `bench sweep --resume results/s` goes on" in text.summarize_warnings(
        made
    )


def test_trials_that_do_not_count_are_told_apart_from_those_that_do_with_the_same_warning() -> None:
    noted = replace(DISTURBED, message="other processes used 12%", voids=False)
    made = run(
        {POOL_IDLE: [1, 2]},
        change=lambda each: replace(each, warnings=(noted if each.trial > 1 else DISTURBED,)),
    )
    first, others = text.summarize_warnings(made)
    assert first.startswith("other processes used 40% (void);")
    assert others.startswith("other processes used 12%, and alike in 4 more of 6 trials")


@pytest.mark.parametrize(
    ("changed", "command"),
    [
        ({}, "bench compare results/s:pool-idle=1 results/s:pool-idle=4"),
        ({"interrupted": True}, "bench sweep --resume results/s"),
        ({"grid": {POOL_IDLE: [1, 2, 4, 8]}}, "bench sweep --resume results/s"),
        ({"objective": {"require": ["errors<1"]}}, "bench report results/s"),
    ],
)
def test_the_next_command_completes_a_sweep_before_it_compares(changed: dict[str, Any], command: str) -> None:
    assert text.suggest_command(replace(run({POOL_IDLE: [1, 2, 4]}), **changed)) == command


def test_the_page_says_how_many_trials_stand_behind_it() -> None:
    def void(trial: SweepTrial) -> SweepTrial:
        return replace(trial, valid=False, warnings=(DISTURBED,)) if trial.trial == 1 else trial

    made = run({POOL_IDLE: POOLS}, change=void)
    assert page.build_page(made).certainty == (
        "23 of 24 trials count in full: 2 to 3 of each of 8 cells. Figures are medians; differences between"
        " cells are not tested."
    )
    assert page.build_page(replace(made, trials=())).certainty == ""


def test_two_axes_have_a_picture_each_and_a_heat_map() -> None:
    made = run({POOL_IDLE: POOLS, CONNECTIONS: [16, 64]})
    assert list(text.list_pictures(made)) == ["axis-pool-idle", "axis-connections", "heat-map"]
    written = html.render(page.build_page(made))
    for heading in ("The figures along pool-idle", "The figures along connections", "Both axes"):
        assert heading in written


def test_a_sweep_without_a_trial_has_a_page() -> None:
    made = run({POOL_IDLE: POOLS}, change=lambda each: None)
    assert "No trial was finished" in html.render(page.build_page(made))
