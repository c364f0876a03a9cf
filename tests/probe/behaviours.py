"""Servers with a behaviour each: scripted conversations on real sockets that note when they ended one."""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from bench.probe.limits import ProbeSettings
from bench.probe.model import KeepAliveCase, ProbeResult
from bench.probe.probing import probe
from bench.probe.progress import tell_nobody
from bench.probe.target import parse_target
from tests.load.scripted import Conversation, Server, serving

ABSENT = b"bench-probe-no-such-page"
_REASONS = {
    200: "OK",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    404: "Not Found",
    426: "Upgrade Required",
    505: "HTTP Version Not Supported",
}


@dataclass(frozen=True)
class Behaviour:
    """What a server does with its connections."""

    idle_s: float | None = None
    blank_s: float | None = 0.2
    """The idle time of a connection without a request."""
    ending: str = "FIN"
    """FIN, RST, "forgets" (an RST for the next request) or "ignores" (nothing, whatever comes)."""
    every_s: float = 0.0
    """It looks at its connections so often; 0: a timer for each."""
    most: int | None = None
    """Requests on a connection."""
    is_short: bool = False
    """Each connection ends after its first response."""
    announces: bool = True
    """It says `Connection: close` before it ends a connection."""
    ends_after: tuple[str, ...] = ()
    """Kinds of exchanges after which it ends the connection: a status, or HEAD."""
    version: str = "HTTP/1.1"
    keeps_http_1_0: bool = True
    refuses_http_1_0: int = 0
    """The status that it answers HTTP/1.0 with; 0: it speaks it."""
    framing: str = "length"
    """length, chunked or close."""
    before: bytes = b""
    """What precedes each response, such as a 100."""
    more: str = ""
    """Further field lines, each with its CRLF."""
    delay_s: float = 0.0
    etag: bool = True
    wants_host: bool = True
    last_words: bytes = b""
    """What it sends before it ends an idle connection."""
    crumbs: bool = False
    """It sends its responses byte by byte."""


@dataclass
class Kept:
    """What the server noted."""

    server: Server
    idle_s: list[float] = field(default_factory=list)
    """How long each connection that it ended after a response had been idle."""


@contextmanager
def behaving(behaviour: Behaviour) -> Iterator[Kept]:
    """Run a server that behaves so."""
    idle_s: list[float] = []

    def script(conversation: Conversation) -> None:
        converse(behaviour, conversation, idle_s)

    with serving(script) as server:
        yield Kept(server, idle_s)


def converse(behaviour: Behaviour, conversation: Conversation, idle_s: list[float] | None = None) -> None:
    """Behave so on one connection; `idle_s` takes how long it was idle, where the server ends it."""
    _Connection(behaviour, conversation, [] if idle_s is None else idle_s).serve()


