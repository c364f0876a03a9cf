"""The command line of the proxy. argparse, since starting fast matters."""

import argparse
import dataclasses
import importlib.util
import ipaddress
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, get_args, get_type_hints

from proxy.errors import SettingsError
from proxy.settings import Address, Limits, ServerTls, Settings, UpstreamTls, is_ipv6, is_unix

_NUMBERS = (
    ("--workers", "workers", "processes that share the port"),
    ("--pool-idle", "pool_idle", "idle connections that one worker keeps"),
    ("--pool-max", "pool_max", "connections that one worker opens at most"),
    ("--pool-idle-timeout", "pool_idle_timeout_s", "seconds that an idle one is kept"),
    ("--requests-per-connection", "requests_per_connection", "0: no maximum"),
    ("--max-head", "head_bytes", "bytes of a head, request or response (431, 414)"),
    ("--max-body", "body_bytes", "bytes of a request body (413)"),
    ("--max-body-spool", "spool_bytes", "bytes of a chunked body stored for an HTTP/1.0 upstream (411)"),
    ("--head-timeout", "head_timeout_s", "seconds from the first byte of a head to its last (408)"),
    ("--idle-timeout", "idle_timeout_s", "seconds that a client connection may wait for a request"),
    ("--body-timeout", "body_timeout_s", "seconds without data in a request body (408)"),
    ("--min-body-rate", "min_body_rate", "bytes a second of a request body, on average (408); 0: any"),
    ("--connect-timeout", "connect_timeout_s", "seconds until an upstream accepts a connection (504)"),
    ("--read-timeout", "read_timeout_s", "seconds without data of a pending response (504)"),
    ("--half-closed-timeout", "half_closed_timeout_s", "the same once the client has closed its side"),
    ("--max-fails", "max_fails", "failed connects that eject an upstream for a while; 0: never"),
    ("--fail-timeout", "fail_timeout_s", "seconds in which failures count, and of an ejection"),
    ("--tunnel-timeout", "tunnel_timeout_s", "seconds without data in a tunnel"),
    ("--queue-timeout", "queue_timeout_s", "seconds that a request may wait for a connection (503)"),
    ("--queue-length", "queue_length", "requests that may wait while --pool-max are open (503)"),
    ("--max-clients", "clients", "client connections of one worker (503)"),
    ("--drain-timeout", "drain_timeout_s", "seconds that current exchanges may take after SIGTERM"),
)
"""Flags with their fields of Settings or Limits, whose defaults they have, and their help."""
_MAY_BE_ZERO = ("pool_idle", "requests_per_connection", "max_fails", "min_body_rate")
_CHOICES = (
    ("--closes-first", "closes_first", "which side closes first in short mode"),
    ("--upstream-http", "upstream_http", "HTTP version of upstream requests"),
    ("--loop", "loop", "event loop; auto: uvloop where it is installed"),
)
"""The same with fields of a literal type."""
_MAX_PATH_BYTES = 107
"""`sun_path` holds a null byte too (linux/un.h)."""


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
    given = vars(_parser().parse_args(argv))
    start = Start(given.pop("control"), given.pop("listener"))
    limits = Limits(**{each: given.pop(each) for each in _fields(Limits) & given.keys()})
    upstreams, sources = tuple(given.pop("upstreams")), tuple(given.pop("sources"))
    given |= {"server_tls": _server_tls(given), "upstream_tls": _upstream_tls(given)}
    settings = Settings(**given, upstreams=upstreams, sources=sources, limits=limits)
    for host in settings.sources:
        if any(is_ipv6(host) != is_ipv6(each) or is_unix(each) for each, _ in settings.upstreams):
            raise SettingsError(f"--source {host} and --upstream are of different families")
    if settings.loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise SettingsError(
            "--loop uvloop is not installed; install it (pip install uvloop), or leave it out"
        )
    if settings.http2 and importlib.util.find_spec("h2") is None:
        raise SettingsError("--http2 needs the library h2; install it (pip install h2), or leave it out")
    return settings, start


