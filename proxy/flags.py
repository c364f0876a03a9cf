"""The command line of the proxy. argparse, since starting fast matters."""

import argparse
import dataclasses
import ipaddress
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from proxy.errors import SettingsError
from proxy.settings import Address, Limits, Settings, is_ipv6, is_unix

# Flag, field of Limits, type, help text.
_LIMIT_FLAGS: tuple[tuple[str, str, type[int] | type[float], str], ...] = (
    ("--max-head", "head_bytes", int, "bytes of a head, request or response (431, 414)"),
    ("--max-body", "body_bytes", int, "bytes of a request body (413)"),
    (
        "--max-body-spool",
        "spool_bytes",
        int,
        "bytes of a chunked body stored for an HTTP/1.0 upstream (411)",
    ),
    ("--head-timeout", "head_timeout_s", float, "seconds from the first byte of a head to its last (408)"),
    ("--idle-timeout", "idle_timeout_s", float, "seconds that a client connection may wait for a request"),
    ("--body-timeout", "body_timeout_s", float, "seconds without data in a request body (408)"),
    ("--min-body-rate", "min_body_rate", int, "bytes a second of a request body, on average (408); 0: any"),
    ("--connect-timeout", "connect_timeout_s", float, "seconds until an upstream accepts a connection (504)"),
    (
        "--read-timeout",
        "read_timeout_s",
        float,
        "seconds without data of a pending response (504)",
    ),
    (
        "--half-closed-timeout",
        "half_closed_timeout_s",
        float,
        "as --read-timeout, once the client has closed its side",
    ),
    ("--max-fails", "max_fails", int, "failed connects that eject an upstream for a while; 0: never"),
    ("--fail-timeout", "fail_timeout_s", float, "seconds in which failures count, and of an ejection"),
    ("--tunnel-timeout", "tunnel_timeout_s", float, "seconds without data in a tunnel"),
    ("--queue-timeout", "queue_timeout_s", float, "seconds that a request may wait for a connection (503)"),
    ("--queue-length", "queue_length", int, "requests that may wait while --pool-max are open (503)"),
    ("--max-clients", "clients", int, "client connections of one worker (503)"),
    ("--drain-timeout", "drain_timeout_s", float, "seconds that current exchanges may take after SIGTERM"),
)


_MAX_PATH_BYTES = 107
"""`sun_path` holds a null byte too (linux/un.h)."""
_MAY_BE_ZERO = ("max_fails", "min_body_rate")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise the message as a SettingsError."""
        raise SettingsError(f"{message}; see python -m proxy --help")


@dataclass(frozen=True, slots=True)
class Start:
    """How this process was started."""

    has_control: bool
    """Whether commands come in on stdin."""
    listener: int | None
    """An inherited descriptor to listen on; None to open one."""


def read_flags(argv: list[str]) -> tuple[Settings, Start]:
    """Return the settings of a command line, and how this process is to start.

    Raises:
        SettingsError: an invalid flag, value or combination; one line with the remedy.
    """
    args = _parser().parse_args(argv)
    limits = Limits(**{name: getattr(args, name) for _, name, _, _ in _LIMIT_FLAGS})
    settings = Settings(
        listen=args.listen,
        upstreams=tuple(args.upstream),
        mode=args.mode,
        closes_first=args.closes_first,
        upstream_http=args.upstream_http,
        pool_idle=args.pool_idle,
        pool_max=args.pool_max,
        pool_idle_timeout_s=args.pool_idle_timeout,
        requests_per_connection=args.requests_per_connection,
        sources=tuple(args.source),
        workers=args.workers,
        loop=args.loop,
        limits=limits,
    )
    for host in settings.sources:
        if any(is_ipv6(host) != is_ipv6(each) or is_unix(each) for each, _ in settings.upstreams):
            raise SettingsError(f"--source {host} and --upstream are of different families")
    return settings, Start(args.control, args.listener)


def _parser() -> argparse.ArgumentParser:
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    parser = _Parser(
        prog="python -m proxy", description="A reverse proxy for HTTP/1.1 with an upstream pool."
    )
    add = parser.add_argument
    add("--listen", type=_address, required=True, metavar="HOST:PORT", help="port 0: chosen by the kernel")
    _add_upstream_flags(parser, defaults)
    _add_number(parser, "--workers", "workers", int, "processes that share the port", defaults)
    add(
        "--loop",
        choices=("auto", "uvloop", "asyncio"),
        default="auto",
        help="event loop; auto: uvloop where it is installed",
    )
    add("--listener", type=int, help=argparse.SUPPRESS)
    add("--control", action="store_true", help="read commands from stdin; end with it")
    limits = {field.name: field.default for field in dataclasses.fields(Limits)}
    for flag, name, kind, text in _LIMIT_FLAGS:
        _add_number(parser, flag, name, kind, text, limits, least=0 if name in _MAY_BE_ZERO else 1)
    return parser


def _add_upstream_flags(parser: argparse.ArgumentParser, defaults: dict[str, object]) -> None:
    add = parser.add_argument
    add(
        "--upstream",
        type=_upstream,
        required=True,
        action="append",
        metavar="HOST:PORT",
        help="or unix:/PATH; repeatable: used in turn; if one cannot be reached, the next",
    )
    add(
        "--mode",
        choices=("short", "keepalive"),
        required=True,
        help="whether upstream connections are reused",
    )
    add(
        "--closes-first",
        choices=("proxy", "backend"),
        default="proxy",
        help="which side closes first in short mode",
    )
    add("--upstream-http", choices=("1.0", "1.1"), default="1.1", help="HTTP version of upstream requests")
    _add_number(
        parser, "--pool-idle", "pool_idle", int, "idle connections that one worker keeps", defaults, 0
    )
    _add_number(parser, "--pool-max", "pool_max", int, "connections that one worker opens at most", defaults)
    _add_number(
        parser, "--pool-idle-timeout", "pool_idle_timeout", float, "seconds that an idle one is kept",
        {"pool_idle_timeout": defaults["pool_idle_timeout_s"]},
    )  # fmt: skip
    _add_number(
        parser, "--requests-per-connection", "requests_per_connection", int, "0: no maximum", defaults, 0
    )
    add(
        "--source",
        type=_source,
        action="append",
        default=[],
        metavar="ADDRESS",
        help="repeatable: used in turn",
    )


def _add_number(  # noqa: PLR0917
    parser: argparse.ArgumentParser,
    flag: str,
    name: str,
    kind: type[int] | type[float],
    text: str,
    defaults: dict[str, object],
    least: int = 1,
) -> None:
    read = _integer(least) if kind is int else _seconds
    parser.add_argument(
        flag, dest=name, type=read, default=defaults[name], metavar="N" if kind is int else "S",
        help=f"{text} (default {defaults[name]:g})",
    )  # fmt: skip


def _integer(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= 2**62:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    try:
        # Resolved once, here: an exchange must never wait for a name server.
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"cannot resolve {host!r}: {error.strerror}; give an address"
        ) from None
    return str(found[0][4][0]), int(port)


def _upstream(text: str) -> Address:
    if text.startswith("unix:"):
        return _unix_socket(text.removeprefix("unix:"))
    host, port = _address(text)
    if port == 0:
        raise argparse.ArgumentTypeError(f"{text!r} has no port; name the one that the upstream listens on")
    return host, port


def _unix_socket(path: str) -> Address:
    if not path.startswith("/") or len(path.encode()) > _MAX_PATH_BYTES:
        raise argparse.ArgumentTypeError(
            f"{path!r} is not the absolute path of a socket, of at most {_MAX_PATH_BYTES} bytes"
        )
    return path, 0


def _source(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None
