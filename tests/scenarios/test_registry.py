"""registry, played small: every change is seen by who follows, over the connections of the way."""

from __future__ import annotations

import asyncio
import itertools
import resource
from time import monotonic_ns
from typing import Any

import pytest

from bench.experiment.environments import NACOS
from bench.plan import run_plan
from bench.plan.scenario_plan import Case
from bench.scenarios.client.process import Go
from bench.scenarios.registry.changes import ChangeTracker, InstanceChange
from bench.scenarios.registry.definition import lab_request, refuse
from bench.scenarios.registry.fleet import Fleet, InstanceName, RegistryCounts, RegistryJob
from bench.scenarios.registry.settings import RegistrySettings, plan_steps
from bench.scenarios.registry.timer_wheel import TimerWheel
from tests import bench_process, needs

SMALL = ("--set", "instances=40", "--set", "subscribers=4", "--set", "changes=2", "--set", "beat_every_s=0.4",
         "--set", "expire_s=1.2", "--set", "poll_every_s=0.3", "--set", "duration_s=1",
         "--set", "addresses=2")  # fmt: skip
WAYS = ("http-short", "http-kept", "stream")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    root = tmp_path_factory.mktemp("registry")
    flags = [flag for variant in WAYS for flag in ("--variant", variant)]
    answer = bench_process.scenario("registry", *SMALL, "--subject", "direct", *flags, root=root)
    return {trial["variant"]: trial for trial in answer["trials"]}


@pytest.mark.long
@pytest.mark.parametrize("variant", WAYS)
def test_every_change_is_seen_and_every_beat_answered(
    trials: dict[str, dict[str, Any]], variant: str
) -> None:
    figures = trials[variant]["figures"]
    assert (figures["unseen"], figures["failed"], figures["changes"]) == (0, 0, 4)
    assert trials[variant]["units"] == figures["beats"] > 0
    assert not bench_process.codes(trials[variant]) & {"witnesses-disagree", "unseen", "failed"}


@pytest.mark.long
def test_a_beat_on_new_connections_opens_one_for_each(trials: dict[str, dict[str, Any]]) -> None:
    accepted = {variant: trials[variant]["hops"]["front"]["accepted"] for variant in WAYS}
    assert accepted["http-short"] > trials["http-short"]["figures"]["beats"]
    assert accepted["http-kept"] == accepted["stream"] == 40 + 2 + 4


@pytest.mark.long
def test_only_who_is_told_knows_before_the_beats_stay_out(trials: dict[str, dict[str, Any]]) -> None:
    died = {variant: trials[variant]["times_ms"]["death_known"]["p50"] for variant in WAYS}
    assert died["stream"] < min(died["http-short"], died["http-kept"])


@pytest.mark.long
def test_a_stream_goes_through_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("registry")
    flags = (*SMALL, "--subject", "asyncio", "--variant", "stream")
    (trial,) = bench_process.scenario("registry", *flags, root=root)["trials"]
    assert trial["figures"]["unseen"] == 0
    assert trial["hops"]["back"]["accepted"] == 40 + 2 + 4


def test_the_instances_come_in_steps_up_to_all_of_them() -> None:
    planned = plan_steps(RegistrySettings())
    assert [step.instances for step in planned] == [100, 316, 1000, 3162, 10_000]
    assert all(step.joins_s < step.steady_s for step in planned)
    for step, later in itertools.pairwise(planned):
        assert later.joins_s - step.steady_s == pytest.approx(5.0)
    assert [step.instances for step in plan_steps(RegistrySettings(instances=30))] == [30]


@pytest.mark.parametrize(
    ("variant", "subject", "addresses"),
    [
        ("http-short", "direct", (8, 1)),
        ("http-short", "nginx", (8, 8)),
        ("http-short", "caddy", (8, 1)),
        ("stream", "nginx", (1, 1)),
    ],
)
def test_only_what_takes_a_port_for_each_beat_asks_for_addresses(
    variant: str, subject: str, addresses: tuple[int, int]
) -> None:
    asked = lab_request(Case(variant, run_plan.Subject(name=subject)), RegistrySettings())
    assert (asked.client_addresses, asked.proxy_addresses) == addresses


@pytest.mark.parametrize(
    ("variant", "subject", "workers", "remedy"),
    [
        ("stream", "direct", 1, None),
        ("http-kept", "envoy", 1, None),
        ("http-kept", "haproxy", 1, "or lower settings.instances = 10000"),
        ("stream", "haproxy", 1, "or lower settings.instances = 10000"),
        ("stream", "haproxy", 2, "or lower settings.instances = 10000"),
        (
            "stream",
            "nginx",
            1,
            "give it workers (settings.proxy_workers) or lower settings.instances = 10000",
        ),
        ("stream", "nginx", 2, None),
    ],
)
def test_what_a_proxy_may_not_have_the_files_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, variant: str, subject: str, workers: int, remedy: str | None
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 20_000))
    said = refuse(Case(variant, run_plan.Subject(name=subject)), RegistrySettings(proxy_workers=workers))
    assert (said is None) == (remedy is None)
    if said is not None and remedy is not None:
        assert said.endswith(remedy)


