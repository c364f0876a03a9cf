"""Show a run on a terminal: phase, time left, rate, TIME_WAIT; below it the ports and how long they last.

Nothing is written where the stream is no terminal. There is no thread: whatever reports an event draws the
line anew, at most four times a second.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bench import units
from bench.analysis import ceiling
from nginx.printable import printable_line

if TYPE_CHECKING:
    from rich.text import Text

    from bench.load.generator import Second
    from bench.observe.host_observer import HostSample

_REDRAWN_EVERY_S = 0.25
_GROWTH_SAMPLES = 11
"""A second of samples: long enough to be steady, short enough to see that connect() has slowed down."""


@dataclass(slots=True)
class LiveState:
    """What the live line knows; `format` returns its text at a moment."""

    trials: int = 0
    number: int = 0
    mode: str = ""
    phase: str = ""
    lasts_s: float = 0.0
    began_s: float = 0.0
    """When the load of this trial began, on the caller's clock."""
    requests_per_s: float | None = None
    time_wait: dict[str, int] = field(default_factory=dict)
    ports_used: int | None = None
    tuples: int = 0
    reuses: bool = False
    """Whether ports in TIME_WAIT can be taken again (tcp_tw_reuse)."""
    growth_per_s: float = 0.0
    """Ports taken per second, of late."""

    def format(self, now_s: float) -> str:
        """Return two lines that fit into 80 columns: `trial 2/6 short: window, 4 s left  9,870/s  ...`."""
        parts = [f"trial {self.number}/{self.trials} {self.mode}: {self._format_phase(now_s)}"]
        if self.requests_per_s is not None:
            parts.append(units.rate(self.requests_per_s))
        host = max(self.time_wait, key=lambda name: self.time_wait[name], default="")
        if host and self.time_wait[host]:
            parts.append(f"TIME_WAIT {host} {self.time_wait[host]:,}")
        lines = ["  ".join(parts)]
        if self.ports_used is not None and self.tuples:
            lines.append(self._format_ports(self.ports_used))
        return "\n".join(lines)

    def _format_ports(self, used: int) -> str:
        left, half = self.tuples - used, self.tuples / 2 - used
        parts = [f"ports used {min(100, 100 * used / self.tuples):.0f} %"]
        if self.reuses:
            return f"{parts[0]}{', but most can be taken again' if half <= 0 else ''}"
        if left <= 0:
            return f"{parts[0]}: connect() fails"
        if self.is_past_half:
            parts.append("past half: connect() slows down")
        elif (half_s := self._compute_lasting_s(half)) is not None:
            parts.append(f"half in {half_s:.0f} s")
        if (left_s := self._compute_lasting_s(left)) is not None:
            parts.append(f"none left in {left_s:.0f} s at this rate")
        return ", ".join(parts)

    def _compute_lasting_s(self, ports: float) -> float | None:
        """Return for how long so many more ports last; None where old ones come back before."""
        lasts_s = ports / self.growth_per_s if self.growth_per_s > 0 else float("inf")
        return lasts_s if lasts_s < ceiling.TIME_WAIT_S else None

    @property
    def is_past_half(self) -> bool:
        """Return whether half of the ports are used, which is where connect() slows down."""
        if self.ports_used is None or self.reuses:
            return False
        return self.tuples > 0 and 2 * self.ports_used >= self.tuples

    def _format_phase(self, now_s: float) -> str:
        if self.phase not in ("warm-up", "window"):
            return self.phase
        return f"{self.phase}, {max(0.0, self.began_s + self.lasts_s - now_s):.0f} s left"


class LiveLine:
    """Watch a run and show it on a terminal; `show` draws the line."""

    def __init__(
        self,
        show: Callable[[LiveState, float], None],
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], object] = lambda line: None,
        clear: Callable[[], object] = lambda: None,
    ) -> None:
        """`write` writes a line that stays; `clear` takes the line away until it is drawn again."""
        self.clear = clear
        self._show = show
        self._write = write
        self._clock = clock
        self._state = LiveState()
        self._drawn_s = float("-inf")
        self._used: deque[tuple[float, int]] = deque(maxlen=_GROWTH_SAMPLES)
        self._is_in_window = False

    def started(self, directory: Path, trials: int) -> None:
        """Note that a run of so many trials begins."""
        self._state.trials = trials

    def note(self, text: str) -> None:
        """Write one line about the run, which stays."""
        self._write(printable_line(text))

    def trial(self, number: int, mode: str, warmup_s: float, duration_s: float) -> None:
        """Note that a trial begins, in its set-up."""
        lasts_s = warmup_s + duration_s
        self._used.clear()
        self._is_in_window = False
        self._state = LiveState(self._state.trials, number, mode, "set-up", lasts_s, self._clock())
        self._draw()

    def phase(self, name: str) -> None:
        """Note that the trial enters a phase."""
        if name == "warm-up":
            self._state.began_s = self._clock()
        self._state.phase = name
        self._draw()

    def second(self, second: "Second") -> None:
        """Note what the load generator reports of a second, or of a part of one.

        Once the window has begun, only what lies in it counts: in the drain no request is started any more.
        """
        if self._is_in_window and not second.in_window:
            return
        self._is_in_window = second.in_window
        self._state.requests_per_s = second.requests * 1e9 / max(1, second.end_ns - second.start_ns)
        self._draw()

    def sample(self, sample: "HostSample", tuples: int, reuses: bool = False) -> None:
        """Note what the observers report of a host; called on their thread."""
        if sample.time_wait is not None:
            self._state.time_wait = {**self._state.time_wait, sample.host: sample.time_wait}
        if sample.host == "proxy":
            self._state.ports_used, self._state.tuples = sample.ports_used, tuples
            self._state.reuses = reuses
            self._state.growth_per_s = self._compute_growth_per_s(sample.ports_used)
            if self._clock() - self._drawn_s >= _REDRAWN_EVERY_S:
                self._draw()

    def _compute_growth_per_s(self, used: int | None) -> float:
        if used is None:
            return 0.0
        now_s = self._clock()
        self._used.append((now_s, used))
        then_s, then_used = self._used[0]
        return (used - then_used) / (now_s - then_s) if now_s > then_s else 0.0

    def _draw(self) -> None:
        self._drawn_s = self._clock()
        self._show(self._state, self._drawn_s)


@contextmanager
def show_live(stream: TextIO | None, silent: bool = False) -> Iterator[LiveLine]:
    """Show a run on `stream` while the block lasts, where it is a terminal; the line goes when it ends."""
    if silent or stream is None:
        yield LiveLine(lambda state, now_s: None)
        return
    if not stream.isatty():
        yield LiveLine(lambda state, now_s: None, write=lambda line: stream.write(f"{line}\n"))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = Console(file=stream)
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        yield LiveLine(
            lambda state, now_s: live.update(_style(state, now_s), refresh=True),
            write=lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True),
            clear=lambda: live.update("", refresh=True),
        )


def _style(state: LiveState, now_s: float) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    colour = "yellow" if state.is_past_half else ""
    return Text(state.format(now_s), style=colour, no_wrap=True, overflow="ellipsis")
