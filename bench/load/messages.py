"""The requests of a worker, all different, and the check of each response.

Pure. `ResponseCheck.classify_error` is the complete check of a response that http11.ResponseReader read.
`ResponseCheck.check_ordinary` is the fast check of a response that arrived complete in one read, with the
usual framing. Whatever the fast check accepts, the complete one accepts; the rest it leaves undecided.
"""

import re
from collections.abc import Callable, Iterator
from itertools import cycle
from random import Random

from bench.load import http11
from bench.load.job import LoadJob

_FILL_COUNT = 64

_CHECKED_NAMES = rb"(?i:content-length|transfer-encoding|connection|x-bench-id):"
_ORDINARY = (
    rb"HTTP/1\.1 200 %(text)b*+\r\n(?:"
    # A field that begins with another letter than those of _CHECKED_NAMES: any value.
    rb"[ABD-SU-WYZabd-suv-wyz]%(token)b*+:%(text)b*+\r\n"
    # The usual names that share their first letters with those.
    rb"|(?:Content-(?![Ll])|X-(?![Bb]))%(token)b*+:%(text)b*+\r\n"
    # Each of the next three at most once: it fails if its group has matched already.
    rb"|(?(1)(?!)|(?i:content-length): (%(length)b)\r\n)"
    rb"|(?(2)(?!)|(?i:x-bench-id): %(identity)b\r\n)"
    rb"|(?(3)(?!)|(?i:connection: (?:%(connection)b))(\r\n))"
    rb"|(?!%(checked)b)%(token)b++:%(text)b*+\r\n"
    rb")*+(?(1)|(?!))\r\n%(body)b"
)
"""One strict expression for the ordinary response: one call into C, where a search for each field would
be eight. Any other response does not match.
"""

_LITERAL_BODY_BYTES = 256
"""Longest body that is part of the expression itself; a longer one is faster to compare apart."""


def identity_prefix(job: LoadJob) -> bytes:
    """Return the part before the number in the identities of one worker's requests."""
    return b"%d-%d-" % (job.seed, job.worker)


class RequestBuilder:
    """Builds the requests of one worker: all differ in path, fields and identity."""

    __slots__ = ("_end", "_middles", "_start")

    def __init__(self, job: LoadJob) -> None:
        random = Random(job.seed * 1009 + job.worker)
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        fills = ["".join(random.choices(letters, k=random.randint(4, 20))) for _ in range(_FILL_COUNT)]
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


class ResponseCheck:
    """The check of the responses to the requests of one job."""

    __slots__ = (
        "_echo",
        "_high",
        "_is_literal",
        "_low",
        "_match",
        "_pattern",
        "_prefix",
        "_statuses",
        "check_ordinary",
        "expected_bytes",
    )

    def __init__(self, job: LoadJob) -> None:
        self._echo = job.echo
        self._pattern = job.pattern
        self._low, self._high = job.body_bytes or (0, 1 << 62)
        self._is_literal = job.pattern and self._low == self._high <= _LITERAL_BODY_BYTES
        self._statuses = range(job.statuses[0], job.statuses[1] + 1)
        self._prefix = identity_prefix(job)
        self._match = self._expression(job).match
        self.expected_bytes = self._low
        """Bytes of the body when `split_at_number` finds a number."""
        self.check_ordinary = self._build_ordinary_check(job)
        """Return the body's bytes if the data is a complete, correct, ordinary response; else -1.

        Arguments: the data, and the number of its request. Ordinary: HTTP/1.1 200, a length, no other
        framing, a connection that stays as long as it must.
        """

    def split_at_number(self, response: bytes) -> tuple[bytes, bytes]:
        """Return the bytes before and after the number in a correct, ordinary response.

        Another response with the same bytes around the number of its own request is correct and ordinary
        too: it differs in the number alone, and the strict expression accepts any. Both are empty if no
        number is expected, or responses may differ in more.
        """
        found = self._match(response) if self._echo and self._is_literal else None
        return (b"", b"") if found is None else (response[: found.start(2)], response[found.end(2) :])

    def _expression(self, job: LoadJob) -> re.Pattern[bytes]:
        known = {
            b"text": http11.TEXT,
            b"token": http11.TOKEN,
            b"checked": _CHECKED_NAMES,
            # A client that closes after each response accepts close.
            b"connection": b"keep-alive|close" if job.is_short else b"keep-alive",
            b"identity": re.escape(self._prefix) + b"([0-9]++)" if job.echo else b"(%b*+)" % http11.TEXT,
            b"length": b"%d" % self._low if self._is_literal else b"[0-9]{1,15}",
            b"body": re.escape(http11.pattern(self._low)) + rb"\Z" if self._is_literal else b"",
        }
        return re.compile(_ORDINARY % known)

    def _build_ordinary_check(self, job: LoadJob) -> Callable[[bytes, bytes], int]:
        match, size, echo = self._match, self._low, self._echo

        def check_literal(data: bytes, number: bytes) -> int:
            found = match(data)
            return size if found is not None and (found[2] == number or not echo) else -1

        def check_measured(data: bytes, number: bytes) -> int:
            found = match(data)
            if found is None or (found[2] != number and echo):
                return -1
            return self._check_body(found[1], data[found.end() :])

        def check_nothing(data: bytes, number: bytes) -> int:
            return -1

        if job.method == "HEAD":
            return check_nothing  # No response to HEAD has a body, whatever its length.
        return check_literal if self._is_literal else check_measured

    def _check_body(self, length: bytes, body: bytes) -> int:
        """Return the bytes of `body` if it has the right length and content; else -1."""
        size = len(body)
        if int(length) != size or not self._low <= size <= self._high:
            return -1
        return size if not self._pattern or http11.is_pattern(body, 0) else -1

    def classify_error(self, response: http11.ResponseReader, number: bytes) -> str | None:
        """Return the kind of error of a complete `response` to request `number`; None if it is correct.

        The status comes first: the body of a 502 is not the expected body.
        """
        if response.trailing:
            return "protocol"  # RFC 9112, section 9.2: not a response to any request.
        if response.status not in self._statuses:
            return "status"
        if self._echo and response.values(b"x-bench-id") != [self._prefix + number]:
            return "mismatch"
        return None if self._is_body_right(response) else "body"

    def _is_body_right(self, response: http11.ResponseReader) -> bool:
        if response.is_bodiless:
            return True
        if self._pattern and not response.is_pattern_body:
            return False
        return self._low <= response.body_bytes <= self._high
