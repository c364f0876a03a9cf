"""The requests of a worker, all different, and the check of each response.

Pure. `ResponseCheck` is the complete check of a response that http11.ResponseReader read; ordinary.py has the
faster one of a response that arrived complete in one read.
"""

from collections.abc import Iterator
from itertools import accumulate, count, cycle
from random import Random
from typing import Protocol

from bench.load import http11
from bench.load.job import LoadJob

_FILL_COUNT = 64
METHODS_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})
"""Their requests mean something by their content (RFC 9110, section 9.3; RFC 5789)."""


def identity_prefix(job: LoadJob) -> bytes:
    """Return the part before the number in the identities of one worker's requests."""
    return b"%d-%d-" % (job.seed, job.worker)


class RequestBuilder:
    """Builds the requests of one worker: all differ in path, fields and identity."""

    __slots__ = ("_end", "_middles", "_random", "_starts", "_weights")

    def __init__(self, job: LoadJob) -> None:
        self._random = random = Random(job.seed * 1009 + job.worker)
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        fills = ["".join(random.choices(letters, k=random.randint(4, 20))) for _ in range(_FILL_COUNT)]
        prefix = identity_prefix(job)
        self._starts = [
            f"{job.method} {path}{'&' if '?' in path else '?'}n=".encode("latin-1") for path, _ in job.paths
        ]
        self._weights = [weight for _, weight in job.paths]
        self._middles = [
            f" HTTP/1.1\r\nX-Bench-Fill: {fill}\r\nX-Bench-Id: ".encode() + prefix for fill in fills
        ]
        lines = "".join(f"\r\n{name}: {value}" for name, value in _fields(job))
        self._end = f"{lines}\r\n\r\n".encode("latin-1") + job.body

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield number and bytes of one request after the other, without end."""
        return self._to_one_path() if len(self._starts) == 1 else self._to_several_paths()

    def _to_one_path(self) -> Iterator[tuple[bytes, bytes]]:
        start, end = self._starts[0], self._end
        for number, middle in enumerate(cycle(self._middles)):
            digits = b"%d" % number
            yield digits, b"".join((start, digits, middle, digits, end))

    def _to_several_paths(self) -> Iterator[tuple[bytes, bytes]]:
        """Draw the path of each request by the weights, in an order that the seed decides."""
        end, totals = self._end, list(accumulate(self._weights))
        numbers = count()
        while True:
            starts = self._random.choices(self._starts, cum_weights=totals, k=_FILL_COUNT)
            for start, middle in zip(starts, self._middles, strict=True):
                digits = b"%d" % next(numbers)
                yield digits, b"".join((start, digits, middle, digits, end))


def _fields(job: LoadJob) -> Iterator[tuple[str, str]]:
    """Yield the fields of each request behind those that differ."""
    yield "Host", job.host_field
    yield from job.headers
    if job.is_short:
        yield "Connection", "close"
    # RFC 9110, section 8.6: a method that means content says so where there is none, too.
    if job.body or job.method in METHODS_WITH_CONTENT:
        yield "Content-Length", str(len(job.body))


class Response(Protocol):
    """A complete response, in whichever version of HTTP."""

    @property
    def trailing(self) -> bytes:
        """Return the bytes behind it, which belong to no response."""

    @property
    def status(self) -> int:
        """Return its status."""

    @property
    def is_bodiless(self) -> bool:
        """Return whether it can have no body."""

    @property
    def is_pattern_body(self) -> bool:
        """Return whether its body is a prefix of the pattern."""

    @property
    def body_bytes(self) -> int:
        """Return the length of its body."""

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field, in order."""


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
        self._statuses = job.right_statuses
        self._prefix = identity_prefix(job)

    def classify_error(self, response: Response, number: bytes) -> str | None:
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

    def _is_body_right(self, response: Response) -> bool:
        if response.is_bodiless:
            return True
        if self._pattern and not response.is_pattern_body:
            return False
        return self._low <= response.body_bytes <= self._high
