"""One load worker: drives its crowd through warm-up, window and drain, and reports each second.

Knows the events of docs/pipes.md, but not where they go: `emit` takes each as a dictionary.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from bench.load.flow import Flow
from bench.load.http1 import Crowd
from bench.load.job import Job
from bench.load.phases import SECOND_NS, TICK_NS, Phases
from bench.load.poller import Poller
from bench.load.tally import Sums, Tally

Event = dict[str, Any]
Emit = Callable[[Event], None]


class Seconds:
    """Cuts a run into ticks and seconds, reports each second, and keeps the sums."""

    def __init__(self, job: Job, phases: Phases, tally: Tally, emit: Emit) -> None:
        self.total = Sums()
        self.window = Sums()
        self._job = job
        self._phases = phases
        self._tally = tally
        self._emit = emit
        self._span = phases.span(phases.start_ns)
        self.next_ns = min(self._span.start_ns + TICK_NS, self._span.end_ns)
        """When the tick at hand ends."""
        self.enough = self._enough()
        """How many times of correct responses this tick may add before the job's `requests` are reached."""

    def advance(self, now_ns: int) -> None:
        """End the ticks and seconds that are over at `now_ns`."""
        while self.next_ns <= now_ns:
            self._tally.tick()
            if self.next_ns == self._span.end_ns:
                self._report(self.next_ns)
            self.next_ns = min(self.next_ns + TICK_NS, self._span.end_ns)
        self.enough = self._enough()

    def cut(self, now_ns: int) -> None:
        """End the second at hand at `now_ns`, ahead of its time."""
        self.advance(now_ns)
        if now_ns > self._span.start_ns:
            self._tally.tick()
            self._report(now_ns)
        self.next_ns = min(now_ns + TICK_NS, self._span.end_ns)

    def _enough(self) -> int:
        if self._job.requests is None or not self._span.in_window:
            return sys.maxsize
        return self._job.requests - self.window.answered - self._tally.answered

    def _report(self, end_ns: int) -> None:
        span, stretch = self._span, self._tally.take(open_loop=self._job.rate is not None)
        self.total.add(stretch)
        if span.in_window:
            self.window.add(stretch)
        self._span = self._phases.span(end_ns)
        place = {"second": span.second, "start_ns": span.start_ns, "end_ns": end_ns}
        self._emit(
            {"event": "second", "worker": self._job.worker, **place, **stretch, "in_window": span.in_window}
        )


class Worker:
    """Does one job, once: `run` returns when the drain is over."""

    def __init__(self, job: Job, poller: Poller, emit: Emit) -> None:
        self._job = job
        self._poller = poller
        self._emit = emit
        self._tally = Tally()
        self._crowd = Crowd(job, poller, self._tally)
        self._flow = Flow(self._crowd, poller)
        self._is_stopping = False

    def stop(self) -> None:
        """End the window at the next opportunity, within a tenth of a second."""
        self._is_stopping = True

    def run(self, start_ns: int) -> Event:
        """Do the job from `start_ns` on; return the `done` event."""
        while (now_ns := monotonic_ns()) < start_ns and not self._is_stopping:
            self._poller.run_ready(min(TICK_NS, start_ns - now_ns))
        phases = Phases(start_ns, self._job.warmup_s, self._job.duration_s)
        seconds = Seconds(self._job, phases, self._tally, self._emit)
        # What lives now lives to the end: no collection need look at it again.
        gc.freeze()
        first_connect_ns = max(start_ns, monotonic_ns())
        if not self._is_stopping:
            self._crowd.start(start_ns, phases.window_end_ns)
            self._load(phases, seconds)
        interrupted = self._is_stopping
        drained_ns = self._drain(phases, seconds)
        return {
            "event": "done",
            "worker": self._job.worker,
            "interrupted": interrupted,
            "first_connect_ns": first_connect_ns,
            "window_start_ns": phases.window_start_ns,
            "window_end_ns": phases.window_end_ns,
            "drained_ns": drained_ns,
            **{f"{name}_total": number for name, number in seconds.total.counts.items()},
            "errors_total": seconds.total.errors,
            **seconds.window.counts,
            "errors": seconds.window.errors,
        }

    def _load(self, phases: Phases, seconds: Seconds) -> None:
        """Warm up and run the window, until its end."""
        crowd, run_ready, is_open_loop = self._crowd, self._flow.run_ready, self._job.rate is not None
        times = self._tally.latency.raw
        while not self._is_stopping and len(times) < seconds.enough:
            now_ns = monotonic_ns()
            if now_ns >= seconds.next_ns:
                seconds.advance(min(now_ns, phases.window_end_ns))
                crowd.sweep(now_ns)
                if now_ns >= phases.window_end_ns:
                    return
            until_ns = seconds.next_ns
            if is_open_loop and (due_ns := crowd.pace(now_ns)) is not None:
                until_ns = min(due_ns, until_ns)
            run_ready(until_ns - now_ns)
        phases.end_window(monotonic_ns())

    def _drain(self, phases: Phases, seconds: Seconds) -> int:
        """Let the exchanges under way end, within their bound; return when the last had."""
        now_ns = phases.window_end_ns
        self._crowd.drain(now_ns)
        seconds.cut(now_ns)
        bound_ns = now_ns + round(self._job.drain_timeout_s * SECOND_NS)
        while not self._crowd.is_drained and (now_ns := monotonic_ns()) < bound_ns:
            if now_ns >= seconds.next_ns:
                seconds.advance(now_ns)
                self._crowd.sweep(now_ns)
            self._flow.run_ready(min(seconds.next_ns, bound_ns) - now_ns)
        self._crowd.abandon()
        now_ns = monotonic_ns()
        seconds.cut(now_ns)
        return now_ns
