"""The command line of the HTTP backend: text in, checked options out."""

from collections.abc import Sequence
from dataclasses import dataclass

from backends.http.behaviours import (
    Delay,
    Failure,
    ResponseSize,
    parse_delay,
    parse_failures,
    parse_response_size,
)
from backends.role.closing import Close, parse_close
from backends.role.command_line import Parser, server_parser
from backends.role.errors import MisuseError
from backends.role.listening import parse_address


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the HTTP backend; times in seconds, 0 for no limit."""

    listen: tuple[tuple[str, int], ...]
    kind: str
    delay: Delay | None
    response_size: ResponseSize
    idle_timeout_s: float
    requests_per_connection: int
    close: Close
    failures: dict[Failure, int]
    workers: int
    control: bool
    tls: tuple[str, str] | None
    """Files of the certificate and of its key, in PEM; None: no TLS."""


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; raise MisuseError for what makes no sense."""
    given = _parser().parse_args(arguments)
    return Options(
        listen=tuple(parse_address(text) for text in given.listen),
        kind=given.kind,
        delay=parse_delay(given.delay),
        response_size=parse_response_size(given.response_size),
        idle_timeout_s=_number(given.idle_timeout, "--idle-timeout"),
        requests_per_connection=_whole(given.requests_per_connection, "--requests-per-connection", 0),
        close=parse_close(given.close),
        failures=parse_failures(given.fail),
        workers=_whole(given.workers, "--workers", 1),
        control=given.control,
        tls=_tls(given.tls_cert, given.tls_key),
    )


def _tls(certificate: str | None, key: str | None) -> tuple[str, str] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        flag, missing = ("--tls-cert", "--tls-key") if key is None else ("--tls-key", "--tls-cert")
        raise MisuseError(f"{flag} {certificate or key} needs {missing} beside it; give both, in PEM")
    return certificate, key


def _parser() -> Parser:
    parser = server_parser("backends", "A sample server to put behind a proxy.")
    add = parser.add_argument
    add("--kind", choices=("raw", "aiohttp"), default="raw", help="raw: fast; aiohttp: a typical service")
    add("--delay", default="0", metavar="SPEC", help="5ms, uniform:1ms-20ms or exponential:10ms")
    add("--response-size", default="2", metavar="SPEC", help="2, 100KiB or 1KiB-64KiB")
    add("--idle-timeout", default="0", metavar="S", help="close idle connections after S seconds; 0: never")
    add("--requests-per-connection", default="0", metavar="N", help="then close; 0: no limit")
    add("--close", default="at-once", metavar="HOW", help="at-once, linger:MS or never")
    add("--fail", action="append", default=[], metavar="SPEC", help="every n-th: reset:N, cut:N, garbage:N")
    add("--tls-cert", metavar="FILE", help="speak TLS: the certificate, in PEM")
    add("--tls-key", metavar="FILE", help="its key, in PEM")
    add("--workers", default="1", metavar="N", help="processes that share the ports")
    return parser


def _number(text: str, flag: str) -> float:
    if not text.replace(".", "", 1).isdecimal():
        raise MisuseError(f"{flag} {text!r} is no number of seconds; write 0 or more")
    return float(text)


def _whole(text: str, flag: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise MisuseError(f"{flag} {text!r} is no whole number from {least}")
    return int(text)
