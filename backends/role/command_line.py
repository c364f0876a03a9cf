"""The command line and the life of a server that runs in one process: `python -m backends.scenarios...`.

Each accepts `--control --listen HOST:PORT` besides flags of its own, and talks over pipes
(docs/reference/pipes.md).
"""

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn

import uvloop

from backends.role.backend import Backend
from backends.role.errors import MisuseError, exit_code
from backends.role.lifecycle import ready_event, run_worker
from backends.role.listening import address_of, open_listeners, parse_address, raise_file_limit
from backends.role.pipes import Pipes

Make = Callable[[argparse.Namespace], Awaitable[Backend]]
"""Makes the server inside its loop, from its flags, whose `listen` is where it really listens."""


class Parser(argparse.ArgumentParser):
    """A command line whose misuse is one line and an exit code."""

    def error(self, message: str) -> NoReturn:
        """Raise MisuseError."""
        raise MisuseError(message)


def server_parser(program: str, description: str) -> Parser:
    """Return the command line of a server, with the flags that all of them have."""
    parser = Parser(prog=f"python -m {program}", description=description)
    parser.add_argument("--listen", action="append", required=True, metavar="HOST:PORT")
    parser.add_argument("--control", action="store_true", help="accept commands from stdin")
    return parser


def run_server(parser: Parser, make: Make) -> NoReturn:
    """Run a server to its end; exit with its code."""
    sys.exit(exit_code(lambda: _serve(parser.parse_args(), make)))


def _serve(given: argparse.Namespace, make: Make) -> None:
    (listeners,) = open_listeners([parse_address(each) for each in given.listen], 1)
    given.listen = [address_of(each) for each in listeners]
    ready = ready_event(given.listen, 1)
    raise_file_limit()
    pipes = Pipes(0 if given.control else None, 1)
    uvloop.run(run_worker(lambda: make(given), listeners, pipes, ready=ready, alone=True))
