"""The command line and the life of a server that does one thing: `python -m backends.push` and its kin.

Each takes `--control --listen HOST:PORT` beside flags of its own, and talks over its pipes (docs/pipes.md).
"""

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

import uvloop

from backends.control import Pipes
from backends.counters import Counters
from backends.errors import BackendError, MisuseError
from backends.listening import address, open_listeners
from backends.options import parse_address
from backends.role import Backend, Told, ready_event, run_worker

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
    try:
        given = parser.parse_args(arguments)
        (listeners,) = open_listeners([parse_address(each) for each in given.listen], 1)
        counted = Counters() if counters is None else counters

        async def made() -> Backend:
            return await make(given, counted)

        told: Told = counted
        pipes = Pipes(0 if given.control else None, 1)
        ready = ready_event([address(each) for each in listeners], 1)
        uvloop.run(run_worker(made, told, listeners, pipes, ready=ready, alone=True))
    except BackendError as error:
        sys.stderr.write(f"backend: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.write("backend: nobody reads stdout any more; keep it open until `done`\n")
        return BackendError.exit_code
    return 0
