"""The live view, driven by keys: what it shows at 80 by 24, sorts, filters, pauses, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from bench.errors import LabError
from bench.report.watch.live import Looked, WatchView
from bench.report.watch.live_session import LiveSession
from bench.watch import verdict
from bench.watch.model import Direction, HopFlow, PeerHop, Snapshot
from bench.watch.session import Look, Session
from tests.watch.made_up import UPSTREAM, Row, hop, kept, short, watched
from tests.watch.scripted import ScriptedWatch, look

QUIET = PeerHop(Direction.OUTGOING, "10.0.0.7", 5432)


def churn(seconds: int = 5) -> list[Snapshot]:
    rows = [
        Row((*row.hops, hop(QUIET, HopFlow(), established=8, ports_used=8, processes=("app",))))
        for row in short(UPSTREAM, 2_000, seconds)
    ]
    return watched(rows)


@asynccontextmanager
async def shown(snapshots: Sequence[Snapshot]) -> AsyncIterator[tuple[WatchView, Pilot[None]]]:
    """Show the look of the last of `snapshots` on 80 columns and 24 lines."""
    view = WatchView("process nginx")
    async with view.run_test(size=(80, 24)) as pilot:
        view.post_message(Looked(look(snapshots)))
        await pilot.pause()
        yield view, pilot


def text_of(view: WatchView, name: str) -> str:
    return str(view.query_one(f"#{name}", Static).render())


def names(view: WatchView) -> list[str]:
    """Return the hops of the table from top to bottom."""
    table = view.query_one(DataTable)
    return [str(table.get_row_at(at)[0]).strip() for at in range(table.row_count)]


async def test_the_verdict_stands_above_the_hops() -> None:
    async with shown(churn()) as (view, _):
        assert "10.0.0.2:8080" in text_of(view, "verdict").splitlines()[0]
        assert names(view) == ["10.0.0.2:8080", "10.0.0.7:5432"]
        assert "process nginx  exact  5 s" in text_of(view, "title")


async def test_everything_fits_on_80_columns_and_24_lines() -> None:
    async with shown(churn()) as (view, _):
        regions = [view.query_one(f"#{name}").region for name in ("title", "top", "hops", "detail", "keys")]
        assert [region.y for region in regions] == sorted(region.y for region in regions)
        assert (regions[-1].bottom, view.query_one("#hops").region.height >= 8) == (24, True)
        table = view.query_one(DataTable)
        assert table.virtual_size.width <= 80
        assert max(map(len, text_of(view, "verdict").splitlines())) <= 80


async def test_before_the_first_look_it_says_when_it_comes() -> None:
    view = WatchView("this host")
    async with view.run_test(size=(80, 24)):
        assert "first answer" in text_of(view, "verdict")


async def test_s_sorts_by_the_next_column_and_marks_it() -> None:
    async with shown(churn()) as (view, pilot):
        for heading in ("TIME_WAIT", "ports", "req/conn", "hop", "opened/s"):
            await pilot.press("s")
            assert f"by {heading}" in text_of(view, "title")
            labels = [str(column.label).strip() for column in view.query_one(DataTable).ordered_columns]
            assert f"{heading}▼" in labels


async def test_a_slash_filters_while_it_is_typed_and_escape_shows_all_again() -> None:
    async with shown(churn()) as (view, pilot):
        await pilot.press("slash", *"5432")
        assert names(view) == ["10.0.0.7:5432"]
        await pilot.press("enter")
        assert not view.query_one(Input).display
        assert "only '5432'" in text_of(view, "title")
        await pilot.press("escape")
        assert names(view) == ["10.0.0.2:8080", "10.0.0.7:5432"]


async def test_keys_are_text_while_a_filter_is_typed() -> None:
    async with shown(churn()) as (view, pilot):
        await pilot.press("slash", "q", "p", "s")
        assert (view.query_one(Input).value, view.is_running) == ("qps", True)


async def test_p_keeps_what_is_shown_until_it_is_pressed_again() -> None:
    async with shown(churn(5)) as (view, pilot):
        await pilot.press("p")
        view.post_message(Looked(look(churn(8))))
        await pilot.pause()
        assert "5 s" in text_of(view, "title")
        assert "PAUSED" in text_of(view, "title")
        await pilot.press("p")
        assert "8 s" in text_of(view, "title")
        assert "PAUSED" not in text_of(view, "title")


async def test_the_chosen_hop_stays_chosen_where_the_order_changes() -> None:
    async with shown(churn()) as (view, pilot):
        await pilot.press("down")
        assert "10.0.0.7:5432" in text_of(view, "detail")
        assert "app" in text_of(view, "detail")
        rows = [Row((hop(QUIET, HopFlow(opened=9_000)), hop(UPSTREAM, HopFlow(opened=1))))]
        view.post_message(Looked(look(watched(rows))))
        await pilot.pause()
        assert names(view)[0] == "10.0.0.7:5432"
        assert "10.0.0.7:5432" in text_of(view, "detail")


async def test_v_shows_the_verdict_alone_and_the_hops_again() -> None:
    async with shown(churn()) as (view, pilot):
        await pilot.press("v")
        assert (view.query_one(DataTable).display, "more lines" in text_of(view, "verdict")) == (False, False)
        await pilot.press("v")
        assert view.query_one(DataTable).display


async def test_a_wider_terminal_has_more_columns() -> None:
    async with shown(churn()) as (view, pilot):
        before = len(view.query_one(DataTable).columns)
        await pilot.resize_terminal(160, 40)
        await pilot.pause()
        assert len(view.query_one(DataTable).columns) == before + 2
        assert names(view) == ["10.0.0.2:8080", "10.0.0.7:5432"]


async def test_a_hop_that_comes_and_one_that_goes_change_the_table() -> None:
    async with shown(watched(kept(UPSTREAM, 4, 3))) as (view, pilot):
        assert names(view) == ["10.0.0.2:8080"]
        view.post_message(Looked(look(watched(kept(QUIET, 4, 3)))))
        await pilot.pause()
        assert names(view) == ["10.0.0.7:5432"]


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_it_ends_with_a_key(key: str) -> None:
    view = WatchView("this host")
    async with view.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
    assert not view.is_running


def test_it_shows_what_its_session_looks_at() -> None:
    seen: list[str] = []

    class Spying(LiveSession):
        def on_looked(self, message: Looked) -> None:
            seen.append(message.look.verdict.headline)
            if "10.0.0.2:8080" in seen[-1]:
                self.exit()

    session = Session(ScriptedWatch(churn()), verdict.judge, (), 0.01)
    Spying(session, "this host").perform(headless=True)
    assert "10.0.0.2:8080" in seen[-1]


def test_it_ends_with_its_session() -> None:
    watch = ScriptedWatch(churn())
    LiveSession(Session(watch, verdict.judge, (), 0.01), "this host", (), 0.05).perform(headless=True)
    assert watch.taken >= 1


def test_what_its_consumers_have_to_say_is_shown() -> None:
    told: list[str] = []
    noted: list[str] = []

    class Spying(LiveSession):
        def notify(self, message: str, **_: object) -> None:
            noted.append(message)
            self.exit()

    session = Session(ScriptedWatch(churn()), verdict.judge, (), 0.01)

    def fail_once(look: Look) -> None:
        if not told:
            told.append("the disk is full")

    Spying(session, "this host", [fail_once], None, told).perform(headless=True)
    assert noted == ["the disk is full"]


def test_what_its_session_fails_of_is_raised() -> None:
    class Broken(ScriptedWatch):
        def snapshot(self) -> Snapshot:
            raise LabError("the namespace has gone")

    session = Session(Broken(churn()), verdict.judge, (), 0.01)
    with pytest.raises(LabError, match="the namespace has gone"):
        LiveSession(session, "this host").perform(headless=True)
