"""One request and its answer on a connection: nothing but GET and HEAD, and framing by load.http11."""

import asyncio
import re
from dataclasses import dataclass, field
from enum import StrEnum

from bench import __version__
from bench.load import http11
from bench.probe.connection import Ended, ProbeConnection
from bench.probe.model import Ending

_HEAD_END = b"\r\n\r\n"
_KEPT_BYTES = 2 * http11.HEAD_LIMIT
"""Of an answer: what holds its head, and those of the 1xx before it."""
_FIELD = re.compile(rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n]*)")
_PARAMETER = re.compile(r"(timeout|max)[ \t]*=[ \t]*(\"?)([0-9]{1,10})\2", re.IGNORECASE)
_MOST_ANNOUNCED = 1 << 31
"""More is no number of seconds (RFC 9111, section 1.2.2), nor of requests."""
_LONGEST_VALUE = 200
AGENT = f"bench-probe/{__version__}"


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """A request without content."""

    path: str
    method: str = "GET"
    version: str = "HTTP/1.1"
    fields: tuple[tuple[str, str], ...] = ()
    """Beside those that each request has."""
    has_host: bool = True

    def __str__(self) -> str:
        """Return what a reader calls it: `GET / with If-None-Match`."""
        version = [] if self.version == "HTTP/1.1" else [self.version]
        parts = [*version, f"{self.method} {self.path}", *(f"with {name}" for name, _ in self.fields)]
        return " ".join(parts if self.has_host else [*parts, "without Host"])

    def encode(self, host: str, more: tuple[tuple[str, str], ...] = ()) -> bytes:
        """Return its bytes; a Host in `more` stands in for `host`."""
        lines = [f"{self.method} {self.path} {self.version}"]
        names = {name.lower() for name, _ in more}
        usual = (("Host", host), ("User-Agent", AGENT), ("Accept", "*/*"))
        every = (*(each for each in usual if each[0].lower() not in names), *more, *self.fields)
        lines += [f"{name}: {value}" for name, value in every if self.has_host or name.lower() != "host"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """A whole response, and what it says about its connection."""

    version: str
    """HTTP/1.1 or HTTP/1.0, of its status line."""
    status: int
    keeps: bool
    """By its fields and its framing the connection stays (RFC 9112, section 9.3)."""
    at_s: float
    """When its last byte came, on the clock of the loop."""
    took_s: float
    """From the request to there."""
    fields: dict[str, str] = field(default_factory=dict)
    """By name in lower case; the first of each name."""
    ended: Ended | None = None
    """The end of the connection, where it came with the response."""

    @property
    def says_keep_alive(self) -> bool:
        """Return whether it says that the connection stays, as HTTP/1.0 needs it."""
        options = self.fields.get("connection", "").lower().split(",")
        return "keep-alive" in (option.strip() for option in options)

    def keep_alive(self, parameter: str) -> int | None:
        """Return `timeout` or `max` of the field Keep-Alive; None without, or where it is no such number."""
        found = dict[str, int]()
        for part in self.fields.get("keep-alive", "").split(","):
            if (pair := _PARAMETER.fullmatch(part.strip())) and int(pair[3]) <= _MOST_ANNOUNCED:
                found[pair[1].lower()] = int(pair[3])
        return found.get(parameter)


class NoAnswerCause(StrEnum):
    """Why no whole response came."""

    ENDED = "the server ended the connection without an answer"
    CUT = "the server ended the connection in the middle of its answer"
    SILENT = "no answer came"
    ENDLESS = "the answer has begun, and did not end"
    GARBLED = "what came is no HTTP/1.1"
    SURPLUS = "bytes came that belong to no response"


class NoAnswer(Exception):
    """No response, or none behind which the connection works on.

    `ended` is the end of the connection, where that is why; `status` that of a response with bytes behind it.
    """

    def __init__(
        self, cause: NoAnswerCause, detail: str = "", ended: Ended | None = None, status: int | None = None
    ) -> None:
        super().__init__(cause, detail, ended, status)
        self.cause, self.detail, self.ended, self.status = cause, detail, ended, status

    def __str__(self) -> str:
        return f"{self.cause}{f' ({self.detail})' if self.detail else ''}"


async def exchange(
    connection: ProbeConnection, request: bytes, method: str, patience_s: float
) -> ProbeAnswer:
    """Send a request and return the whole response; NoAnswer where none comes within `patience_s`."""
    clock = asyncio.get_running_loop().time
    began_s, reader, kept = clock(), http11.ResponseReader(method.encode()), b""
    if connection.take() and connection.ended is None:
        raise NoAnswer(NoAnswerCause.SURPLUS)
    connection.send(request)
    try:
        while True:
            data = connection.take()
            kept += data[: _KEPT_BYTES - len(kept)]
            reader.feed(data)
            if not reader.done and connection.ended is not None and not data:
                _end(reader, connection.ended)
            if reader.done:
                break
            if connection.failure is not None:
                raise NoAnswer(NoAnswerCause.GARBLED, f"TLS: {connection.failure}", connection.ended)
            if not data:
                await connection.wait(began_s + patience_s)
    except TimeoutError as error:
        cause = NoAnswerCause.ENDLESS if kept else NoAnswerCause.SILENT
        raise NoAnswer(cause, f"within {patience_s:g} s") from error
    except http11.ProtocolError as error:
        raise NoAnswer(NoAnswerCause.GARBLED, str(error), connection.ended) from error
    if reader.trailing:
        raise NoAnswer(NoAnswerCause.SURPLUS, ended=connection.ended, status=reader.status)
    at_s = clock()
    return _answer(kept, reader, at_s, at_s - began_s, connection.ended)


def _end(reader: http11.ResponseReader, ended: Ended) -> None:
    """Hand on the end of the connection, which ends some responses; NoAnswer where this is none of them."""
    try:
        reader.end()
    except http11.TruncatedError as error:
        cause = NoAnswerCause.CUT if error.in_body else NoAnswerCause.ENDED
        raise NoAnswer(cause, "" if ended.ending is Ending.FIN else "RST", ended) from error


def _answer(
    kept: bytes, reader: http11.ResponseReader, at_s: float, took_s: float, ended: Ended | None
) -> ProbeAnswer:
    head = _final_head(kept)
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall(head):
        fields.setdefault(name.decode().lower(), value.decode("latin-1").strip()[:_LONGEST_VALUE])
    return ProbeAnswer(
        version=head[:8].decode("latin-1"),
        status=reader.status,
        keeps=reader.keep_alive,
        at_s=at_s,
        took_s=took_s,
        fields=fields,
        ended=ended,
    )


def _final_head(kept: bytes) -> bytes:
    """Return the head of the response, behind those of 1xx (RFC 9110, section 15.2)."""
    head, _, rest = kept.partition(_HEAD_END)
    while head[9:10] == b"1" and rest:
        head, _, rest = rest.partition(_HEAD_END)
    return head
