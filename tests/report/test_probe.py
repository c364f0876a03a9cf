"""A probe on a terminal: a line while it waits, which goes when it ends; and what it found, in words."""

from __future__ import annotations

import io

import pytest

from bench.probe.model import Ending, IdleTimeout, KeepAliveCase, ProbeResult
from bench.probe.progress import ProbeProgress
from bench.report.probe import format_probe, show_live

GET = KeepAliveCase("HTTP/1.1 GET", True, status=200)
WAITING = ProbeProgress("idle connections", 7.2, 120.0, idle=3, ended=2)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def result(**found: object) -> ProbeResult:
    fields = {"cases": (GET,), "versions": ("HTTP/1.1",), **found}
    return ProbeResult("app:80", "app", 80, "/", **fields)  # type: ignore[arg-type]


def words(found: ProbeResult) -> str:
    return " ".join(format_probe(found).split())


def test_a_terminal_shows_what_is_waited_for() -> None:
    stream = Terminal()
    with show_live(stream) as report:
        report(ProbeProgress("kinds of requests"))
        report(WAITING)
    assert "probe: kinds of requests" in stream.getvalue()
    line = "probe: idle connections: 3 wait, 2 ended by the server; 7 of at most 120 s"
    assert WAITING.format() == line
    assert line in stream.getvalue()


def test_what_is_no_terminal_shows_nothing() -> None:
    stream = io.StringIO()
    with show_live(stream) as report:
        report(WAITING)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("idle", "said"),
    [
        (
            IdleTimeout(4.98, 5.02, (5.0, 5.0), Ending.FIN),
            "An idle one is ended after 4.98 to 5.02 s by a FIN (2 connections seen). A proxy in front of it"
            " has to close its idle connections before 4.98 s:",
        ),
        (IdleTimeout(75.0, 75.0, (75.0,), Ending.RST), "An idle one is ended after 75.0 s by an RST"),
        (
            IdleTimeout(20.0, 22.0, (), Ending.SILENCE),
            "ended after 20.0 to 22.0 s in silence: no FIN, no RST, and the next request gets no answer",
        ),
        (IdleTimeout(120.0, None), "It keeps connections. An idle one is not ended within 120.0 s."),
    ],
)
def test_the_idle_time_is_told_in_words(idle: IdleTimeout, said: str) -> None:
    assert said in words(result(idle=idle))


def test_what_did_not_show_is_told() -> None:
    assert "How long it keeps an idle connection did not show." in words(result())


def test_an_announcement_that_is_not_kept_is_told() -> None:
    idle = IdleTimeout(2.0, 2.1, (2.0,), Ending.FIN)
    assert "It announces 5 s, and ends them before." in words(result(idle=idle, announced_idle_s=5.0))
    assert "It announces 99999999 s, and" in words(result(idle=idle, announced_idle_s=99_999_999.0))
    assert "ends them before" not in words(result(idle=idle, announced_idle_s=2.0))


@pytest.mark.parametrize(
    ("announced", "idle_s", "most", "said"),
    [
        (None, None, None, "nothing"),
        ("timeout=1500000, max=100", 1_500_000.0, 100, "Keep-Alive: timeout=1500000, max=100"),
        ("timeout=9e20", None, None, "Keep-Alive: timeout=9e20 (timeout not used: no plausible number)"),
        (
            "max = x, timeout=5",
            5.0,
            None,
            "Keep-Alive: max = x, timeout=5 (max not used: no plausible number)",
        ),
        ("yes", None, None, "Keep-Alive: yes"),
    ],
)
def test_what_is_announced_is_shown_as_it_came(
    announced: str | None, idle_s: float | None, most: int | None, said: str
) -> None:
    found = words(result(announced=announced, announced_idle_s=idle_s, announced_max=most))
    assert f"announced {said} after status" in found


def test_a_connection_that_nothing_can_use_is_not_said_to_be_ended() -> None:
    head = KeepAliveCase("HEAD", False, status=200, reason="bytes came that belong to no response")
    assert "HEAD 200 unusable bytes came that belong to no response" in words(result(cases=(GET, head)))


@pytest.mark.parametrize(
    ("case", "row"),
    [
        (KeepAliveCase("404", False, True, 404, Ending.FIN), "404 404 ended announced, FIN"),
        (KeepAliveCase("404", False, False, 404, Ending.RST), "404 404 ended not announced, RST"),
        (KeepAliveCase("404", False, True, 404), "404 404 ended announced, and left open"),
        (KeepAliveCase("404", False, False, 404, Ending.SILENCE), "404 404 ended the next request gets no"),
        (KeepAliveCase("404", None, reason="it would"), "404 - not tried it would"),
        (KeepAliveCase("404", True, status=404), "404 404 kept"),
    ],
)
def test_each_case_is_a_row(case: KeepAliveCase, row: str) -> None:
    assert row in words(result(cases=(GET, case)))
