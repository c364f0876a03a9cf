"""Rows, sentence, tables and picture of the incident: medians by configuration, and who holds TIME_WAIT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.incident import CLOSES
from bench.report import style
from bench.report.run import incident
from bench.runs.record import Run
from tests.report.incident_trials import make_trial


def test_a_row_tells_medians_and_who_holds_time_wait() -> None:
    told = [
        make_trial(1, "a", 10.0, 1000, (900, 100)),
        make_trial(2, "b", 99.0, 32, (32, 0)),
        make_trial(3, "a", 30.0, 1000, (700, 300)),
        make_trial(4, "a", 20.0, 1000, (800, 200)),
        make_trial(5, "c", 20.0, 1000, (10, 990)),
        make_trial(6, "d", 20.0, 1000, (0, 0)),
    ]
    rows = incident.build_rows(Run({}, {}, "now", tuple(told)))
    assert [(row.name, row.rate, row.per_request, row.holder) for row in rows] == [
        ("a", 20.0, 1.0, "proxy"),
        ("b", 99.0, 0.032, "nobody"),
        ("c", 20.0, 1.0, "backend"),
        ("d", 20.0, 1.0, "nobody"),
    ]
    assert (rows[0].proxy_side, rows[0].backend_side) == (800, 200)


def test_time_wait_that_nobody_measured_is_no_zero() -> None:
    unseen = replace(make_trial(1, "a", 10.0, 1000, (0, 0)), time_wait_by_hop={})
    run = Run({"backend": {"close": "at-once"}}, {}, "now", (unseen,))
    (row,) = incident.build_rows(run)
    assert (row.proxy_side, row.holder) == (None, "unseen")
    table = incident.build_table(run)
    assert table.rows[0][table.columns.index("TIME_WAIT proxy")] == "-"


def test_the_sentence_names_the_best_the_worst_and_where_ports_go() -> None:
    told = [
        make_trial(1, "a", 900.0, 1000, (900, 100)),
        make_trial(2, "b", 9000.0, 32, (32, 0)),
        make_trial(3, "c", 500.0, 1000, (10, 990)),
    ]
    assert incident.summarize(Run({}, {}, "now", tuple(told))) == (
        "b serves most, 9,000/s on 0.032 connections a request; c serves least, 500/s on 1."
        " 1 of 3 configurations reuse their connections; with 1 the proxy holds TIME_WAIT."
    )


def test_the_table_and_the_picture_have_a_part_for_each_backend(tmp_path: Path) -> None:
    trial = make_trial(1, "a", 10.0, 1000, (900, 100))
    runs = [Run({"backend": {"close": close}}, {}, "now", (trial,)) for close in CLOSES]
    text = incident.format_tables(runs)
    assert all(f"backend closes {close}" in text for close in CLOSES)
    assert "1.0000" in text
    drawn = style.save_figure(tmp_path / "incident", incident.draw, runs)
    assert all(path.stat().st_size > 1000 for path in drawn)
