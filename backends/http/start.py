"""Starts the event loops: one process that serves, or a parent and its workers."""

import asyncio
import itertools
import multiprocessing
import socket

import uvloop

from backends.behaviours import Number
from backends.control import Pipes
from backends.counters import Counters
from backends.options import Options
from backends.role import Backend, ready_event, run_worker
from backends.server import Server
from backends.workers import fork_workers, run_parent


def _own_pipes(options: Options) -> Pipes:
    return Pipes(0 if options.control else None, 1)


def _numbers_for_all() -> Number:
    """Return what numbers the responses of all workers that are forked from here, each once."""
    shared = multiprocessing.get_context("fork").Value("Q")

    def number() -> int:
        with shared.get_lock():
            shared.value += 1
            return int(shared.value)

    return number


async def _run(
    options: Options,
    listeners: list[socket.socket],
    pipes: Pipes,
    ready: dict[str, object],
    *,
    number: Number,
    alone: bool,
) -> None:
    counters = Counters()

    async def make() -> Backend:
        if options.kind == "raw":
            return Server(options, counters, number)
        # aiohttp takes a third of a second to import, which the raw backend shall not pay.
        from backends.app import make_app_server  # noqa: PLC0415

        return await make_app_server(options, counters, number)

    await run_worker(make, counters, listeners, pipes, ready=ready, alone=alone)


def run_alone(options: Options, listeners: list[socket.socket], addresses: list[str]) -> None:
    """Serve in this process until told to stop."""
    ready = ready_event(addresses, 1)
    number = itertools.count(1).__next__
    uvloop.run(_run(options, listeners, _own_pipes(options), ready, number=number, alone=True))


def run_several(options: Options, listeners: list[list[socket.socket]], addresses: list[str]) -> None:
    """Serve in forked workers, one per list of listeners; this process only speaks for them."""

    number = _numbers_for_all() if options.failures else itertools.count(1).__next__

    def serve(own: list[socket.socket], pipes: Pipes) -> None:
        ready = ready_event(addresses, 1)
        uvloop.run(_run(options, own, pipes, ready, number=number, alone=False))

    workers = fork_workers(listeners, serve)
    asyncio.run(run_parent(workers, _own_pipes(options), ready_event(addresses, len(workers))))
