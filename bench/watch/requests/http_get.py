"""Fetch pages by GET over at most one connection, kept, each within a second and of a bounded size."""

import io
import socket
import time
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast
from urllib.parse import SplitResult, urlsplit

from bench import __version__
from bench.watch.requests.source import SourceError, reason_of

TIME_LIMIT_S = 1.0
"""For a whole exchange with its connect: a watch looks once a second."""
_SHORTEST_WAIT_S = 0.001
"""0 would mean not to wait at all (socket.settimeout)."""
_HEAD = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: keepalive-bench/{version}\r\nAccept: */*\r\n"
    "Connection: keep-alive\r\n\r\n"
)


class Deadline:
    """A moment until which a socket may take its time."""

    def __init__(self) -> None:
        self._end_s = time.monotonic() + TIME_LIMIT_S

    def bound(self, sock: socket.socket) -> None:
        """Let the next call on a socket wait until the moment; TimeoutError where that has passed."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        sock.settimeout(max(left_s, _SHORTEST_WAIT_S))


class _TimedReader(io.RawIOBase):
    """Reads a socket until a deadline, however slowly the bytes come."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._deadline.bound(self._sock)
        return self._sock.recv_into(buffer)


class _TimedFile:
    """What http.client needs of a socket: a file to read."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._reader = _TimedReader(sock, deadline)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader)


class NoPageError(SourceError):
    """The server answers, but with another status than 200."""


class PageReader:
    """Fetches pages of one server. States: not connected, connected.

    `opened` counts its connections, `sent` its requests, but for those that a kept connection did not take.
    """

    def __init__(self, address: tuple[str, int] | Path) -> None:
        self._address = address
        self._sock: socket.socket | None = None
        self.opened = 0
        self.sent = 0

    def get(self, path: str, most_bytes: int, deadline: Deadline | None = None) -> bytes:
        """Return the page at `path`; SourceError where it does not come in time or is too large.

        A kept connection that the server has closed meanwhile is replaced by a new one, once. NoPageError
        where the server answers with another status than 200; the connection stays then.
        """
        deadline = deadline or Deadline()
        was_kept = self._sock is not None
        try:
            try:
                return self._exchange(path, most_bytes, deadline)
            except (ConnectionError, HTTPException):
                self.close()
                if not was_kept:
                    raise
                self.sent -= 1  # it came too late: the server had closed the connection
                return self._exchange(path, most_bytes, deadline)
        except NoPageError:
            raise
        except SourceError:
            self.close()
            raise
        except (OSError, HTTPException) as error:
            self.close()
            reason = reason_of(error) if isinstance(error, OSError) else f"does not speak HTTP: {error!r}"
            raise SourceError(reason, "name the address on which it answers HTTP") from error

    def close(self) -> None:
        """Close the connection; the next page opens a new one."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _exchange(self, path: str, most_bytes: int, deadline: Deadline) -> bytes:
        if self._sock is None:
            self._sock = connect(self._address, deadline)
            self.opened += 1
        deadline.bound(self._sock)
        host = "localhost" if isinstance(self._address, Path) else _host_field(*self._address)
        self._sock.sendall(_HEAD.format(path=path, host=host, version=__version__).encode())
        self.sent += 1
        with HTTPResponse(cast(socket.socket, _TimedFile(self._sock, deadline)), method="GET") as response:
            response.begin()
            body = response.read(most_bytes + 1)
            if len(body) > most_bytes:
                raise SourceError(f"answers with more than {most_bytes >> 20} MiB", "name another source")
            if response.will_close:
                self.close()
            status, reason = response.status, response.reason
        if status != 200:
            raise NoPageError(f"answers {status} {reason}".rstrip(), "name the path of its counters")
        return body


def connect(address: tuple[str, int] | Path, deadline: Deadline) -> socket.socket:
    """Return a connection to a TCP address or a Unix socket; OSError where it does not come in time."""
    if isinstance(address, Path):
        return _connected(socket.AF_UNIX, str(address), deadline)
    error: OSError | None = None
    for family, _, _, _, each in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        try:
            return _connected(family, each, deadline)
        except TimeoutError:
            raise
        except OSError as refused:
            error = refused
    raise error or OSError(f"{address[0]} has no address")


def _connected(
    family: int,
    address: str | tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
    deadline: Deadline,
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        deadline.bound(sock)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def http_address(text: str, default_port: int) -> tuple[tuple[str, int], SplitResult]:
    """Return host and port of an http:// address, and its parts; SourceError where it is none."""
    if not text.isprintable() or " " in text:
        raise SourceError("holds characters that no address has", "write http://HOST:PORT/PATH")
    try:
        parts = urlsplit(text)
        port = parts.port if parts.port is not None else default_port
    except ValueError as error:
        raise SourceError(f"is no address: {error}", "write http://HOST:PORT/PATH") from error
    if parts.scheme != "http" or not parts.hostname:
        raise SourceError("is no http:// address", "write http://HOST:PORT/PATH")
    if parts.username is not None or parts.password is not None:
        raise SourceError("holds a password, which recordings would keep", "leave it out of the address")
    return (parts.hostname, port), parts


def _host_field(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == 80 else f"{name}:{port}"
