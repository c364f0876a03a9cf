"""A verdict as text: what hurts first, what it means, and the one change."""

from __future__ import annotations

import pytest

from bench.watch.model import Source
from bench.watch.verdict import judge
from bench.watch.verdict_text import format_verdict
from tests.watch import made_up
from tests.watch.made_up import CLIENT, UPSTREAM, Row


def test_a_hop_that_will_run_out_of_ports() -> None:
    text = format_verdict(judge(made_up.watched(made_up.short(UPSTREAM, 1000, 5))), width=200)
    assert text == (
        "to 10.0.0.2:8080: short connections.\n"
        "Seen in 5 s: 1 hop, 0 established connections, 1,000 connections/s opened or accepted.\n"
        "\n"
        "1. to 10.0.0.2:8080: short connections (soon, likely)\n"
        "   1,000 connections/s are opened for one request or few, and closed again.\n"
        "   Half of those that ended lived for less than 2.00 ms.\n"
        "   This host closes first: each connection leaves its port in TIME_WAIT for 60 s.\n"
        "   5,000 of 28,232 ports are taken (18%); half of them in 9.1 s (9.1 to 9.1 s),"
        " and connect() slows down there.\n"
        "   All of them in 23 s (23 to 23 s), unless the rate falls to what TIME_WAIT frees.\n"
        "   Change: let the client keep its connections: HTTP/1.1, one pool for all of the process\n"
        "   Surer with: a count of requests: an access log with $upstream_addr,"
        " HAProxy's or Envoy's counters\n"
    )


def test_nothing_is_said_of_what_wastes_nothing() -> None:
    text = format_verdict(judge(made_up.watched(made_up.kept(UPSTREAM, 32, 10))), width=200)
    assert text == (
        "nothing here wastes connections.\n"
        "Seen in 10 s: 1 hop, 32 established connections, none opened or accepted.\n"
    )


@pytest.mark.parametrize("source", Source)
def test_no_line_is_wider_than_asked_for(source: Source) -> None:
    rows = [
        Row((*one.hops, *two.hops))
        for one, two in zip(
            made_up.short(UPSTREAM, 1000, 20), made_up.short(CLIENT, 50, 20, closed_there=True), strict=True
        )
    ]
    for width in (60, 80, 120):
        lines = format_verdict(judge(made_up.watched(rows, source)), width).splitlines()
        assert max(map(len, lines)) <= width
