"""The parts of chat without sockets: what members are told, what befalls the proxy, what that comes to."""

from __future__ import annotations

from typing import Any

import pytest

from bench.experiment.definition import Figures
from bench.scenarios.chat.definition import SCENARIO
from bench.scenarios.chat.settings import ChatSettings
from scenarios import empty
from scenarios.empty import Empty, S

SETTINGS = ChatSettings(rooms=4, agents=2, idle_s=3.0, warmup_s=1.0, duration_s=1.0, fault_at_s=0.2)
SILENT: dict[str, Any] = {
    **dict.fromkeys(("sent", "received", "lost", "doubled", "out_of_order", "reconnects", "refused"), 0),
    "presences": 0, "dropped_ns": [], "back_ns": [], "delay_us": [],
}  # fmt: skip


def perform(variant: str, **told: Any) -> tuple[Figures, Empty]:
    """Have chat perform one way behind nginx, its clients telling `told`."""
    return empty.perform(SCENARIO, variant, SETTINGS, {**SILENT, **told})


@pytest.mark.parametrize(
    ("variant", "befell"),
    [("ours", []), ("idle", []), ("reload", [(1.2, "reload")]), ("restart", [(1.2, "restart")])],
)
def test_what_befalls_the_proxy_does_so_in_the_window(variant: str, befell: list[tuple[float, str]]) -> None:
    assert perform(variant)[1].befell == befell


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
