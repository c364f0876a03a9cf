"""The check of a response that arrived complete in one read, in any field order, letter case and framing.

Pure. One strict expression reads the head and finds the four fields that matter, wherever they stand, so that
the check costs what the response holds, whichever server wrote it. Whatever the check accepts, the complete
check (messages.py) accepts; the rest it leaves undecided.
"""

import re
from collections.abc import Callable

from bench.load import http11
from bench.load.job import LoadJob
from bench.load.messages import identity_prefix

_CHECKED_NAMES = rb"(?i:content-length|transfer-encoding|connection|x-bench-id):"
_EXPRESSION = (
    rb"HTTP/1\.1 (?:200|([2-5][0-9][0-9])) %(text)b*+\r\n(?:"
    # A field that begins with another letter than those of _CHECKED_NAMES: any value.
    rb"[ABD-SU-WYZabd-suv-wyz]%(token)b*+:%(text)b*+\r\n"
    # The usual names that share their first letters with those.
    rb"|(?:[Cc]ontent-(?![Ll])|Cache-|[Xx]-(?![Bb]))%(token)b*+:%(text)b*+\r\n"
    # Each of the next four at most once: it fails if its group has matched already.
    rb"|(?(2)(?!)|(?i:content-length):%(space)b(%(length)b|([0-9]{1,15}))%(end)b)"
    rb"|(?(4)(?!)|(?i:x-bench-id):%(space)b%(identity)b%(end)b)"
    rb"|(?(5)(?!)|(?i:connection):%(space)b((?i:keep-alive)(?=\r)|%(options)b)%(end)b)"
    rb"|(?(7)(?!)|(?i:transfer-encoding):%(space)b((?i:chunked))%(end)b)"
    rb"|(?!%(checked)b)%(token)b++:%(text)b*+\r\n"
    rb")*+\r\n"
    # What most responses of a run have in common is told here too, and then the last group matches: status
    # 200, a connection that stays, and the one body that is expected, with its length or as one chunk.
    rb"(?:(?(1)(?!)|(?(6)(?!)|(?(3)(?!)|(?(2)(?(7)(?!)|%(body)b)|(?(7)%(chunk)b|(?!))))))\Z())?+"
)
# RFC 9110, section 7.6.1: a list of options, one of which may be close. Its group holds nothing, so that no
# later option that begins alike leaves it half matched: re (3.11) forgets to restore groups in such a loop.
_OPTIONS = rb"(?:(?:(?i:close)(?!%(token)b)()|%(token)b++)(?:[ \t]*+,[ \t]*+|(?=[ \t]*+\r)))++"
_USUAL = 8
"""The last group."""

_LITERAL_BODY_BYTES = 256
"""Longest body that is part of the expression itself; a longer one is faster to compare apart."""

_LONGEST_COMPARED = 1024
"""Bytes of the longest response that is compared with the one before as a whole: to join more costs more."""

Check = Callable[[bytes, bytes], tuple[int, bool] | None]
"""Return the bytes of the body, and whether the connection stays, if the data is a complete, correct
response to the request of this number; else None.
"""


CountStatus = Callable[[int], object]


def _expression(job: LoadJob) -> re.Pattern[bytes]:
    """Return the expression for a response to a request of `job`: its whole head, and a usual body.

    Groups: 1 a status other than 200, 2 length, 3 a length other than the usual one, 4 identity (the number
    alone), 5 connection, 6 close, 7 coding, 8 nothing (_USUAL).
    """
    number = re.escape(identity_prefix(job)) + rb"([0-9]++)"
    known = {
        b"text": http11.TEXT,
        b"token": http11.TOKEN,
        b"space": rb"(?: |[ \t]*+)",
        b"end": rb"[ \t]*+\r\n",
        b"checked": _CHECKED_NAMES,
        b"options": _OPTIONS % {b"token": http11.TOKEN},
        b"identity": number if job.echo else rb"(%b*+)" % http11.TEXT,
    }
    return re.compile(_EXPRESSION % (known | _usual_body(job)))


def _usual_body(job: LoadJob) -> dict[bytes, bytes]:
    """Return what the expression knows of the one body that is expected; what matches nothing if none is."""
    low, high = job.body_bytes or http11.ANY_BODY
    has_one = job.pattern and low == high <= _LITERAL_BODY_BYTES
    if not has_one or job.method == "HEAD" or 200 not in job.right_statuses:
        return dict.fromkeys((b"length", b"body", b"chunk"), rb"(?!)")
    body = re.escape(http11.pattern(low))
    chunk = rb"%x\r\n%b\r\n" % (low, body) if low else b""
    return {b"length": b"%d" % low, b"body": body, b"chunk": chunk + rb"0\r\n\r\n"}


class OrdinaryCheck:
    """The check of the responses to the requests of one job.

    `count_status` is told of each correct response with another status than 200.
    """

    __slots__ = ("_echo", "_match", "check")

    def __init__(self, job: LoadJob, count_status: CountStatus = lambda status: None) -> None:
        self._match = _expression(job).match
        self._echo = job.echo
        self.check = _build_check(self._match, job, count_status)

    def split_at_number(self, response: bytes) -> tuple[bytes, bytes]:
        """Return the bytes before and after the number in a response that passed the check.

        Another response with the same bytes around the number of its own request passes too: it differs in
        the number alone, and the expression accepts any. Both are empty if no number is expected, the
        response is too long to be worth it, or its status is to be counted.
        """
        found = self._match(response) if self._echo and len(response) <= _LONGEST_COMPARED else None
        if found is None or found[1] is not None:
            return b"", b""
        return (response[: found.start(4)], response[found.end(4) :])


def _build_check(
    match: Callable[[bytes], re.Match[bytes] | None], job: LoadJob, count_status: CountStatus
) -> Check:
    echo, pattern = job.echo, job.pattern
    low, high = job.body_bytes or http11.ANY_BODY
    usual = low, True
    right = {b"%d" % status for status in job.right_statuses}
    # RFC 9112, section 6.3, item 1.
    bodiless = right if job.method == "HEAD" else {b"204", b"304"}

    def check(data: bytes, number: bytes) -> tuple[int, bool] | None:
        found = match(data)
        if found is None or (echo and found[4] != number):
            return None
        if found.lastindex == _USUAL:
            return usual
        checked = check_unusual(data, found)
        if checked is not None and found[1] is not None:
            count_status(int(found[1]))
        return checked

    def check_unusual(data: bytes, found: re.Match[bytes]) -> tuple[int, bool] | None:
        status, length, coding = found[1] or b"200", found[2], found[7]
        if status not in right or (length is not None and coding is not None):
            return None
        end = found.end()
        size = len(data) - end
        if status in bodiless:
            return None if size else (0, found[6] is None)
        if length is None:
            size = -1 if coding is None else _chunked_bytes(data[end:], pattern)
        # Compared before anything is copied: of a long body this is the beginning.
        elif int(length) != size or (pattern and not http11.is_pattern(data[end:], 0)):
            return None
        return (size, found[6] is None) if low <= size <= high else None

    return check


def _chunked_bytes(chunks: bytes, pattern: bool) -> int:
    """Return the bytes of a complete body without trailers, of the right pattern; else -1."""
    size, at, match = 0, 0, http11.CHUNK_LINE.match
    while (line := match(chunks, at)) is not None:
        start = line.end()
        end = start + int(line[1], 16)
        at = end + 2
        if chunks[end:at] != b"\r\n":
            return -1
        if start == end:
            return size if at == len(chunks) else -1
        if pattern and not http11.is_pattern(chunks[start:end], size):
            return -1
        size += end - start
    return -1
