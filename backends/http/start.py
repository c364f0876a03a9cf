"""The start of the HTTP backend: flags, ports, and one process that serves, or a parent and its workers."""

import asyncio
import itertools
import multiprocessing
import socket
import ssl
from collections.abc import Sequence

import uvloop

from backends.http.behaviours import NextNumber
from backends.http.options import Options, parse_options
from backends.http.raw import RawServer
from backends.role.backend import Backend
from backends.role.counters import Counters
from backends.role.errors import MisuseError, exit_code
from backends.role.lifecycle import ready_event, run_worker
from backends.role.listening import address_of, open_listeners, raise_file_limit
from backends.role.pipes import Pipes
from backends.role.workers import fork_workers, run_parent


def main(arguments: Sequence[str]) -> int:
    """Run a backend to its end; return the exit code."""
    return exit_code(lambda: _run(parse_options(arguments)))


def _run(options: Options) -> None:
    listeners = open_listeners(options.listen, options.workers)
    addresses = [address_of(listener) for listener in listeners[0]]
    raise_file_limit()
    pipes, is_alone = Pipes(0 if options.control else None, 1), options.workers == 1
    next_number = _count_for_all() if options.failures and not is_alone else itertools.count(1).__next__

    tls = None if options.tls is None else _server_context(*options.tls)

    async def make() -> Backend:
        backend = await _make(options, next_number)
        backend.tls = tls
        return backend

    def serve(own: list[socket.socket], pipes: Pipes) -> None:
        uvloop.run(run_worker(make, own, pipes, ready=ready_event(addresses, 1), alone=is_alone))

    if is_alone:
        serve(listeners[0], pipes)
    else:
        workers = fork_workers(listeners, serve)
        asyncio.run(run_parent(workers, pipes, ready_event(addresses, len(workers))))


async def _make(options: Options, next_number: NextNumber) -> Backend:
    if options.kind == "raw":
        return RawServer(options, Counters(), next_number)
    # aiohttp takes a third of a second to import, which the raw backend shall not pay.
    from backends.http.app import make_app_server  # noqa: PLC0415

    return await make_app_server(options, Counters(), next_number)


def _server_context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        reason = getattr(error, "reason", None) or error.strerror or error
        raise MisuseError(
            f"--tls-cert {certificate} and --tls-key {key} are no certificate with its key ({reason});"
            " give both in PEM"
        ) from error
    return context


def _count_for_all() -> NextNumber:
    """Return what numbers the responses of all workers that are forked from here, each once."""
    shared = multiprocessing.get_context("fork").Value("Q")

    def next_number() -> int:
        with shared.get_lock():
            shared.value += 1
            return int(shared.value)

    return next_number
