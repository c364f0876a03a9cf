"""`bench ab`: what its sides may be, and one run of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.commands import ab
from bench.errors import PlanError
from tests import bench_process


def plans_of(*sides: str, **given: object) -> list[dict[str, object]]:
    """Return the plans that sides mean, with no flag given but those of `given`."""
    flags = ab._FLAGS_ALONE.make_context("ab", []).params
    return [side.plan.to_json() for side in ab._sides(sides, {**flags, **given})]


def test_settings_are_laid_over_the_flags_that_all_sides_share() -> None:
    first, second = plans_of("subject=nginx@wheel,pool-idle=8", "connections=32,pin=false", mode="keepalive")
    assert first["subject"] == {**second["subject"], "name": "nginx", "program": "wheel", "pool_idle": 8}  # type: ignore[dict-item]
    assert second["hosts"]["pin"] is False  # type: ignore[index]
    assert (first["mode"], second["mode"]) == ("keepalive", "keepalive")


def test_commas_within_a_value_are_part_of_it() -> None:
    (first, _) = plans_of("fail=cut:50,garbage:1000,trials=3", "trials=3")
    assert first["backend"]["fail"] == "cut:50,garbage:1000"  # type: ignore[index]


def test_a_side_may_be_a_plan_or_a_run_and_flags_win_over_both(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('mode = "short"\ntrials = 9\n')
    first, second = plans_of(str(tmp_path / "a.toml"), "results/reference", trials=4)
    assert (first["mode"], first["trials"]) == ("short", 4)
    assert (second["mode"], second["trials"]) == ("both", 4)


@pytest.mark.parametrize(
    ("sides", "line"),
    [
        (("trials=3",), "trials=3: one side only; name a second one to compare it with"),
        (("a", "b"), "a: is no plan (.toml), no folder of a run, and no setting such as subject=nginx@wheel"),
        (("connections=many", "trials=3"), "connections=many: Invalid value for '--connections'"),
        (("colour=red", "trials=3"), "colour=red: No such option"),
        (("pin=yes", "trials=3"), "pin=yes: pin is true or false, not 'yes'"),
        (("lab=loopback", "lab=auto"), "the plans name different labs (auto, loopback); give --lab"),
        (("trials=3", "trials=4"), "the plans differ in their trials (a: 3, b: 4); give --trials"),
    ],
)
def test_what_is_no_side_is_told_in_one_line(sides: tuple[str, ...], line: str) -> None:
    with pytest.raises(PlanError) as raised:
        CliRunner().invoke(bench, ["ab", *sides], catch_exceptions=False, standalone_mode=False)
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)


@pytest.mark.long
def test_the_trials_of_both_sides_take_turns_in_blocks_and_are_compared(tmp_path: Path) -> None:
    flags = ("--lab", "loopback", "--mode", "keepalive", "--trials", "2", "-d", "200ms", "--warmup", "100ms")
    limits = ("--no-pin", "--require", "abs:upstream.requests_per_connection>1")
    done = bench_process.run(
        "ab", "connections=2", "connections=4", *flags, *limits, "--json", "-o", tmp_path
    )
    assert done.returncode in (1, 4), done.stderr
    answer = json.loads(done.stdout)
    blocks = [[trial["block"] for trial in run["trials"]] for run in answer["runs"]]
    assert blocks == [[1, 2], [1, 2]]
    numbers = sorted(trial["trial"] for run in answer["runs"] for trial in run["trials"])
    assert numbers == [1, 2, 3, 4]
    assert len({run["interleaved"] for run in answer["runs"]}) == 1
    (compared,) = answer["comparisons"]
    assert [side["name"] for side in compared["sides"]] == ["2 connections", "4 connections"]
    (required,) = answer["conditions"]
    assert required["verdict"] == "cannot tell"
    again = bench_process.run("compare", *(run["directory"] for run in answer["runs"]), "--json")
    assert json.loads(again.stdout)["comparisons"] == [compared]
