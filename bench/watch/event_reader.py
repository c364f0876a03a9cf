"""Read the kernel's events about TCP sockets all the time, within a share of one core, or say why not.

The reader stops where events were lost or where it costs too much, and tries again after a while: its counts
are then those of the whole time between two calls, or there are none.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.watch import ring_buffer
from bench.watch.events import ConnectionLedger, IdleTimes
from bench.watch.model import HopFlow, PeerHop
from bench.watch.socket_events import STATE_FILTER, Rows, SocketEvents
from bench.watch.strangers import Strangers
from bench.watch.tracefs import Tracefs, TraceInstance, TracingError

MAX_SHARE = 0.1
"""Of one core: what reading and decoding may take."""
_INTERVAL_S = 0.25
"""Between two reads: pages are then mostly full, and a buffer of one second is never in danger."""
_SHARE_OVER_S = 2.0
"""Over this time its share counts: one slow read is no reason to stop."""
_SETTLE_S = 0.002
"""An event has its time some microseconds before it can be read; the snapshot waits for those."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 300.0


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be counted. The thread of the reader asks."""

    listening: Callable[[], frozenset[int]] = frozenset
    """Returns the local ports that are listened on."""
    condition: str = STATE_FILTER
    """The kernel's filter of changes of state."""
    select: Callable[[Rows], Rows] = lambda rows: rows
    """Returns the rows to be counted."""
    strangers: Callable[[], Strangers | None] = lambda: None
    """Returns what finds connections that are not to be counted, anew for each start."""


@dataclass(frozen=True, slots=True)
class EventsTaken:
    """What happened between two calls."""

    flows: dict[PeerHop, HopFlow]
    is_whole: bool
    """Whether everything was seen; else the flows are lower bounds."""
    reason: str | None
    """Why not everything was seen, in a sentence; or that it is again."""
    cost_s: float
    """CPU time of the thread of the reader, beside that of the call."""


class EventReader:
    """A thread that reads an own instance of tracing; TracingError where there can be none."""

    def __init__(
        self,
        selection: Selection,
        max_share: float = MAX_SHARE,
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        """Start reading."""
        self._selection, self._max_share = selection, max_share
        self._first_pause_s = self._pause_s = first_pause_s
        self._tracefs = Tracefs()
        try:
            self._layout = self._tracefs.page_format()
            self._events = SocketEvents.of(self._tracefs)
            self._instance = TraceInstance(self._tracefs, self._layout.page_size)
        except BaseException:
            self._tracefs.close()
            raise
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._cost_s = self._window_cost_s = 0.0
        self._reason: str | None = None
        self._is_whole = True
        self._resume_at: float | None = None
        self._ledger = self._new_ledger()
        self._thread = threading.Thread(target=self._run, name="event reader", daemon=True)
        try:
            self._begin()
        except BaseException:
            self._remove()
            raise
        self._thread.start()

    def take(self, idle_times: IdleTimes | None = None) -> EventsTaken:
        """Return what happened since the last call, up to this moment.

        `idle_times` says how long connections had been idle that an RST of the peer ended.
        """
        until_ns = time.monotonic_ns()
        if self._resume_at is None:
            time.sleep(_SETTLE_S)
        with self._lock:
            cost_s = self._cost_s
            if self._resume_at is None:
                self._attempt(lambda: self._drain(until_ns))
            taken = EventsTaken(self._ledger.take(idle_times), self._is_whole, self._reason, cost_s)
            self._ledger.listening = self._selection.listening()
            self._is_whole, self._cost_s = self._resume_at is None, 0.0
            self._reason = None if self._is_whole else self._reason
        return taken

    def close(self) -> None:
        """Stop, and remove the instance."""
        self._stop.set()
        self._thread.join()
        self._remove()

    def _remove(self) -> None:
        try:
            self._instance.close()
        finally:
            self._tracefs.close()

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            with self._lock:
                self._attempt(self._go_on)

    def _attempt(self, read: Callable[[], None]) -> None:
        """Read; where that fails for good, stay with sampling."""
        try:
            read()
        except (OSError, TracingError) as error:
            self._is_whole, self._resume_at = False, math.inf
            self._reason = f"the events cannot be read any more ({error}): sampled from here on"

    def _go_on(self) -> None:
        if self._resume_at is None:
            self._drain(time.monotonic_ns() - int(_SETTLE_S * 1e9))
        elif time.monotonic() >= self._resume_at:
            self._begin()

    def _new_ledger(self) -> ConnectionLedger:
        return ConnectionLedger(self._selection.listening(), self._selection.strangers())

    def _begin(self) -> None:
        """Count from here on."""
        self._ledger = self._new_ledger()
        self._events.enable(self._instance, self._selection.condition)
        self._window_from, self._window_cost_s = time.monotonic(), 0.0
        if self._resume_at is not None:
            self._resume_at = None
            self._reason = "the reader of events is back: exact from here on"

    def _drain(self, until_ns: int) -> None:
        """Read everything that is there; stop where that is too much, or not everything any more."""
        began = time.thread_time()
        parts, lost = [], 0
        is_over = False
        while not is_over:
            pages = self._instance.read()
            records = ring_buffer.decode(pages, self._layout)
            parts.append(self._selection.select(self._events.rows(pages, records)))
            lost += records.lost
            is_over = lost > 0 or len(pages) < self._instance.room
        self._ledger.feed(np.concatenate(parts), until_ns)
        spent = time.thread_time() - began
        self._cost_s += spent
        self._window_cost_s += spent
        if lost:
            self._pause(f"the reader fell behind ({lost} events lost)")
        else:
            self._check_share()

    def _check_share(self) -> None:
        now = time.monotonic()
        elapsed = now - self._window_from
        if elapsed < _SHARE_OVER_S:
            return
        share = self._window_cost_s / elapsed
        if share > self._max_share:
            self._pause(f"reading events took {share:.0%} of a core, more than {self._max_share:.0%}")
        else:
            self._pause_s = self._first_pause_s
        self._window_from, self._window_cost_s = now, 0.0

    def _pause(self, why: str) -> None:
        """Turn the events off for a while, longer each time that it does not help."""
        self._instance.disable_all()
        self._is_whole = False
        self._resume_at = time.monotonic() + self._pause_s
        self._reason = f"{why}: sampled from here on, exact again in {self._pause_s:.0f} s at the earliest"
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