def _server_tls(given: dict[str, Any]) -> ServerTls | None:
    certificate, key = given.pop("tls_cert"), given.pop("tls_key")
    if (certificate is None) != (key is None):
        flag, missing = ("--tls-cert", "--tls-key") if key is None else ("--tls-key", "--tls-cert")
        raise SettingsError(f"{flag} {certificate or key} needs {missing} beside it; give both, in PEM")
    return None if certificate is None else ServerTls(certificate, key)


def _upstream_tls(given: dict[str, Any]) -> UpstreamTls | None:
    has_tls = given.pop("has_upstream_tls")
    settings = UpstreamTls(
        verify=not given.pop("upstream_insecure"),
        authority=given.pop("upstream_cacert"),
        name=given.pop("upstream_sni"),
        sessions=not given.pop("no_upstream_tls_sessions"),
    )
    if has_tls:
        return settings
    for flag, is_given in (
        ("--upstream-insecure", not settings.verify),
        ("--upstream-cacert", settings.authority is not None),
        ("--upstream-sni", settings.name is not None),
        ("--no-upstream-tls-sessions", not settings.sessions),
    ):
        if is_given:
            raise SettingsError(f"{flag} has no effect without --upstream-tls; add it, or leave {flag} out")
    return None


def _fields(settings: type[Limits | Settings]) -> dict[str, Any]:
    """Return the fields that a flag may set, with their defaults."""
    return {each.name: each.default for each in dataclasses.fields(settings) if each.init}


def _parser() -> argparse.ArgumentParser:
    defaults, types = _fields(Settings) | _fields(Limits), get_type_hints(Settings)
    parser = _Parser(
        prog="python -m proxy",
        description="A reverse proxy for HTTP/1.1, and HTTP/2 with clients, with an upstream pool.",
    )
    add = parser.add_argument
    add("--listen", type=_address, required=True, metavar="HOST:PORT", help="port 0: chosen by the kernel")
    upstream = add("--upstream", dest="upstreams", type=_upstream, required=True, action="append")
    upstream.metavar = "HOST:PORT"
    upstream.help = "or unix:/PATH; repeatable: used in turn; if one cannot be reached, the next"
    mode = add("--mode", choices=get_args(types["mode"]), required=True)
    mode.help = "whether upstream connections are reused"
    source = add("--source", dest="sources", type=_source, action="append", default=[], metavar="ADDRESS")
    source.help = "address to connect from; repeatable: used in turn"
    for flag, name, text in _CHOICES:
        choice = add(flag, choices=get_args(types[name]), default=defaults[name])
        choice.help = f"{text} (default {choice.default})"
    for flag, name, text in _NUMBERS:
        number = add(flag, dest=name, default=defaults[name])
        is_time = isinstance(number.default, float)
        number.type = _seconds if is_time else _integer(least=0 if name in _MAY_BE_ZERO else 1)
        number.metavar = "S" if is_time else "N"
        number.help = f"{text} (default {number.default:.10g})"
    http2 = add("--http2", action="store_true")
    http2.help = "speak HTTP/2 too with clients: by ALPN with TLS, else with those who begin so"
    _add_tls(add)
    add("--control", action="store_true", help="read commands from stdin; end with it")
    add("--listener", type=int, help=argparse.SUPPRESS)
    return parser


def _add_tls(add: Callable[..., argparse.Action]) -> None:
    add("--tls-cert", metavar="FILE", help="speak TLS with clients: the certificate, in PEM")
    add("--tls-key", metavar="FILE", help="its key, in PEM")
    add("--upstream-tls", dest="has_upstream_tls", action="store_true", help="speak TLS with upstreams")
    add("--upstream-cacert", metavar="FILE", help="certificates that are trusted, in PEM; else the system's")
    add("--upstream-insecure", action="store_true", help="do not verify the upstreams' certificates")
    add("--upstream-sni", metavar="NAME", help="name that their certificates must be for; else the address")
    add("--no-upstream-tls-sessions", action="store_true", help="resume no TLS session with upstreams")


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
