"""What is asked and what a correct answer is: requests that differ, and the check of each response.

Pure. `Expectation.judge` is the whole check, on a response that wire.ResponseReader read;
`Expectation.ordinary_bytes` is the short way for a response that came whole in one read, with the
usual framing. What the short way accepts, the whole check accepts; what it does not know, it leaves.
"""

from __future__ import annotations

import re
from random import Random

from bench.load import wire
from bench.load.job import Job

_FILLS = 64
_ordinary_head = re.compile(rb"HTTP/1\.1 200 " + wire.TEXT + rb"*+\r\n" + wire.FIELDS + rb"\r\n").match
_LENGTH = b"\r\ncontent-length: "


class Requests:
    """Builds the requests of one worker: no two alike in path, fields or identity."""

    __slots__ = ("_fills", "_form", "identity_form")

    def __init__(self, job: Job) -> None:
        random = Random(job.seed * 1009 + job.worker)
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        self._fills = tuple(
            "".join(random.choices(letters, k=random.randint(4, 20))).encode() for _ in range(_FILLS)
        )
        self.identity_form = b"%d-%d-%%d" % (job.seed, job.worker)
        fields = [("Host", job.host_field), *job.headers]
        if job.is_short:
            fields.append(("Connection", "close"))
        path = job.path + ("&" if "?" in job.path else "?")
        fixed = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self._form = (
            _literal(f"{job.method} {path}n=")
            + b"%d HTTP/1.1\r\nX-Bench-Fill: %b\r\nX-Bench-Id: %b\r\n"
            + _literal(fixed + "\r\n")
        )

    def build(self, number: int) -> tuple[bytes, bytes]:
        """Return the identity and the bytes of request `number`."""
        identity = self.identity_form % number
        return identity, self._form % (number, self._fills[number % _FILLS], identity)


class Expectation:
    """What a correct response to the requests of one job is."""

    __slots__ = ("_echo", "_high", "_low", "_pattern", "_statuses")

    def __init__(self, job: Job) -> None:
        self._echo = job.echo
        self._pattern = job.pattern
        self._low, self._high = job.body_bytes or (0, 1 << 62)
        self._statuses = range(job.statuses[0], job.statuses[1] + 1)

    def ordinary_bytes(self, data: bytes, identity: bytes) -> int:
        """Return the bytes of the body where `data` is a correct, ordinary response, whole; else -1.

        Ordinary: HTTP/1.1 200, a length, no other framing, a connection that stays.
        """
        match = _ordinary_head(data)
        if match is None:
            return -1
        end = match.end()
        head = data[:end].lower()
        start = head.find(_LENGTH)
        stop = head.find(b"\r\n", start + 18)
        digits = head[start + 18 : stop]
        if (
            start < 0
            or not digits.isdigit()
            or len(data) - end != int(digits)
            or b"\r\ncontent-length" in head[stop:]
            or b"\r\ntransfer-encoding:" in head
            or (b"\r\nconnection:" in head and b"\r\nconnection: keep-alive\r\n" not in head)
        ):
            return -1
        if self._echo and b"\r\nx-bench-id: %b\r\n" % identity not in head:
            return -1
        size = len(data) - end
        if not self._low <= size <= self._high or (self._pattern and not wire.is_pattern(data[end:], 0)):
            return -1
        return size

    def judge(self, response: wire.ResponseReader, identity: bytes) -> str | None:
        """Return the kind of error that a whole `response` is; None where it is correct.

        A status comes before the rest: the body of a 502 is not the body that was asked for.
        """
        if response.trailing:
            return "protocol"  # RFC 9112, section 9.2: never a response to anything; the connection is lost.
        if response.status not in self._statuses:
            return "status"
        if self._echo and response.values(b"x-bench-id") != [identity]:
            return "mismatch"
        return None if self._is_body_right(response) else "body"

    def _is_body_right(self, response: wire.ResponseReader) -> bool:
        if response.is_bodiless:
            return True
        if self._pattern and not response.is_pattern_body:
            return False
        return self._low <= response.body_bytes <= self._high


def _literal(text: str) -> bytes:
    return text.encode("latin-1").replace(b"%", b"%%")
