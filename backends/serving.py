"""The command line and the life of a server that does one thing: `python -m backends.push` and its kin.

Each takes `--control --listen HOST:PORT` beside flags of its own, and talks over its pipes (docs/pipes.md).
"""

import argparse
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

import uvloop

from backends.control import Pipes
from backends.counters import Counters
from backends.ending import exit_code
from backends.errors import MisuseError
from backends.listening import address, allow_connections, open_listeners
from backends.options import parse_address
from backends.role import Backend, ready_event, run_worker

Make = Callable[[argparse.Namespace, Counters], Awaitable[Backend]]
"""Makes the server inside its loop, from its flags; counts in the counters that it is given."""


class Parser(argparse.ArgumentParser):
    """A command line whose misuse is one line and an exit code."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(prog=f"python -m {program}", description=description)
        self.add_argument("--listen", action="append", required=True, metavar="HOST:PORT")
        self.add_argument("--control", action="store_true", help="take commands from stdin")

    def error(self, message: str) -> NoReturn:
        raise MisuseError(message)


def main(parser: Parser, arguments: Sequence[str], make: Make, counters: Counters | None = None) -> int:
    """Runs a server to its end; returns the exit code."""
    return exit_code(lambda: _run(parser.parse_args(arguments), make, counters or Counters()))


def _run(given: argparse.Namespace, make: Make, counters: Counters) -> None:
    (listeners,) = open_listeners([parse_address(each) for each in given.listen], 1)

    async def made() -> Backend:
        return await make(given, counters)

    pipes = Pipes(0 if given.control else None, 1)
    ready = ready_event([address(each) for each in listeners], 1)
    allow_connections()
    uvloop.run(run_worker(made, counters, listeners, pipes, ready=ready, alone=True))
