"""The command line and the life of a server that does one thing: `python -m backends.push` and its kin.

Each takes `--control --listen HOST:PORT` beside flags of its own, and talks over its pipes (docs/pipes.md).
"""

import argparse
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import uvloop

from backends.control import Pipes
from backends.counters import Counters
from backends.ending import exit_code
from backends.errors import MisuseError
from backends.listening import address, allow_connections, open_listeners
from backends.options import parse_address
from backends.role import Acceptor, Backend, MakeBackend, Told, ready_event, run_worker

Make = Callable[[argparse.Namespace, Counters], Awaitable[Backend | Acceptor]]
"""Makes the server inside its loop, from its flags; counts in the counters that it is given."""


class Parser(argparse.ArgumentParser):
    """A command line whose misuse is one line and an exit code."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(prog=f"python -m {program}", description=description)
        self.add_argument("--listen", action="append", required=True, metavar="HOST:PORT")
        self.add_argument("--control", action="store_true", help="take commands from stdin")

    def error(self, message: str) -> NoReturn:
        raise MisuseError(message)


@dataclass(frozen=True, slots=True)
class Part:
    """What a server is, once its flags are read: how it is made, what it counts, and its TLS, if any.

    When it is made, the flags hold the addresses on which it really listens.
    """

    make: MakeBackend
    counters: Told
    tls: ssl.SSLContext | None = None
    also: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    """The commands that it obeys beside the usual ones."""


def main(parser: Parser, arguments: Sequence[str], make: Make, counters: Counters | None = None) -> int:
    """Run a server to its end; return the exit code."""
    counted = counters or Counters()
    return run(parser, arguments, lambda given: Part(lambda: make(given, counted), counted))


def run(parser: Parser, arguments: Sequence[str], part: Callable[[argparse.Namespace], Part]) -> int:
    """Run the part that a server's flags make of it to its end; return the exit code."""

    def play() -> None:
        given = parser.parse_args(arguments)
        _play(part(given), given)

    return exit_code(play)


def _play(part: Part, given: argparse.Namespace) -> None:
    (listeners,) = open_listeners([parse_address(each) for each in given.listen], 1)
    given.listen = [address(each) for each in listeners]
    pipes = Pipes(0 if given.control else None, 1)
    ready = ready_event(given.listen, 1)
    allow_connections()
    life = run_worker(
        part.make, part.counters, listeners, pipes, ready=ready, alone=True, tls=part.tls, also=part.also
    )
    uvloop.run(life)
