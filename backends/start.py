"""Starts the event loops: one process that serves, or a parent and its workers."""

import asyncio
import socket

import uvloop

from backends.control import Pipes
from backends.options import Options
from backends.role import ready_event, run_worker
from backends.workers import fork_workers, run_parent


def _own_pipes(options: Options) -> Pipes:
    return Pipes(0 if options.control else None, 1)


def run_alone(options: Options, listeners: list[socket.socket], addresses: list[str]) -> None:
    """Serves in this process until told to stop."""
    ready = ready_event(addresses, 1)
    uvloop.run(run_worker(options, listeners, _own_pipes(options), ready=ready, alone=True))


def run_several(options: Options, listeners: list[list[socket.socket]], addresses: list[str]) -> None:
    """Serves in forked workers, one per list of listeners; this process only speaks for them."""

    def serve(own: list[socket.socket], pipes: Pipes) -> None:
        ready = ready_event(addresses, 1)
        uvloop.run(run_worker(options, own, pipes, ready=ready, alone=False))

    workers = fork_workers(listeners, serve)
    asyncio.run(run_parent(workers, _own_pipes(options), ready_event(addresses, len(workers))))
