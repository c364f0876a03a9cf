"""A look as text: the verdict first, then the hops, within the columns that there are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.report.watch import text, words
from bench.report.watch.live_table import History, Order, choose_columns, describe, select
from bench.report.watch.live_verdict import LineKind, VerdictLine, condense
from bench.watch.hop_table import summarize
from bench.watch.model import (
    Direction,
    HopFlow,
    HopSnapshot,
    HopState,
    HostFlow,
    HostState,
    PeerHop,
    RequestFlow,
    Snapshot,
    Source,
)
from tests.watch.made_up import CLIENT, UPSTREAM, Row, hop, kept, short, watched
from tests.watch.scripted import look

V6 = PeerHop(Direction.OUTGOING, "2001:db8:1234:5678:9abc:def0:1234:5678", 8443)


def busy(source: Source = Source.SAMPLED) -> list[Snapshot]:
    """Return a host whose hop churns, closed by the peer, so that a sample is a lower bound."""
    rows = [
        Row((*row.hops, hop(V6, time_wait=3, ports_used=3)), HostFlow(active_opens=2_500), HostState())
        for row in short(UPSTREAM, 1_950, 3, closed_there=True)
    ]
    return watched(rows, source)


def printed(snapshots: list[Snapshot], monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    return text.format_look(look(snapshots), "this host").splitlines()


def test_the_verdict_comes_first_and_the_table_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(busy(), monkeypatch)
    heading = next(at for at, line in enumerate(lines) if line.startswith("hop"))
    assert "10.0.0.2:8080" in lines[0]
    assert heading > 2
    words_of_it = "hop opened/s closed by estab TIME_WAIT ports req/conn"
    assert " ".join(lines[heading].split()) == words_of_it
    assert lines[heading + 1].split()[:5] == ["10.0.0.2:8080", "≥", "1,950", "peer", "0"]


@pytest.mark.parametrize("columns", [20, 30, 40, 50, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(busy(), monkeypatch, columns)
    assert max(map(len, lines)) <= columns
    assert len(lines) > 5


def test_where_a_table_has_no_room_each_figure_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(busy(), monkeypatch, 24)
    at = lines.index("10.0.0.2:8080")
    assert lines[at : at + 7] == [
        "10.0.0.2:8080",
        "  opened/s: ≥ 1,950",
        "  closed by: peer",
        "  estab: 0",
        "  TIME_WAIT: 0",
        "  ports: 0 %",
        "  ports left: 28,232 of",
    ]
    assert any("…" in line and line.endswith(":5678]:8443") for line in lines)


def test_a_wide_terminal_shows_how_many_ports_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("28,229 of 28,232" in line for line in printed(busy(), monkeypatch, 120))
    assert not any("28,229 of 28,232" in line for line in printed(busy(), monkeypatch, 80))


def test_what_at_least_means_and_what_would_count_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = " ".join(printed(busy(), monkeypatch))
    assert "≥ means at least" in said
    assert "--exact counts it" in said
    assert "≥" not in " ".join(printed(busy(Source.EXACT), monkeypatch))


def test_requests_that_nobody_counts_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no source counts them (see --requests)" in " ".join(printed(busy(), monkeypatch))
    rows = [replace(row, requests=(RequestFlow("log", 500, port=8080),)) for row in short(UPSTREAM, 50, 3)]
    lines = printed(watched(rows), monkeypatch)
    assert not any("not known" in line for line in lines)
    assert any(line.split()[-1:] == ["10.0"] for line in lines if line.startswith("10.0.0.2"))


def test_nothing_wasted_and_nothing_seen_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(watched([Row()]), monkeypatch)
    assert "nothing can be said" in lines[0].lower()
    assert "no TCP connection seen" in lines
    lines = printed(watched(short(UPSTREAM, 1, 3)), monkeypatch)
    assert "nothing here wastes connections" in lines[0].lower()


def test_what_may_be_of_others_stands_apart_and_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    others = HopSnapshot(V6, HopFlow(opened=900), HopState(time_wait=9_000), is_unattributed=True)
    rows = [replace(row, hops=(others, *row.hops)) for row in short(UPSTREAM, 400, 3)]
    lines = printed(watched(rows), monkeypatch)
    table = [line.split("  ")[0] for line in lines if line.startswith(("10.0.0.2", "[2001"))]
    assert table == ["10.0.0.2:8080", "[2001:db8:…:5678]:8443 ?"]
    assert "? none of these processes was seen on this hop: it may be another's" in lines


def test_the_two_kinds_of_hops_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "hop: this host connects to ADDRESS:PORT; ADDRESS to :PORT connects to this host"
    both = [Row((hop(UPSTREAM), hop(CLIENT)))]
    assert told in printed(watched(both), monkeypatch)
    assert told not in printed(watched(short(UPSTREAM, 400, 3)), monkeypatch)


def test_who_closes_first_is_left_out_of_a_line_where_nothing_ended() -> None:
    line = text.format_line(look(watched([Row((hop(UPSTREAM, HopFlow(opened=5)),))])))
    assert line == "1 s; opened 5.0/s; 5.0/s 10.0.0.2:8080; TIME_WAIT 0"


def test_hops_beyond_those_shown_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    hops = (PeerHop(Direction.OUTGOING, f"10.1.0.{at}", 80) for at in range(text.MOST_HOPS + 7))
    lines = printed(watched([Row(tuple(hop(each, HopFlow(opened=1)) for each in hops))]), monkeypatch)
    assert "and 7 more hops" in lines
    assert sum(line.startswith("10.1.0.") for line in lines) == text.MOST_HOPS


def test_a_name_of_another_moves_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = watched([Row((hop(PeerHop(Direction.OUTGOING, "10.0.0.2\x1b[2J", 80), HopFlow(opened=1)),))])
    assert "\x1b" not in "\n".join(printed(rows, monkeypatch))


def test_one_line_says_what_the_host_does_and_its_fastest_hop() -> None:
    rows = [replace(row, host=HostState(time_wait=27_831)) for row in short(UPSTREAM, 400, 3)]
    assert text.format_line(look(watched(rows))) == (
        "3 s; opened 400/s; 400/s 10.0.0.2:8080, closed first by this host; TIME_WAIT 27,831;"
        " ports 4 % 10.0.0.2:8080"
    )


@pytest.mark.parametrize(
    ("judged_at_s", "said"), [(3.0, False), (2.0, False), (0.0, True)], ids=["now", "one before", "old"]
)
def test_a_verdict_that_is_older_than_the_look_is_said_to_be(judged_at_s: float, said: bool) -> None:
    line = text.format_line(replace(look(busy()), judged_at_s=judged_at_s))
    assert ("verdict of 3 s ago" in line) == said


def test_a_line_about_processes_leaves_out_what_others_on_the_host_do() -> None:
    others = HopSnapshot(V6, HopFlow(opened=900), HopState(time_wait=9_000), is_unattributed=True)
    rows = [
        replace(
            row, hops=(*row.hops, others), flow=HostFlow(active_opens=2_500), host=HostState(time_wait=27_831)
        )
        for row in short(UPSTREAM, 400, 3)
    ]
    assert text.format_line(look(watched(rows)), is_whole_host=False).startswith("3 s; opened 400/s; ")
    assert "; TIME_WAIT 1,200;" in text.format_line(look(watched(rows)), is_whole_host=False)


@pytest.mark.parametrize(
    ("value", "is_at_least", "expected"),
    [(0.0, True, "0"), (0.25, False, "0.2"), (9.96, True, "≥ 10.0"), (1950.4, True, "≥ 1,950")],
)
def test_a_rate_in_words(value: float, is_at_least: bool, expected: str) -> None:
    assert words.per_second(value, is_at_least) == expected


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (HopFlow(), "-"),
        (HopFlow(closed_here=5), "this host"),
        (HopFlow(reset_there=5, closed_there=1), "the peer, RST"),
        (HopFlow(reset_here=1, closed_there=1), "both"),
        (HopFlow(ended_unknown=1), "unknown"),
    ],
)
def test_who_closes_first_in_words(flow: HopFlow, expected: str) -> None:
    (row,) = summarize(watched([Row((hop(UPSTREAM, flow),))]))
    assert words.closes_first(row) == expected
    assert len(words.closed_by(row)) <= 9


@pytest.mark.parametrize(
    ("used", "expected"),
    [(0, "0 %"), (1, "<1 %"), (283, "1 %"), (14_116, "50 %"), (28_231, "99 %"), (28_232, "100 %")],
)
def test_ports_are_full_only_where_they_are(used: int, expected: str) -> None:
    (row,) = summarize(watched([Row((hop(UPSTREAM, ports_used=used),))]))
    assert words.ports_used(row) == expected


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [((), 4, "    "), ((0, 0), 4, "  ▁▁"), ((0, 1, 2, 4), 4, "▁▃▅█"), ((9, 1, 1), 2, "██")],
)
def test_a_sparkline_shows_the_newest_values_from_zero(
    values: tuple[float, ...], width: int, expected: str
) -> None:
    assert words.sparkline(values, width) == expected


def test_of_a_long_name_the_begin_and_the_port_stay() -> None:
    assert words.hop(V6, 20) == "[2001:db8…5678]:8443"
    assert len(words.hop(V6, 20)) == 20
    assert words.hop(UPSTREAM, 20) == "10.0.0.2:8080"


# -- the table of the live view


@pytest.mark.parametrize("width", range(80, 200, 7))
def test_the_columns_of_the_view_fit_whatever_the_width(width: int) -> None:
    columns = choose_columns(width, History())
    assert sum(column.width for column in columns) <= width - 1  # the scrollbar
    assert (columns[0].heading, columns[-1].heading) == ("hop", "history")
    row = summarize(watched(short(UPSTREAM, 19_500, 3)))[0]
    assert all(len(column.cell(row, column.width)) <= column.width for column in columns)


def rows_of_view() -> list[Snapshot]:
    hops = (
        hop(UPSTREAM, HopFlow(opened=5), time_wait=1, ports_used=9, processes=("nginx",)),
        hop(CLIENT, HopFlow(opened=9), time_wait=0),
        hop(V6, HopFlow(opened=1), time_wait=7, ports_used=2),
    )
    return watched([Row(hops, requests=(RequestFlow("log", 50, port=8080),))])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.OPENED, [CLIENT, UPSTREAM, V6]),
        (Order.TIME_WAIT, [V6, UPSTREAM, CLIENT]),
        (Order.PORTS, [UPSTREAM, V6, CLIENT]),
        (Order.REQUESTS, [UPSTREAM, CLIENT, V6]),
        (Order.NAME, [CLIENT, UPSTREAM, V6]),
    ],
)
def test_hops_are_sorted_by_each_column(order: Order, expected: list[PeerHop]) -> None:
    assert [row.hop for row in select(summarize(rows_of_view()), order, "")] == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("10.0.0", [CLIENT, UPSTREAM]),
        (":8443", [V6]),
        ("NGINX", [UPSTREAM]),
        ("nobody", []),
        ("", [CLIENT, UPSTREAM, V6]),
    ],
)
def test_hops_are_found_by_address_port_and_process(wanted: str, expected: list[PeerHop]) -> None:
    assert [row.hop for row in select(summarize(rows_of_view()), Order.OPENED, wanted)] == expected


def test_a_history_has_the_rate_of_each_interval_and_no_more_than_sixty() -> None:
    history = History()
    for snapshot in watched([*kept(UPSTREAM, 1, 2), Row(), *short(UPSTREAM, 7, 2)], step_s=0.5):
        history.add(snapshot)
    assert history.of(UPSTREAM) == [0.0, 0.0, 0.0, 14.0, 14.0]
    assert history.of(CLIENT) == [0.0] * 5
    for snapshot in watched(short(UPSTREAM, 7, 70)):
        history.add(snapshot)
    assert history.of(UPSTREAM) == [7.0] * 60


def test_the_orders_follow_each_other_in_a_circle() -> None:
    order, seen = Order.OPENED, []
    for _ in Order:
        seen.append(order)
        order = order.next
    assert (set(seen), order) == (set(Order), Order.OPENED)


def test_more_is_said_of_a_hop_on_three_lines() -> None:
    flow = HopFlow(opened=3, closed_here=2, reset_there=1, failed_opens=4, lifetimes_s=(0.012, 0.5, 0.02))
    (row,) = summarize(
        watched([Row((hop(UPSTREAM, flow, established=7, close_wait=2, processes=("nginx",)),))])
    )
    first, second, third = describe(row, 200)
    assert first == "10.0.0.2:8080; established 7; CLOSE_WAIT 2; ports left 28,232 of 28,232; nginx"
    assert second == (
        "last 10 s: 2 closed first by this host; 0 by the peer; 1 by RST; 4 never opened; lived 20 ms"
    )
    assert third == "requests per connection: no source counts them (see --requests)"
    assert all(len(line) <= 40 for line in describe(row, 40))
    flow = HopFlow(closed_there=3, reset_after_fin=2)
    (row,) = summarize(watched([Row((hop(UPSTREAM, flow),))]))
    assert describe(row, 200)[1] == (
        "last 10 s: 0 closed first by this host; 3 by the peer; 0 by RST; 2 by RST behind its FIN"
    )


def test_kept_connections_waste_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing here wastes connections" in printed(watched(kept(UPSTREAM, 8, 5)), monkeypatch)[0].lower()


# -- the verdict of the live view


def condensed(snapshots: list[Snapshot], most: int) -> list[VerdictLine]:
    return condense(look(snapshots).verdict, 79, most)


@pytest.mark.parametrize("most", [4, 6, 10, 40])
def test_a_verdict_keeps_its_hop_and_its_change_in_however_few_lines(most: int) -> None:
    lines = condensed(watched(short(UPSTREAM, 300, 40)), most)
    assert len(lines) <= most
    assert max(len(line.text) for line in lines) <= 79
    assert (lines[0].kind, "10.0.0.2:8080" in lines[0].text) == (LineKind.HEAD, True)
    assert next(line.text[:8] for line in lines if line.kind is LineKind.CHANGE) == "Change: "
    assert lines[-1].kind is LineKind.MORE


def test_all_lines_of_a_change_are_shown_within_24() -> None:
    """A pool needs three lines in nginx: two of them reuse nothing."""
    place = "/etc/nginx/sites-enabled/shop.conf"
    fix = (
        f"add `keepalive 32;` (idle connections per worker) ({place}:14); add `proxy_http_version 1.1;`"
        f' ({place}:22); add `proxy_set_header Connection "";` ({place}:22)'
    )
    verdict = look(watched(short(UPSTREAM, 300, 40))).verdict
    changed = replace(verdict, findings=(replace(verdict.findings[0], change=fix), *verdict.findings[1:]))
    lines = condense(changed, 79, 10)
    assert " ".join(line.text for line in lines if line.kind is LineKind.CHANGE) == f"Change: {fix}"
    assert any(line.kind is LineKind.MEANING for line in lines)


def test_what_is_cut_off_is_marked() -> None:
    def cut(most: int) -> bool:
        meaning = [
            line
            for line in condensed(watched(short(UPSTREAM, 300, 40)), most)
            if line.kind is LineKind.MEANING
        ]
        return meaning[-1].text.endswith("…")

    assert (cut(6), cut(40)) == (True, False)


def test_where_nothing_is_wasted_the_view_says_so_and_what_it_saw() -> None:
    first, second, *_ = condensed(watched(kept(UPSTREAM, 8, 5)), 10)
    assert first.text == "Nothing here wastes connections."
    assert second.text.startswith("Seen in 5 s: 1 hop, 8 established connections")
