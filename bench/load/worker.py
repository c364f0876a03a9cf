"""One load worker: runs its clients through warm-up, window and drain, and reports each second.

It produces the events of docs/reference/pipes.md as dictionaries; `emit` writes them.
"""

import gc
import signal
import sys
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from bench.load.client_group import ClientGroup
from bench.load.counters import LoadCounters, LoadSums
from bench.load.fast_path import FastPath
from bench.load.job import LoadJob
from bench.load.poller import Poller
from bench.load.schedule import SECOND_NS, TICK_NS, Phases

Event = dict[str, Any]
Emit = Callable[[Event], None]


class SecondReporter:
    """Cuts a run into ticks and seconds, reports each second, and keeps the sums."""

    def __init__(self, job: LoadJob, phases: Phases, counters: LoadCounters, emit: Emit) -> None:
        self.total = LoadSums()
        self.window = LoadSums()
        self._job = job
        self._phases = phases
        self._counters = counters
        self._emit = emit
        self._span = phases.span(phases.start_ns)
        self.next_ns = min(self._span.start_ns + TICK_NS, self._span.end_ns)
        """End of the current tick."""
        self.requests_left = self._count_requests_left()
        """Latencies that may be added in this tick before the job's `requests` are reached."""

    def advance(self, now_ns: int) -> None:
        """End the ticks and seconds that are over at `now_ns`."""
        while self.next_ns <= now_ns:
            self._counters.tick()
            if self.next_ns == self._span.end_ns:
                self._report(self.next_ns)
            self.next_ns = min(self.next_ns + TICK_NS, self._span.end_ns)
        self.requests_left = self._count_requests_left()

    def end_second(self, now_ns: int) -> None:
        """End the current second early, at `now_ns`."""
        self.advance(now_ns)
        if now_ns > self._span.start_ns:
            self._counters.tick()
            self._report(now_ns)
        self.next_ns = min(now_ns + TICK_NS, self._span.end_ns)

    def _count_requests_left(self) -> int:
        if self._job.requests is None or not self._span.in_window:
            return sys.maxsize
        return self._job.requests - self.window.exchanges - self._counters.exchanges

    def _report(self, end_ns: int) -> None:
        span, counts = self._span, self._counters.flush(open_loop=self._job.rate is not None)
        self.total.add(counts)
        if span.in_window:
            self.window.add(counts)
        self._span = self._phases.span(end_ns)
        place = {"second": span.second, "start_ns": span.start_ns, "end_ns": end_ns}
        self._emit(
            {"event": "second", "worker": self._job.worker, **place, **counts, "in_window": span.in_window}
        )


class LoadWorker:
    """Runs one job, once: `run` returns when the drain is over."""

    def __init__(self, job: LoadJob, poller: Poller, emit: Emit) -> None:
        self._job = job
        self._poller = poller
        self._emit = emit
        self._counters = LoadCounters()
        self._group = _client_group(job, poller, self._counters)
        self._fast_path = FastPath(self._group, poller)
        self._is_stopping = False

    def stop(self) -> None:
        """End the window within a tenth of a second."""
        self._is_stopping = True

    def run(self, start_ns: int) -> Event:
        """Run the job from `start_ns` on; return the `done` event."""
        while (now_ns := monotonic_ns()) < start_ns and not self._is_stopping:
            self._poller.run_ready(min(TICK_NS, start_ns - now_ns))
        phases = Phases(start_ns, self._job.warmup_s, self._job.duration_s)
        reporter = SecondReporter(self._job, phases, self._counters, self._emit)
        # All current objects live to the end: exclude them from garbage collection.
        gc.freeze()
        first_connect_ns = max(start_ns, monotonic_ns())
        if not self._is_stopping:
            self._group.start(phases)
            self._load(phases, reporter)
        interrupted = self._is_stopping
        drained_ns = self._drain(phases, reporter)
        return {
            "event": "done",
            "worker": self._job.worker,
            "interrupted": interrupted,
            "first_connect_ns": first_connect_ns,
            "window_start_ns": phases.window_start_ns,
            "window_end_ns": phases.window_end_ns,
            "drained_ns": drained_ns,
            **{f"{name}_total": number for name, number in reporter.total.counts.items()},
            "errors_total": reporter.total.errors,
            **reporter.window.counts,
            "errors": reporter.window.errors,
            "statuses": dict(reporter.window.statuses),
            "tls": self._group.handshakes(),
        }

    def _load(self, phases: Phases, reporter: SecondReporter) -> None:
        """Run warm-up and window."""
        group, run_ready, is_open_loop = self._group, self._fast_path.run_ready, self._job.rate is not None
        times = self._counters.latency.raw
        while not self._is_stopping and len(times) < reporter.requests_left:
            now_ns = monotonic_ns()
            if now_ns >= reporter.next_ns:
                reporter.advance(min(now_ns, phases.window_end_ns))
                group.sweep(now_ns)
                if now_ns >= phases.window_end_ns:
                    return
            until_ns = reporter.next_ns
            if is_open_loop and (due_ns := group.assign_due(now_ns)) is not None:
                until_ns = min(due_ns, until_ns)
            run_ready(until_ns - now_ns)
        phases.end_window(monotonic_ns())

    def _drain(self, phases: Phases, reporter: SecondReporter) -> int:
        """Wait for current exchanges until the drain time-out; return when the last had ended."""
        now_ns = phases.window_end_ns
        self._group.drain(now_ns)
        reporter.end_second(now_ns)
        bound_ns = now_ns + round(self._job.drain_timeout_s * SECOND_NS)
        while not self._group.is_drained and (now_ns := monotonic_ns()) < bound_ns:
            if now_ns >= reporter.next_ns:
                reporter.advance(now_ns)
                self._group.sweep(now_ns)
            self._fast_path.run_ready(min(reporter.next_ns, bound_ns) - now_ns)
        self._group.abandon()
        now_ns = monotonic_ns()
        reporter.end_second(now_ns)
        return now_ns


def _client_group(job: LoadJob, poller: Poller, counters: LoadCounters) -> ClientGroup:
    if job.http2:
        from bench.load.h2_client import Http2Group  # noqa: PLC0415  What others need not load.

        return Http2Group(job, poller, counters)
    if not job.tls:
        return ClientGroup(job, poller, counters)
    from bench.load.tls_client import TlsClientGroup  # noqa: PLC0415  Plain clients need not load it.

    return TlsClientGroup(job, poller, counters)


def stop_on_signals(worker: LoadWorker) -> None:
    """End the window with the first SIGTERM or SIGINT, and the process with the second."""

    def stop(number: int, frame: object) -> None:
        worker.stop()
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
