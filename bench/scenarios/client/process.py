"""The life of a scenario's client process: job in, ready, go, and its last words (docs/pipes.md).

What it does in between is the scenario's; here are the pipes, the moments of the window, and the end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

import uvloop

from bench.load.counters import sparse_histogram
from bench.load.poller import raise_fd_limit


@dataclass(frozen=True, slots=True)
class Go:
    """The moments of a trial, CLOCK_MONOTONIC in nanoseconds; without an end the client decides it."""

    start_ns: int
    window_ns: int
    end_ns: int | None

    def is_in_window(self, now_ns: int) -> bool:
        """Return whether a moment lies in the window."""
        return self.window_ns <= now_ns and (self.end_ns is None or now_ns < self.end_ns)


class Times:
    """Times of one kind in nanoseconds; to be folded into a sparse histogram as they pile up."""

    def __init__(self) -> None:
        self._taken = array("q")
        self._counts: dict[int, int] = {}
        self.add = self._taken.append
        """Records one. Stays the same method for good: a hot loop may hold it."""

    def histogram(self) -> list[list[int]]:
        """Return [microseconds with three significant digits, count] pairs."""
        return sparse_histogram(self.counts())

    def counts(self) -> dict[int, int]:
        """Return microseconds -> count."""
        self.fold()
        return dict(self._counts)

    def total(self) -> int:
        """Return how many were recorded."""
        return len(self._taken) + sum(self._counts.values())

    def fold(self) -> None:
        """Move what was recorded into the counts; what is kept is then bounded by the distinct values."""
        for time_ns, count in Counter(self._taken).items():
            value_us = max(1, time_ns // 1000)
            self._counts[value_us] = self._counts.get(value_us, 0) + count
        del self._taken[:]


class Control:
    """The harness's end of the pipes. Its end of file means that the harness is gone."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._unread = b""
        self.stopped = asyncio.Event()
        """Set when the harness wants the window to end now."""

    def listen(self) -> None:
        """Read commands from now on."""
        asyncio.get_running_loop().add_reader(0, self._read)

    async def command(self) -> dict[str, Any]:
        """Return the next command other than `stop`."""
        return await self._lines.get()

    async def sleep_until(self, moment_ns: int) -> bool:
        """Sleep until the moment, or until told to stop; return whether it was told."""
        left_s = max(0.0, (moment_ns - monotonic_ns()) / 1e9)
        try:
            await asyncio.wait_for(self.stopped.wait(), left_s)
        except TimeoutError:
            return False
        return True

    def _read(self) -> None:
        data = os.read(0, 65_536)
        if not data:
            os._exit(0)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if command.get("command") == "stop":
                self.stopped.set()
            else:
                self._lines.put_nowait(command)


Act = Callable[[dict[str, Any], Go, Control], Awaitable[dict[str, Any]]]
"""Does the job, from `Go.start_ns` on, and returns the keys of the `done` event."""
Prepare = Callable[[dict[str, Any]], Awaitable[None]]
"""Does what takes long and is no part of the trial, before the client is ready."""


def emit(event: dict[str, Any]) -> None:
    """Write one event; ends the process where the harness is gone."""
    try:
        sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)


def run(act: Act) -> int:
    """Run a client process to its end; returns the exit code.

    A job says with `connections` how many files it needs.
    """
    return started(lambda: life(act))


def started(run_life: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run the whole life of a client process in a loop of its own; returns the exit code."""
    return uvloop.run(run_life())


async def life(act: Act, prepare: Prepare | None = None) -> int:
    """Live as a client: job in, ready, go, the act, its last words; returns the exit code."""
    asyncio.get_running_loop().set_exception_handler(_fail)
    control = Control()
    control.listen()
    job = await control.command()
    if (refusal := raise_fd_limit(int(job.get("connections", 0)))) is not None:
        sys.stderr.write(f"client: {refusal}\n")
        return 3
    if prepare is not None:
        await prepare(job)
    emit({"event": "ready", "role": "client", "pid": os.getpid()})
    command = await control.command()
    go = Go(command["start_ns"], command["window_ns"], command["end_ns"])
    gc.freeze()  # what is there now stays; the collector need not look at it again
    await control.sleep_until(go.start_ns)
    done = await act(job, go, control)
    emit({"event": "done", "role": "client", "interrupted": control.stopped.is_set(), **done})
    return 0


def _fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End the process where one of its callbacks failed: what it counts would be wrong from then on."""
    error = context.get("exception")
    if error is None or isinstance(error, OSError) or "future" in context:  # a future that nobody looks at
        loop.default_exception_handler(context)
        return
    sys.stderr.write(f"client: {context['message']}: {error!r}\n")
    sys.stderr.flush()
    os._exit(1)
