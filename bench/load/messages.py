"""The requests of a worker, all different, and the check of each response.

Pure. `ResponseCheck` is the complete check of a response that http11.ResponseReader read; ordinary.py has the
faster one of a response that arrived complete in one read.
"""

from collections.abc import Iterator
from itertools import cycle
from random import Random

from bench.load import http11
from bench.load.job import LoadJob

_FILL_COUNT = 64


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
        "_low",
        "_pattern",
        "_prefix",
        "_statuses",
    )

    def __init__(self, job: LoadJob) -> None:
        self._echo = job.echo
        self._pattern = job.pattern
        self._low, self._high = job.body_bytes or http11.ANY_BODY
        self._statuses = range(job.statuses[0], job.statuses[1] + 1)
        self._prefix = identity_prefix(job)

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