def test_what_stands_on_a_wheel_is_due_once_a_turn() -> None:
    wheel: TimerWheel[str] = TimerWheel(every_ns=1000, start_ns=0)
    wheel.add("a", 5)
    wheel.add("b", 700)
    assert list(wheel.due(6)) == ["a"]
    assert list(wheel.due(1000)) == ["b"]
    assert list(wheel.due(1005)) == []
    assert list(wheel.due(1006)) == ["a"]
    wheel.remove("a")
    assert list(wheel.due(2500)) == ["b"]


class Beating:
    """An instance whose beats are answered by nobody; they fail when it dies, or when the test says so."""

    def __init__(self) -> None:
        self.waiting: asyncio.Future[None] | None = None
        self.has_failed = False

    async def join(self) -> None:
        """Is taken."""

    async def beat(self) -> None:
        self.waiting = asyncio.get_running_loop().create_future()
        try:
            await self.waiting
        except ConnectionError:
            self.has_failed = True
            raise

    def die(self) -> None:
        assert self.waiting is not None
        self.waiting.set_exception(ConnectionError("ended before the response did"))


async def test_who_dies_in_the_middle_of_a_beat_failed_at_nothing() -> None:
    beating, counts = list[Beating](), RegistryCounts(Go(monotonic_ns(), 0))
    job = RegistryJob(
        variant="http-kept", address="a:1", sources=[], steps=[[0, 2]], joins_per_s=1000.0, beat_every_s=0.01,
        instances_per_service=1, subscribers=1, poll_every_s=1.0, changes=1, changes_s=0.0, patience_s=1.0,
        server_closes=False,
    )  # fmt: skip

    def make(name: InstanceName, number: int) -> Beating:
        beating.append(Beating())
        return beating[-1]

    fleet = Fleet(job, counts, make)
    living = asyncio.ensure_future(fleet.run())
    while len(beating) < 2 or None in (each.waiting for each in beating):
        await asyncio.sleep(0)
    await fleet.change()
    beating[1].die()  # by itself: its connection is lost
    while not all(each.has_failed for each in beating[:2]):
        await asyncio.sleep(0)
    living.cancel()
    await fleet.stop()
    assert counts.errors == {"reset": 1}


class Stuck(Beating):
    """An instance whose beats do not even end when it dies."""

    has_joined = False

    async def join(self) -> None:
        self.has_joined = True

    def die(self) -> None:
        """Leave the beat unanswered."""


async def test_an_instance_that_dies_before_its_beat_begins_does_not_beat() -> None:
    count = 300  # more than may beat at the same time
    stuck, counts = list[Stuck](), RegistryCounts(Go(monotonic_ns(), 0))
    job = RegistryJob(
        variant="http-kept", address="a:1", sources=[], steps=[[0, count]], joins_per_s=1e9,
        beat_every_s=0.01, instances_per_service=1, subscribers=count, poll_every_s=1.0, changes=count,
        changes_s=0.0, patience_s=1.0, server_closes=False,
    )  # fmt: skip

    def make(name: InstanceName, number: int) -> Stuck:
        stuck.append(Stuck())
        return stuck[-1]

    fleet = Fleet(job, counts, make)
    living = asyncio.ensure_future(fleet.run())
    while counts.late < 2 * count:  # so that each beat was due at least once
        await asyncio.sleep(0)
    living.cancel()
    await fleet.change()  # all die, and as many come
    beats = [each.waiting for each in stuck if each.waiting is not None]
    assert (len(stuck), len(beats)) == (2 * count, 256)
    for beat in beats:
        beat.set_exception(ConnectionError("ended before the response did"))
    while not stuck[-1].has_joined:
        await asyncio.sleep(0)
    await fleet.stop()
    assert [each.waiting for each in stuck if each.waiting is not None] == beats


def test_turns_that_were_missed_are_not_made_up_for() -> None:
    wheel: TimerWheel[str] = TimerWheel(every_ns=1000, start_ns=0)
    wheel.add("a", 5)
    assert list(wheel.due(9000)) == ["a"]


def test_a_change_is_seen_once_by_each_who_follows() -> None:
    tracker, seen = ChangeTracker(), list[InstanceChange]()
    came, went = InstanceChange(("h", 1), True, 0), InstanceChange(("h", 2), False, 0)
    for who in (0, 1):
        tracker.follow(who, "s")
    tracker.add("s", came)
    tracker.add("s", went)
    tracker.add("nobody follows this", came)
    tracker.compare(0, "s", {("h", 2)}, seen.append)
    assert (seen, tracker.unseen) == ([], 4)
    for _ in range(2):
        tracker.compare(0, "s", {("h", 1)}, seen.append)
    assert (seen, tracker.unseen) == ([came, went], 2)
    tracker.compare(1, "s", {("h", 1), ("h", 2)}, seen.append)
    assert tracker.unseen == 1


@pytest.mark.long
@needs.unless(NACOS.is_met, NACOS.name, NACOS.remedy)
def test_nacos_own_clients_take_it_for_nacos(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("registry")
    flags = ("--variant", "sdk-1", "--variant", "sdk-2", "--subject", "direct", "--set", "real_instances=3")
    trials = bench_process.scenario("registry", *SMALL, *flags, "--set", "beat_every_s=1", root=root)[
        "trials"
    ]
    accepted = {trial["variant"]: trial["hops"]["front"]["accepted"] for trial in trials}
    assert [trial["figures"]["unseen"] for trial in trials] == [0, 0]
    assert accepted["sdk-2"] == 2 + 3 + 2
    assert accepted["sdk-1"] > trials[0]["figures"]["beats"] > 0