class _Connection:
    def __init__(self, behaviour: Behaviour, conversation: Conversation, idle_s: list[float]) -> None:
        self.behaviour, self.conversation, self.idle_s = behaviour, conversation, idle_s
        self.sock = conversation.sock
        self.answered = 0

    def serve(self) -> None:
        while (head := self.read_head()) is not None:
            if not self.answer(head):
                return

    def read_head(self) -> bytes | None:
        """Return the next head; None where the connection is over."""
        data = b""
        limit_s = self.behaviour.idle_s if self.answered else self.behaviour.blank_s
        began_s = time.monotonic()
        while b"\r\n\r\n" not in data:
            self.sock.settimeout(None if limit_s is None else self.left_s(began_s, limit_s))
            try:
                more = self.sock.recv(65_536)
            except TimeoutError:
                self.end_idle(began_s)
                return None
            except OSError:
                return None
            if not more:
                return None
            data += more
        self.conversation.count(data)
        return data

    def left_s(self, began_s: float, limit_s: float) -> float:
        due_s, every_s = began_s + limit_s, self.behaviour.every_s
        if every_s:
            due_s = math.ceil(due_s / every_s) * every_s
        return max(0.001, due_s - time.monotonic())

    def end_idle(self, began_s: float) -> None:
        if self.behaviour.ending in ("forgets", "ignores"):
            self.say_nothing()
            return
        if self.answered:
            self.idle_s.append(time.monotonic() - began_s)
        if self.behaviour.last_words:
            self.conversation.send(self.behaviour.last_words)
        if self.behaviour.ending == "RST":
            self.conversation.reset()

    def say_nothing(self) -> None:
        """Wait until the client gives up, or asks where that is answered by an RST."""
        self.sock.settimeout(None)
        try:
            while self.sock.recv(65_536) and self.behaviour.ending == "ignores":
                pass
        except OSError:
            return
        self.conversation.reset()

    def answer(self, head: bytes) -> bool:
        """Answer a request; return whether the connection stays."""
        behaviour = self.behaviour
        self.answered += 1
        if head.startswith(b"PRI "):
            return False
        if behaviour.delay_s:
            time.sleep(behaviour.delay_s)
        status = self.status(head)
        is_head, is_old = head.startswith(b"HEAD "), b" HTTP/1.0\r\n" in head
        kind = "HEAD" if is_head else str(status)
        ends = behaviour.is_short or self.answered == behaviour.most or kind in behaviour.ends_after
        ends = ends or (is_old and not behaviour.keeps_http_1_0)
        lines = [f"{behaviour.version} {status} {_REASONS[status]}"]
        if ends and behaviour.announces:
            lines.append("Connection: close")
        elif is_old or behaviour.version == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        if behaviour.etag:
            lines.append('ETag: "a"')
        body = b"" if is_head or status in (204, 304) else b"hello"
        sent = self.frame(lines, body, status)
        self.send(behaviour.before + sent)
        return not (ends or behaviour.framing == "close")

    def status(self, head: bytes) -> int:
        if self.behaviour.refuses_http_1_0 and b" HTTP/1.0\r\n" in head:
            return self.behaviour.refuses_http_1_0
        if ABSENT in head:
            return 404
        if b"\r\nIf-None-Match:" in head and self.behaviour.etag:
            return 304
        if self.behaviour.wants_host and not re.search(rb"\r\nHost:", head) and b"HTTP/1.1" in head:
            return 400
        return 204 if head.startswith(b"GET /empty ") else 200

    def frame(self, lines: list[str], body: bytes, status: int) -> bytes:
        framing = self.behaviour.framing
        if status in (204, 304):
            pass
        elif framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            body = b"5\r\nhello\r\n0\r\n\r\n" if body else b""
        elif framing == "length":
            lines.append("Content-Length: 5")
        return ("\r\n".join(lines) + "\r\n" + self.behaviour.more + "\r\n").encode() + body

    def send(self, data: bytes) -> None:
        if not self.behaviour.crumbs:
            self.conversation.send(data)
            return
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(len(data)):
            self.conversation.send(data[index : index + 1])


def probed(
    port: int, max_s: float = 3.0, path: str = "/", more_paths: tuple[str, ...] = (), patience_s: float = 5.0
) -> ProbeResult:
    """Return what a probe finds at a server on this machine."""
    target = replace(parse_target(f"127.0.0.1:{port}"), path=path, more_paths=more_paths)
    return probe(target, ProbeSettings(max_s=max_s, patience_s=patience_s), None, tell_nobody)


def at(behaviour: Behaviour, max_s: float = 3.0, patience_s: float = 5.0) -> tuple[ProbeResult, Kept]:
    """Return what a probe finds at a server that behaves so, and what the server noted."""
    with behaving(behaviour) as kept:
        result = probed(kept.server.port, max_s, patience_s=patience_s)
    return result, kept


def case(result: ProbeResult, name: str) -> KeepAliveCase:
    """Return one case of a probe."""
    return next(each for each in result.cases if each.name == name)
