"""The command line of a backend: text in, checked options out."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from backends.behaviours import (
    BodySize,
    Close,
    Delay,
    Failure,
    parse_body,
    parse_close,
    parse_delay,
    parse_failures,
)
from backends.errors import MisuseError


@dataclass(frozen=True, slots=True)
class Options:
    """What a backend was asked to be; times in seconds, 0 for no limit."""

    listen: tuple[tuple[str, int], ...]
    kind: str
    delay: Delay | None
    body: BodySize
    idle_timeout_s: float
    requests_per_connection: int
    close: Close
    failures: dict[Failure, int]
    workers: int
    control: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise MisuseError(message)


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; raises MisuseError for what makes no sense."""
    given = _parser().parse_args(arguments)
    return Options(
        listen=tuple(parse_address(text) for text in given.listen),
        kind=given.kind,
        delay=parse_delay(given.delay),
        body=parse_body(given.body),
        idle_timeout_s=_number(given.idle_timeout, "--idle-timeout"),
        requests_per_connection=_whole(given.requests_per_connection, "--requests-per-connection", 0),
        close=parse_close(given.close),
        failures=parse_failures(given.fail),
        workers=_whole(given.workers, "--workers", 1),
        control=given.control,
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m backends", description="A sample server to put behind a proxy.")
    add = parser.add_argument
    add("--listen", action="append", required=True, metavar="HOST:PORT", help="port 0 takes a free one")
    add("--kind", choices=("raw", "aiohttp"), default="raw", help="raw: fast; aiohttp: a typical service")
    add("--delay", default="0", metavar="SPEC", help="5ms, uniform:1ms-20ms or exponential:10ms")
    add("--body", default="2", metavar="SPEC", help="2, 100KiB or 1KiB-64KiB")
    add("--idle-timeout", default="0", metavar="S", help="close idle connections after S seconds; 0: never")
    add("--requests-per-connection", default="0", metavar="N", help="then close; 0: no limit")
    add("--close", default="at-once", metavar="HOW", help="at-once, linger:MS or never")
    add("--fail", action="append", default=[], metavar="SPEC", help="every n-th: reset:N, cut:N, garbage:N")
    add("--workers", default="1", metavar="N", help="processes that share the ports")
    add("--control", action="store_true", help="take commands from stdin")
    return parser


def parse_address(text: str) -> tuple[str, int]:
    """Read HOST:PORT; raises MisuseError for what is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise MisuseError(f"--listen {text!r} is no address; write HOST:PORT, such as 127.0.0.1:9000")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _number(text: str, flag: str) -> float:
    if not text.replace(".", "", 1).isdecimal():
        raise MisuseError(f"{flag} {text!r} is no number of seconds; write 0 or more")
    return float(text)


def _whole(text: str, flag: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise MisuseError(f"{flag} {text!r} is no whole number from {least}")
    return int(text)
