"""What is asked and what a correct answer is: requests that differ, and the check of each response.

Pure. `Expectation.judge` is the whole check, on a response that wire.ResponseReader read;
`Expectation.ordinary_bytes` is the short way for a response that came whole in one read, with the
usual framing. What the short way accepts, the whole check accepts; what it does not know, it leaves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import cycle
from random import Random

from bench.load import wire
from bench.load.job import Job

_FILLS = 64

_NEAR = rb"(?i:content-length|transfer-encoding|connection|x-bench-id):"
_ORDINARY = (
    rb"HTTP/1\.1 200 %(text)b*+\r\n(?:"
    # A field that begins with another letter than those of _NEAR is strict, and of no interest.
    rb"[ABD-SU-WYZabd-suv-wyz]%(token)b*+:%(text)b*+\r\n"
    # The usual ones that begin as one of those do, and go on in another way.
    rb"|(?:Content-(?![Ll])|X-(?![Bb]))%(token)b*+:%(text)b*+\r\n"
    # Each of the next three once at the most: where its group has matched already, it fails.
    rb"|(?(1)(?!)|(?i:content-length): (%(length)b)\r\n)"
    rb"|(?(2)(?!)|(?i:x-bench-id): %(identity)b\r\n)"
    rb"|(?(3)(?!)|(?i:connection: (?:%(connection)b))(\r\n))"
    rb"|(?!%(near)b)%(token)b++:%(text)b*+\r\n"
    rb")*+(?(1)|(?!))\r\n%(body)b"
)
"""One strict expression for the ordinary response: one call into C, where a search for each field would
be eight. Whatever else a response may hold, it does not match."""

_LITERAL_BODY = 256
"""Bytes of the longest body that stands in the expression itself; beyond, comparing it apart is faster."""


def identity_prefix(job: Job) -> bytes:
    """Return what stands before the number in the identities of one worker's requests."""
    return b"%d-%d-" % (job.seed, job.worker)


class Requests:
    """Builds the requests of one worker: no two alike in path, fields or identity."""

    __slots__ = ("_end", "_middles", "_start")

    def __init__(self, job: Job) -> None:
        random = Random(job.seed * 1009 + job.worker)
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        fills = ["".join(random.choices(letters, k=random.randint(4, 20))) for _ in range(_FILLS)]
        fields = [("Host", job.host_field), *job.headers]
        if job.is_short:
            fields.append(("Connection", "close"))
        path = job.path + ("&" if "?" in job.path else "?")
        prefix = identity_prefix(job)
        self._start = f"{job.method} {path}n=".encode("latin-1")
        self._middles = [
            f" HTTP/1.1\r\nX-Bench-Fill: {fill}\r\nX-Bench-Id: ".encode() + prefix for fill in fills
        ]
        lines = "".join(f"\r\n{name}: {value}" for name, value in fields)
        self._end = f"{lines}\r\n\r\n".encode("latin-1")

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield number and bytes of one request after the other, without end."""
        start, end = self._start, self._end
        for number, middle in enumerate(cycle(self._middles)):
            digits = b"%d" % number
            yield digits, b"".join((start, digits, middle, digits, end))


class Expectation:
    """What a correct response to the requests of one job is."""

    __slots__ = (
        "_echo",
        "_high",
        "_is_literal",
        "_low",
        "_match",
        "_pattern",
        "_prefix",
        "_statuses",
        "ordinary_bytes",
        "usual_bytes",
    )

    def __init__(self, job: Job) -> None:
        self._echo = job.echo
        self._pattern = job.pattern
        self._low, self._high = job.body_bytes or (0, 1 << 62)
        self._is_literal = job.pattern and self._low == self._high <= _LITERAL_BODY
        self._statuses = range(job.statuses[0], job.statuses[1] + 1)
        self._prefix = identity_prefix(job)
        self._match = self._expression(job).match
        self.usual_bytes = self._low
        """Bytes of the body where `around_number` finds a number."""
        self.ordinary_bytes = self._short_way(job)
        """Returns the bytes of the body where the given bytes are a correct, ordinary response to the
        request of the given number, whole; else -1.

        Ordinary: HTTP/1.1 200, a length, no other framing, a connection that stays as long as it must.
        """

    def around_number(self, response: bytes) -> tuple[bytes, bytes]:
        """Return what stands before and after the number in a correct, ordinary response.

        Another with the same bytes around the number of its own request is correct and ordinary too:
        it differs in its number alone, and the strict expression takes any. Nothing before it: no
        number is asked for, or responses may differ in more.
        """
        found = self._match(response) if self._echo and self._is_literal else None
        return (b"", b"") if found is None else (response[: found.start(2)], response[found.end(2) :])

    def _expression(self, job: Job) -> re.Pattern[bytes]:
        known = {
            b"text": wire.TEXT,
            b"token": wire.TOKEN,
            b"near": _NEAR,
            # A client that leaves after each response does not mind being told to.
            b"connection": b"keep-alive|close" if job.is_short else b"keep-alive",
            b"identity": re.escape(self._prefix) + b"([0-9]++)" if job.echo else b"(%b*+)" % wire.TEXT,
            b"length": b"%d" % self._low if self._is_literal else b"[0-9]{1,15}",
            b"body": re.escape(wire.pattern(self._low)) + rb"\Z" if self._is_literal else b"",
        }
        return re.compile(_ORDINARY % known)

    def _short_way(self, job: Job) -> Callable[[bytes, bytes], int]:
        match, size, echo = self._match, self._low, self._echo

        def literal_bytes(data: bytes, number: bytes) -> int:
            found = match(data)
            return size if found is not None and (found[2] == number or not echo) else -1

        def measured_bytes(data: bytes, number: bytes) -> int:
            found = match(data)
            if found is None or (found[2] != number and echo):
                return -1
            return self._checked_bytes(found[1], data[found.end() :])

        def none(data: bytes, number: bytes) -> int:
            return -1

        if job.method == "HEAD":
            return none  # No response to it has a body, whatever its length says.
        return literal_bytes if self._is_literal else measured_bytes

    def _checked_bytes(self, length: bytes, body: bytes) -> int:
        """Return the bytes of `body` where it is as long as it should be, and right; else -1."""
        size = len(body)
        if int(length) != size or not self._low <= size <= self._high:
            return -1
        return size if not self._pattern or wire.is_pattern(body, 0) else -1

    def judge(self, response: wire.ResponseReader, number: bytes) -> str | None:
        """Return the kind of error that a whole `response` to request `number` is; None where it is correct.

        A status comes before the rest: the body of a 502 is not the body that was asked for.
        """
        if response.trailing:
            return "protocol"  # RFC 9112, section 9.2: never a response to anything; the connection is lost.
        if response.status not in self._statuses:
            return "status"
        if self._echo and response.values(b"x-bench-id") != [self._prefix + number]:
            return "mismatch"
        return None if self._is_body_right(response) else "body"

    def _is_body_right(self, response: wire.ResponseReader) -> bool:
        if response.is_bodiless:
            return True
        if self._pattern and not response.is_pattern_body:
            return False
        return self._low <= response.body_bytes <= self._high
