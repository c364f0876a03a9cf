"""The life of a scenario's client process over its pipes: job, ready, go, done (docs/reference/pipes.md)."""

import asyncio
import dataclasses
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, NoReturn, TypeVar

import uvloop

from bench.load.pipes import CommandPipe, emit
from bench.load.poller import raise_fd_limit

T = TypeVar("T")
NEVER_NS = 1 << 62
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Go:
    """The moments of the `go` command, CLOCK_MONOTONIC in nanoseconds."""

    start_ns: int
    window_ns: int
    end_ns: int = NEVER_NS
    """NEVER_NS: the client decides it."""

    def is_in_window(self, now_ns: int) -> bool:
        """Return whether a moment lies in the window."""
        return self.window_ns <= now_ns < self.end_ns


class ClientControl:
    """The harness's end of the pipes. Its end of file means that the harness is gone."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._pipe = CommandPipe()
        self.stopped = asyncio.Event()
        """Set when the harness wants the window to end now."""

    def listen(self) -> None:
        """Read commands from now on."""
        asyncio.get_running_loop().add_reader(0, self._read)

    async def command(self) -> dict[str, Any]:
        """Return the next command other than `stop`."""
        return await self._lines.get()

    async def sleep_until(self, moment_ns: int) -> bool:
        """Sleep until the moment, or until `stop`; return whether it was `stop`."""
        left_s = max(0.0, (moment_ns - monotonic_ns()) / 1e9)
        try:
            await asyncio.wait_for(self.stopped.wait(), left_s)
        except TimeoutError:
            return False
        return True

    async def run_unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return the result of `work`; where `stop` comes first, cancel it and return None."""
        working = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self.stopped.wait())
        await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if working.done():
            return working.result()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return None

    def _read(self) -> None:
        for command in self._pipe.read():
            if command.get("command") == "stop":
                self.stopped.set()
            else:
                self._lines.put_nowait(command)


Act = Callable[[dict[str, Any], Go, ClientControl], Awaitable[dict[str, Any]]]
"""Does the job, from `Go.start_ns` on, and returns the keys of the `done` event."""
Prepare = Callable[[dict[str, Any]], Awaitable[None]]
"""Prepares what is slow and no part of the trial, before the client is ready."""


def read_job(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return the job of a dataclass from the keys of a `job` command."""
    return kind(**{each.name: values[each.name] for each in dataclasses.fields(kind)})  # type: ignore[arg-type]


async def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    """Wait until `condition` holds or the time is over."""
    end_ns = monotonic_ns() + round(timeout_s * 1e9)
    while not condition() and monotonic_ns() < end_ns:
        await asyncio.sleep(_POLL_S)


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait until they have ended, however they end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def run(act: Act, prepare: Prepare | None = None) -> NoReturn:
    """Run a client process to its end, and exit; `connections` of a job says how many files it needs."""
    sys.exit(uvloop.run(_live(act, prepare)))


def run_beside_threads(act: Act) -> NoReturn:
    """Run a client process to its end, and end it although threads of a product's client never do."""
    code = uvloop.run(_live(act, None))
    sys.stdout.flush()
    os._exit(code)


async def _live(act: Act, prepare: Prepare | None) -> int:
    asyncio.get_running_loop().set_exception_handler(_fail)
    control = ClientControl()
    control.listen()
    job = await control.command()
    if (refusal := raise_fd_limit(int(job.get("connections", 0)))) is not None:
        sys.stderr.write(f"client: {refusal}\n")
        return 3
    if prepare is not None:
        await prepare(job)
    emit({"event": "ready", "role": "client", "pid": os.getpid()})
    command = await control.command()
    go = Go(command["start_ns"], command["window_ns"], command["end_ns"] or NEVER_NS)
    gc.freeze()  # All current objects live to the end: exclude them from garbage collection.
    await control.sleep_until(go.start_ns)
    done = await act(job, go, control)
    emit({"event": "done", "role": "client", "interrupted": control.stopped.is_set(), **done})
    return 0


def _fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End the process where one of its callbacks failed: what it counts would be wrong from then on."""
    error = context.get("exception")
    if error is None or isinstance(error, OSError) or "future" in context:  # a future that nobody awaits
        loop.default_exception_handler(context)
        return
    sys.stderr.write(f"client: {context['message']}: {error!r}\n")
    sys.stderr.flush()
    os._exit(1)
