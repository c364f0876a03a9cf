"""push, played small: every message reaches every subscriber once, over the connections of the way."""

from __future__ import annotations

from typing import Any

import pytest

import bench_process

SMALL = ("--set", "subscribers=5", "--set", "messages_per_s=10", "--set", "poll_every_s=0.2",
         "--set", "warmup_s=0.3", "--set", "duration_s=1")  # fmt: skip


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    answer = bench_process.scenario(
        "push", *SMALL, "--subject", "direct", root=tmp_path_factory.mktemp("push")
    )
    return {(trial["way"], trial["subject"]["name"]): trial for trial in answer["trials"]}


@pytest.mark.parametrize("way", ["short-poll-new", "short-poll", "long-poll", "sse", "websocket"])
def test_nothing_is_lost_or_doubled(trials: dict[tuple[str, str], dict[str, Any]], way: str) -> None:
    trial = trials[way, "direct"]
    figures = trial["figures"]
    assert (figures["lost"], figures["doubled"]) == (0, 0)
    assert figures["delivered"] == 5 * figures["published"] > 0
    assert trial["units"] == figures["delivered"]
    assert not [caution for caution in trial["cautions"] if caution["code"] == "witnesses-disagree"]


def test_a_poll_on_new_connections_opens_one_for_each_request(
    trials: dict[tuple[str, str], dict[str, Any]],
) -> None:
    new, kept = trials["short-poll-new", "direct"], trials["short-poll", "direct"]
    assert new["hops"]["front"]["accepted"] > new["figures"]["requests"] > 0
    assert kept["hops"]["front"]["accepted"] <= 5 + 2


def test_what_is_pushed_needs_no_requests(trials: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert (
        trials["sse", "direct"]["figures"]["requests"]
        == trials["websocket", "direct"]["figures"]["requests"]
        == 0
    )
    assert trials["sse", "direct"]["hops"]["front"]["accepted"] == 5 + 1
