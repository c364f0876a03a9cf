"""What a probe is pointed at: HOST:PORT or a URL, a path and header fields. Pure, but for the resolution."""

import re
import socket
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from bench.errors import PlanError, TargetError

_PORTS = {"http": 80, "https": 443}
_WRITE = "write HOST:PORT, http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"
_PATH = re.compile(r"/[!-~]*")
_USER = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*://)?)[^/?#]*@")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_OF_THE_PROBE = frozenset(
    {"connection", "keep-alive", "content-length", "transfer-encoding", "upgrade", "expect"}
)
"""Fields that say what is measured, or that a request without content has not."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A server, and what to ask it for."""

    text: str
    """As it was typed."""
    host: str
    port: int
    is_tls: bool
    path: str
    more_paths: tuple[str, ...] = ()
    """Further ones, tried once each."""
    fields: tuple[tuple[str, str], ...] = ()
    """Further fields of each request."""
    server_name: str | None = None
    """What TLS asks for in place of the host."""

    @property
    def host_field(self) -> str:
        """Return the value of Host (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.is_tls else "http"] else f"{host}:{self.port}"

    @property
    def tls_name(self) -> str:
        """Return the name that the server's certificate must be for."""
        return self.server_name or self.host

    @property
    def scheme(self) -> str:
        """Return http or https."""
        return "https" if self.is_tls else "http"

    def with_scheme(self, scheme: str) -> str:
        """Return it as a URL with another scheme."""
        other = replace(self, is_tls=scheme == "https", port=self.port)
        return f"{scheme}://{other.host_field}{self.path}"


def parse_target(text: str) -> ProbeTarget:
    """Return the target that `text` names; PlanError where it names none."""
    has_scheme = "://" in text
    if (user := _USER.match(text)) is not None:
        # A terminal's history may hold a password; an error message that others read does not.
        shown = f"{user[1]}...@{text[user.end() :]}"
        raise PlanError(f"{shown}: it names a user; leave that out, and give -H 'Authorization: ...'")
    try:
        url = urlsplit(text if has_scheme else f"http://{text}")
        port, host = url.port, url.hostname
    except ValueError as error:
        raise PlanError(f"{text}: {str(error)[:1].lower()}{str(error)[1:]}; {_WRITE}") from error
    if url.scheme not in _PORTS or not host:
        raise PlanError(f"{text}: it is no address of a server; {_WRITE}")
    if not has_scheme and port is None:
        raise PlanError(f"{text}: it names no port; {_WRITE}")
    if port == 0:
        raise PlanError(f"{text}: port 0 is none that a server listens on; {_WRITE}")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    check_path(path, text)
    return ProbeTarget(text, host, port or _PORTS[url.scheme], url.scheme == "https", path)


def check_path(path: str, typed: str) -> str:
    """Return `path`; PlanError, which names what was `typed`, where no request can have it."""
    if _PATH.fullmatch(path) is None:
        raise PlanError(f"{typed}: {path!r} is no path; begin it with /, and write a space as %20")
    return path


def parse_field(line: str) -> tuple[str, str]:
    """Return the name and the value of a header field; PlanError where it is none, or the probe's own."""
    name, colon, value = line.partition(":")
    if not colon or _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise PlanError(f"--header {line!r} is no field; write 'NAME: VALUE'")
    if name.lower() in _OF_THE_PROBE:
        raise PlanError(f"--header {line!r}: the probe decides on {name} itself; leave it out")
    return name, value.strip()


def resolve(target: ProbeTarget) -> list[tuple[str, int]]:
    """Return the addresses of the target; TargetError where its name has none."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TargetError(
            f"{target.text}: {target.host} has no address ({reason}); write another name, or its address"
        ) from error
    return list(dict.fromkeys((str(each[4][0]), target.port) for each in found))
