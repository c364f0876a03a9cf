"""chat, played small: everybody hears everything once and in order, whatever happens to the proxy."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.cases import Summary
from bench.errors import PlanError
from bench.experiment.definition import Figures
from bench.runs.record import ScenarioRun
from bench.scenarios.chat.clients import assign_rooms
from bench.scenarios.chat.definition import SCENARIO
from bench.scenarios.chat.member import RoomReceiver, RoomSender
from bench.scenarios.chat.settings import ChatSettings
from tests import bench_process, needs
from tests.scenarios import fake_testbed, sample_scenario
from tests.scenarios.fake_testbed import FakeTestbed, S

SMALL = ("--set", "rooms=6", "--set", "agents=3", "--set", "send_every_s=0.2", "--set", "warmup_s=0.5",
         "--set", "duration_s=1.5", "--set", "fault_at_s=0.4")  # fmt: skip
WAYS = {variant.name for variant in SCENARIO.variants}
NOTHING_WRONG = {"lost": 0, "doubled": 0, "out_of_order": 0}


def play(root: Path, subject: str, *asked: str) -> dict[str, dict[str, Any]]:
    """Run chat behind one subject, ways first and flags after them; return its trials by way."""
    if subject not in ("asyncio", "direct"):
        needs.need(subject)
    variants = [each for each in asked if each in WAYS]
    flags = [*asked[len(variants) :], *(flag for variant in variants for flag in ("--variant", variant))]
    answer = bench_process.scenario("chat", *SMALL, "--subject", subject, *flags, root=root)
    return {trial["variant"]: trial for trial in answer["trials"]}


def wrong(trial: dict[str, Any]) -> dict[str, int]:
    return {name: trial["figures"][name] for name in NOTHING_WRONG}


@pytest.mark.long
def test_all_receive_everything_once_on_both_servers(tmp_path: Path) -> None:
    needs.module("daphne")
    for trial in play(tmp_path, "direct", "ours", "channels").values():
        figures = trial["figures"]
        assert wrong(trial) == NOTHING_WRONG
        assert figures["received"] > figures["sent"] > 0
        assert figures["presences"] > 0
        assert (figures["dropped"], figures["reconnects"]) == (0, 0)


@pytest.mark.long
def test_a_restart_drops_every_connection_and_no_message(tmp_path: Path) -> None:
    trial = play(tmp_path, "asyncio", "restart")["restart"]
    assert wrong(trial) == NOTHING_WRONG
    assert (trial["figures"]["dropped"], trial["figures"]["reconnects"]) == (9, 9)
    assert trial["figures"]["all_back_s"] > 0
    assert min(present for _, present in trial["curves"]["members"]) < 9


@pytest.mark.long
@needs.in_namespaces
def test_the_proxy_that_takes_the_old_one_s_place_is_observed_as_well(tmp_path: Path) -> None:
    play(tmp_path, "asyncio", "restart")
    (timeline,) = tmp_path.glob("*/timeline.csv")
    with timeline.open(encoding="utf-8") as file:
        seen = [row for row in csv.DictReader(file) if row["host"] == "proxy"]
    anew = [float(row["cpu_s"]) for row in seen if int(row["passive_opens"]) > 9]
    assert anew[-1] > anew[0]


@pytest.mark.parametrize("subject", ["nginx", pytest.param("haproxy", marks=pytest.mark.long)])
def test_a_reload_keeps_open_rooms(subject: str, tmp_path: Path) -> None:
    trial = play(tmp_path, subject, "reload")["reload"]
    assert wrong(trial) == NOTHING_WRONG
    assert trial["figures"]["dropped"] == 0


@pytest.mark.long
@pytest.mark.parametrize("subject", ["nginx", "haproxy", "envoy", "caddy"])
def test_a_restart_of_any_proxy_is_survived(subject: str, tmp_path: Path) -> None:
    trial = play(tmp_path, subject, "restart")["restart"]
    assert wrong(trial) == NOTHING_WRONG
    assert trial["figures"]["dropped"] == 9


@pytest.mark.long
@pytest.mark.parametrize("subject", ["nginx", "haproxy", "envoy", "asyncio"])
def test_silence_ends_connections_and_a_heartbeat_keeps_them(subject: str, tmp_path: Path) -> None:
    result = play(tmp_path, subject, "idle", "idle-beats", "--set", "idle_s=1", "--set", "duration_s=4")
    assert wrong(result["idle"]) == wrong(result["idle-beats"]) == NOTHING_WRONG
    assert result["idle"]["figures"]["dropped"] > 0
    assert result["idle-beats"]["figures"]["dropped"] == 0


@pytest.mark.parametrize(
    ("numbers", "missing", "doubled", "out_of_order"),
    [
        ([1, 2, 3], 0, 0, 0),
        ([1, 3], 1, 0, 0),
        ([1, 3, 2], 0, 0, 1),
        ([1, 2, 2], 0, 1, 0),
        ([2, 1, 1], 0, 1, 1),
    ],
)
def test_a_receiver_knows_what_it_missed(
    numbers: list[int], missing: int, doubled: int, out_of_order: int
) -> None:
    receiver = RoomReceiver()
    for number in numbers:
        receiver.receive(number)
    assert (len(receiver.missing), receiver.doubled, receiver.out_of_order) == (
        missing,
        doubled,
        out_of_order,
    )
    assert receiver.count_lacking(5) == missing + 5 - max(numbers)


def test_a_sender_keeps_what_has_not_come_back() -> None:
    sender = RoomSender()
    assert sender.add("a") == {"count": 1, "text": "a 1"}
    sender.add("b")
    sender.confirm(1)
    sender.confirm(1)
    assert sender.pending == {2: "b 2"}


def test_agents_share_the_rooms_evenly_and_no_room_has_one_twice() -> None:
    assigned = assign_rooms(rooms=10, agents=5, agents_per_room=2)
    assert [len(rooms) for rooms in assigned] == [4] * 5
    for rooms in assigned:
        assert len(set(rooms)) == len(rooms)


@pytest.mark.parametrize("agents", [1, 401])
def test_agents_that_fit_no_rooms_are_refused(agents: int) -> None:
    with pytest.raises(PlanError, match=rf"settings.agents = {agents} cannot have 2 in each of 200 rooms"):
        ChatSettings(agents=agents).check()


def test_the_sentence_says_what_happens_to_the_rooms_over_all_proxies() -> None:
    restarts = [
        sample_scenario.trial(
            number,
            "restart",
            subject,
            figures={"dropped": 250, "all_back_s": back_s, "lost": 0, "doubled": 0},
        )
        for number, (subject, back_s) in enumerate((("nginx", 0.25), ("haproxy", 0.5)), 1)
    ]
    reload = sample_scenario.trial(3, "reload", "nginx", figures={"dropped": 0, "lost": 1, "doubled": 0})
    run = ScenarioRun({"scenario": "chat"}, {}, "", trials=(*restarts, reload))
    assert SCENARIO.conclude(Summary.of(run)) == (
        "A reload drops 0 connections;"
        " a restart drops 250 connections and all rooms are back after 0.25 to 0.50 s;"
        " 1 message lost or doubled."
    )


SETTINGS = ChatSettings(rooms=4, agents=2, idle_s=3.0, warmup_s=1.0, duration_s=1.0, fault_at_s=0.2)
SILENT: dict[str, Any] = {
    **dict.fromkeys(("sent", "received", "lost", "doubled", "out_of_order", "reconnects", "refused"), 0),
    "presences": 0, "dropped_ns": [], "back_ns": [], "delay_us": [],
}  # fmt: skip


def perform(variant: str, **told: Any) -> tuple[Figures, FakeTestbed]:
    """Have chat perform one way behind nginx, its clients telling `told`."""
    return fake_testbed.perform(SCENARIO, variant, SETTINGS, {**SILENT, **told})


@pytest.mark.parametrize(
    ("variant", "befell"),
    [("ours", []), ("idle", []), ("reload", [(1.2, "reload")]), ("restart", [(1.2, "restart")])],
)
def test_what_befalls_the_proxy_does_so_in_the_window(variant: str, befell: list[tuple[float, str]]) -> None:
    assert perform(variant)[1].faults == befell


@pytest.mark.parametrize(
    ("variant", "says", "beats"), [("ours", 2.0, 0), ("idle", 12.0, 0), ("idle-beats", 12.0, 1.0)]
)
def test_who_is_to_be_silent_is_and_heartbeats_come_in_time(variant: str, says: float, beats: float) -> None:
    (job,) = perform(variant)[1].jobs
    assert (job["send_every_s"], job["beat_every_s"]) == (says, beats)


def test_all_are_back_when_the_last_one_is() -> None:
    dropped = [round(at_s * S) for at_s in (1.25, 1.2, 1.3)]
    back = [round(at_s * S) for at_s in (1.9, 1.5, 1.1, 1.7)]  # one had come back before it happened
    figures = perform("restart", dropped_ns=dropped, back_ns=back)[0]
    assert figures.figures["dropped"] == 3
    assert figures.figures["all_back_s"] == pytest.approx(0.7)


def test_the_curve_tells_how_many_are_in_their_rooms() -> None:
    dropped, back = [round(1.2 * S), round(1.3 * S)], [round(1.5 * S), round(1.7 * S)]
    curve = dict(perform("restart", dropped_ns=dropped, back_ns=back)[0].curves["members"])
    assert [curve[at_s] for at_s in (0.0, 0.25, 0.4, 0.6, 0.9)] == [6, 5, 4, 5, 6]
    assert "members" not in perform("ours", dropped_ns=dropped)[0].curves


def test_what_went_wrong_with_messages_voids_the_trial() -> None:
    (warning,) = perform("ours", lost=2, out_of_order=1)[0].warnings
    assert (warning.code, warning.voids, "2 lost, 1 out of order" in warning.message) == ("lost", True, True)
