"""Responses read strictly: the shared corpus in any pieces, and the pattern of bodies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import http11
from tests.messages.corpus import RESPONSES, cuts
from tests.messages.model import Answer, Incomplete, Refuse, ResponseMessage, ResponseReading


def read(message: ResponseMessage, pieces: list[bytes]) -> ResponseReading:
    """Feed the pieces and the ending of the connection to a reader; return what it made of them."""
    reader = http11.ResponseReader(message.method.encode())
    body = RecordingBody(reader)
    try:
        for piece in pieces:
            body.feed(piece)
        if message.ending == "close":
            reader.end()
    except http11.TruncatedError:
        return Incomplete()
    except http11.ProtocolError:
        return Refuse((502,), "")
    if not reader.done and not (message.ending == "open" and body.is_until_close):
        return Incomplete()
    reusable = reader.keep_alive and not reader.trailing
    return Answer(reader.status, "", b"%d" % reader.body_bytes, reusable, reader.trailing)


class RecordingBody:
    """A reader with what the corpus asks beside: whether its body lasts until the connection ends."""

    def __init__(self, reader: http11.ResponseReader) -> None:
        self._reader = reader
        self.is_until_close = False

    def feed(self, piece: bytes) -> None:
        if self._reader.done:
            # What comes once a response is whole is trailing, in whatever piece it comes.
            self._reader.feed(piece)
            return
        self._reader.feed(piece)
        framed = self._reader.values(b"content-length") or self._reader.values(b"transfer-encoding")
        self.is_until_close = self._reader.status >= 200 and not framed and not self._reader.done


def reading(expected: ResponseReading) -> ResponseReading:
    """Return what of an expected reading a client that keeps no bodies can tell."""
    if isinstance(expected, Refuse):
        return Refuse((502,), "")
    if isinstance(expected, Incomplete):
        return Incomplete()
    length = b"%d" % len(expected.body)
    return Answer(expected.status, "", length, expected.reusable, expected.trailing)


@pytest.mark.parametrize("name", RESPONSES)
def test_the_corpus_reads_the_same_in_any_pieces(name: str) -> None:
    message = RESPONSES[name]
    allowed = [reading(expected) for expected in message.expected_of_load]
    for pieces in cuts(message.data):
        assert read(message, pieces) in allowed, pieces


WHOLE = {
    name: message.expected_of_load[0]
    for name, message in RESPONSES.items()
    if len(message.expected_of_load) == 1
    and isinstance(message.expected_of_load[0], Answer)
    and message.expected_of_load[0].framing != "until-close"
}


@pytest.mark.parametrize(("name", "answer"), WHOLE.items(), ids=WHOLE)
def test_what_follows_a_whole_response_is_never_part_of_it(name: str, answer: Answer) -> None:
    message = RESPONSES[name]
    after = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
    reader = http11.ResponseReader(message.method.encode())
    reader.feed(message.data + after)
    assert reader.trailing == answer.trailing + after
    assert reader.body_bytes == len(answer.body)


def test_a_connection_that_ends_is_never_a_whole_response() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    head = whole.index(b"hello")
    for at in range(len(whole)):
        reader = http11.ResponseReader()
        reader.feed(whole[:at])
        with pytest.raises(http11.TruncatedError) as cut:
            reader.end()
        assert cut.value.in_body == (at >= head)


@pytest.mark.parametrize(
    ("limit", "data"),
    [
        ("head", b"HTTP/1.1 200 OK\r\nA: " + b"x" * http11.HEAD_LIMIT),
        ("status line", b"HTTP/1.1 200 " + b"x" * http11.HEAD_LIMIT),
        ("chunk line", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 2000),
        ("trailers", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"x" * 70_000),
    ],
)
def test_nothing_makes_the_reader_hold_bytes_without_end(limit: str, data: bytes) -> None:
    reader = http11.ResponseReader()
    pieces = (data[at : at + 5000] for at in range(0, len(data), 5000))
    with pytest.raises(http11.ProtocolError):
        list(map(reader.feed, pieces))


@given(st.integers(0, 3000), st.integers(0, 700_000))
def test_pattern_is_recognised_from_any_offset(size: int, offset: int) -> None:
    unit = http11.PATTERN_UNIT
    data = bytes(unit[(offset + at) % len(unit)] for at in range(size))
    assert http11.is_pattern(data, offset)
    if size:
        assert not http11.is_pattern(data[:-1] + b"\x7f", offset)
        assert not http11.is_pattern(data, offset + 1)


def test_pattern_of_more_than_one_comparison() -> None:
    size = 3 * len(http11._PATTERN) + 7
    body = http11.pattern(size)
    assert len(body) == size
    assert http11.is_pattern(body, 0)
    assert not http11.is_pattern(body[:-1] + b"\n", 0)
