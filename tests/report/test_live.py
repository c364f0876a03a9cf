"""The live line: what it says, when it is drawn, and that it stays silent where no terminal is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bench.load.generator import Second
from bench.observe.host_observer import HostSample
from bench.plan.run_plan import Mode
from bench.report.live import LiveLine, show_live


class Screen:
    """A clock that is set by hand, and the lines that were drawn."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.lines: list[str] = []
        self.live = LiveLine(lambda state, now_s: self.lines.append(state.format(now_s)), lambda: self.now_s)
        self.live.started(Path("results/x"), 6)
        self.live.trial(2, Mode.SHORT, 1.0, 6.0)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def second(requests: int, length_s: float, in_window: bool = True) -> Second:
    end_ns = round(length_s * 1e9)
    return Second(0, 0, end_ns, in_window, (), requests, {}, 0, 0, 0, 0, {}, {}, {})


def sample(host: str, time_wait: int | None, ports_used: int | None = None) -> HostSample:
    return HostSample(0, host, time_wait=time_wait, ports_used=ports_used)


def test_a_trial_is_told_from_set_up_to_drain(screen: Screen) -> None:
    screen.live.phase("warm-up")
    screen.now_s += 2.6
    screen.live.phase("window")
    screen.live.second(second(4_935, 0.5))
    screen.now_s += 9
    screen.live.phase("drain")
    assert screen.lines == [
        "trial 2/6 short: set-up",
        "trial 2/6 short: warm-up, 7 s left",
        "trial 2/6 short: window, 4 s left",
        "trial 2/6 short: window, 4 s left  9,870/s",
        "trial 2/6 short: drain  9,870/s",
    ]


def test_the_rate_of_the_window_stays_when_the_drain_answers_its_last_requests(screen: Screen) -> None:
    screen.live.phase("warm-up")
    screen.live.second(second(900, 0.1, in_window=False))
    assert screen.lines[-1].endswith("9,000/s")
    screen.live.phase("window")
    screen.live.second(second(10_000, 1.0))
    screen.live.phase("drain")
    screen.live.second(second(64, 0.0277, in_window=False))
    screen.live.phase("done")
    assert screen.lines[-1] == "trial 2/6 short: done  10,000/s"


def test_ports_that_can_be_taken_again_do_not_run_out(screen: Screen) -> None:
    screen.now_s += 1
    screen.live.sample(sample("proxy", 14_203, 28_300), 28_232, reuses=True)
    assert screen.lines[-1].endswith("\nports used 100 %, but most can be taken again")


def test_the_host_with_the_most_sockets_in_time_wait_is_named_and_the_ports_are_a_share(
    screen: Screen,
) -> None:
    screen.live.sample(sample("client", 3), 28_232)
    screen.live.sample(sample("backend", None), 28_232)
    screen.now_s += 1
    screen.live.sample(sample("proxy", 14_203, 14_267), 28_232)
    line, outlook = screen.lines[-1].splitlines()
    assert line == "trial 2/6 short: set-up  TIME_WAIT proxy 14,203"
    assert outlook == "ports used 51 %, past half: connect() slows down"


def ports_taken(screen: Screen, *used: int, tuples: int = 28_232) -> str:
    """What stands below the line once the ports in use were these, a second apart."""
    for count in used:
        screen.now_s += 1
        screen.live.sample(sample("proxy", count, count), tuples)
    return screen.lines[-1].partition("\n")[2]


@pytest.mark.parametrize(
    ("used", "outlook"),
    [
        ((0, 64, 64), "ports used 0 %"),
        ((1_000, 2_000), "ports used 7 %, half in 12 s, none left in 26 s at this rate"),
        ((0, 400), "ports used 1 %, half in 34 s"),
        ((0, 200), "ports used 1 %"),
        (
            (13_000, 15_000),
            "ports used 53 %, past half: connect() slows down, none left in 7 s at this rate",
        ),
        ((15_000, 15_100), "ports used 53 %, past half: connect() slows down"),
        ((28_000, 28_232), "ports used 100 %: connect() fails"),
    ],
)
def test_the_outlook_says_how_long_the_ports_last(
    screen: Screen, used: tuple[int, ...], outlook: str
) -> None:
    """A port comes back after a minute: what would last longer never ends."""
    assert ports_taken(screen, *used) == outlook


def test_both_lines_fit_on_a_terminal(screen: Screen) -> None:
    screen.live.phase("window")
    screen.live.second(second(119_870, 1.0))
    ports_taken(screen, 14_600, 15_000)
    assert max(map(len, screen.lines[-1].splitlines())) <= 80


def test_the_outlook_follows_the_rate_of_late(screen: Screen) -> None:
    ports_taken(screen, 0, *range(1_000, 11_000, 1_000))
    assert ports_taken(screen, *[10_010] * 11) == "ports used 35 %"


def test_the_outlook_of_a_new_trial_starts_from_nothing(screen: Screen) -> None:
    ports_taken(screen, 0, 20_000)
    screen.live.trial(3, Mode.SHORT, 1.0, 6.0)
    assert ports_taken(screen, 64) == "ports used 0 %"


def test_samples_redraw_four_times_a_second_at_the_most(screen: Screen) -> None:
    drawn = len(screen.lines)
    for _ in range(40):  # four seconds at 10 Hz
        screen.now_s += 0.1
        screen.live.sample(sample("proxy", 1, 1), 28_232)
    assert 12 <= len(screen.lines) - drawn <= 16


def test_a_new_trial_starts_from_nothing(screen: Screen) -> None:
    screen.live.second(second(1000, 1.0))
    screen.live.sample(sample("proxy", 14_203, 14_267), 28_232)
    screen.live.trial(3, Mode.KEEPALIVE, 1.0, 6.0)
    assert screen.lines[-1] == "trial 3/6 keepalive: set-up"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "silent"), [(io.StringIO(), False), (Terminal(), True)])
def test_nothing_is_written_where_nobody_looks(stream: io.StringIO, silent: bool) -> None:
    with show_live(stream, silent) as shown:
        shown.started(Path("results/x"), 1)
        shown.trial(1, Mode.SHORT, 1.0, 1.0)
        shown.phase("window")
        shown.second(second(1, 1.0))
        shown.sample(sample("proxy", 1, 1), 1)
    assert stream.getvalue() == ""


def test_a_terminal_gets_the_line_and_is_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    with show_live(stream) as shown:
        shown.started(Path("results/x"), 1)
        shown.trial(1, Mode.SHORT, 1.0, 1.0)
        shown.sample(sample("proxy", 9, 20_000), 28_232)
        shown.phase("window")
    assert "trial 1/1 short: window" in stream.getvalue()
    assert "\x1b[33m" in stream.getvalue()  # yellow, past half of the ports
    assert stream.getvalue().endswith("\x1b[2K")  # erased


def test_what_is_printed_between_two_lines_stands_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with show_live(terminal) as live:
        live.started(Path("results/x"), 1)
        live.trial(1, Mode.SHORT, 1.0, 1.0)
        live.clear()
        terminal.write("printed\n")
    before = terminal.getvalue().partition("printed")[0]
    assert before.rpartition("set-up")[2].endswith("\x1b[2K")  # the line is gone, and the cursor at its begin


def test_a_terminal_without_a_cursor_shows_no_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    with show_live(terminal) as live:
        live.started(Path("results/x"), 1)
        live.trial(1, Mode.SHORT, 1.0, 1.0)
    assert "trial" not in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()
