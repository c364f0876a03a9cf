"""broker, played small: every message reaches its consumer once, and only who polls short pulls in vain."""

from __future__ import annotations

from typing import Any

import pytest

from bench.experiment.environments import ROCKETMQ
from bench.scenarios.broker.clients import ConsumerCounts
from bench.scenarios.client.process import Go
from tests import bench_process, needs

SMALL = ("--set", "consumers=6", "--set", "messages_per_s=2", "--set", "poll_every_s=0.1",
         "--set", "warmup_s=0.3", "--set", "duration_s=1")  # fmt: skip
WAYS = ("short-poll-new", "short-poll", "long-poll", "push")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    root = tmp_path_factory.mktemp("broker")
    flags = [flag for variant in WAYS for flag in ("--variant", variant)]
    answer = bench_process.scenario("broker", *SMALL, "--subject", "direct", *flags, root=root)
    return {trial["variant"]: trial for trial in answer["trials"]}


@pytest.mark.long
@pytest.mark.parametrize("variant", WAYS)
def test_nothing_is_lost_or_doubled(trials: dict[str, dict[str, Any]], variant: str) -> None:
    figures = trials[variant]["figures"]
    assert (figures["lost"], figures["doubled"], figures["failed"]) == (0, 0, 0)
    assert trials[variant]["units"] == figures["delivered"] == figures["published"] > 0
    assert not bench_process.codes(trials[variant]) & {"witnesses-disagree", "lost", "failed"}


@pytest.mark.long
def test_only_who_polls_short_pulls_in_vain(trials: dict[str, dict[str, Any]]) -> None:
    empty = {variant: trials[variant]["figures"]["empty"] for variant in WAYS}
    assert empty["long-poll"] == empty["push"] == 0
    assert min(empty["short-poll-new"], empty["short-poll"]) > 0


@pytest.mark.long
def test_who_found_nothing_waits_before_the_next_pull(trials: dict[str, dict[str, Any]]) -> None:
    for variant in ("short-poll-new", "short-poll"):
        at_most = 6 * (trials[variant]["window_s"] / 0.1 + 1)  # each consumer, every 100 ms at the soonest
        assert trials[variant]["figures"]["empty"] <= at_most


@pytest.mark.parametrize(
    ("numbers", "lost", "doubled"),
    [([1, 2, 3], 0, 0), ([1, 4], 2, 0), ([2], 1, 0), ([1, 2, 2, 3], 0, 1), ([1, 2, 1, 2], 0, 2)],
)
def test_numbers_tell_what_was_lost_and_what_doubled(numbers: list[int], lost: int, doubled: int) -> None:
    counts = ConsumerCounts(Go(0, 1000, 2000), consumers=2)
    for number in numbers:
        counts.receive(1, f"{number} 1500")
    assert (counts.lost, counts.doubled, counts.delivered) == (lost, doubled, len(numbers) - doubled)
    assert counts.last == [0, numbers[-1]]


def test_only_what_was_published_in_the_window_counts() -> None:
    counts = ConsumerCounts(Go(0, 1000, 2000), consumers=1)
    for number, moment in enumerate((999, 1000, 1999, 2000), 1):
        counts.receive(0, f"{number} {moment}")
    assert (counts.delivered, counts.delays.total(), counts.lost) == (2, 2, 0)


@pytest.mark.long
def test_a_pull_on_new_connections_opens_one_for_each(trials: dict[str, dict[str, Any]]) -> None:
    accepted = {variant: trials[variant]["hops"]["front"]["accepted"] for variant in WAYS}
    assert accepted["short-poll-new"] > trials["short-poll-new"]["figures"]["pulls"]
    assert accepted["short-poll"] == accepted["long-poll"] == accepted["push"] == 6 + 1


@pytest.mark.long
def test_a_pull_is_held_no_longer_than_the_broker_was_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("broker")
    flags = (*SMALL, "--set", "hold_s=0.05", "--subject", "direct", "--variant", "long-poll")
    (trial,) = bench_process.scenario("broker", *flags, root=root)["trials"]
    assert (trial["figures"]["lost"], trial["figures"]["doubled"]) == (0, 0)
    assert trial["figures"]["empty"] > 0


@pytest.mark.long
@pytest.mark.parametrize("variant", ["long-poll", "push"])
def test_what_is_long_goes_through_a_proxy(variant: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("broker")
    (trial,) = bench_process.scenario(
        "broker", *SMALL, "--subject", "asyncio", "--variant", variant, root=root
    )["trials"]
    assert (trial["figures"]["lost"], trial["figures"]["doubled"]) == (0, 0)
    assert trial["hops"]["back"]["accepted"] == 6 + 1


@pytest.mark.long
@needs.unless(ROCKETMQ.is_met, ROCKETMQ.name, ROCKETMQ.remedy)
def test_rocketmq_own_clients_take_it_for_rocketmq(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("broker")
    flags = (*SMALL, "--variant", "sdk", "--subject", "direct", "--set", "real_consumers=2")
    (trial,) = bench_process.scenario("broker", *flags, root=root)["trials"]
    assert (trial["figures"]["lost"], trial["figures"]["doubled"], trial["figures"]["empty"]) == (0, 0, 0)
    assert trial["figures"]["delivered"] == trial["figures"]["published"] > 0
    assert trial["hops"]["front"]["accepted"] == 2 + 1
