"""The chunked coding, however it is cut: read as content, or forwarded without what belongs to one hop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ClientProtocolError
from proxy.http11.chunked import LAST_CHUNK, ChunkedReader, chunk, find_end
from proxy.http11.grammar import MAX_FIELDS
from proxy.settings import Limits
from tests.messages.corpus import cuts

LIMITS = Limits(head_bytes=64)
SPLITS = st.lists(st.integers(1, 40), max_size=20)


def read(
    pieces: list[bytes], *, keeps_framing: bool = False, limits: Limits = LIMITS
) -> tuple[bytes, bool, bytes]:
    reader = ChunkedReader(ClientProtocolError, limits, keeps_framing=keeps_framing)
    body = b""
    rest = b""
    for piece in pieces:
        if reader.done:
            rest += piece
        else:
            body += reader.feed(piece)
    assert keeps_framing or reader.total == len(body)
    return body, reader.done, reader.rest + rest


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in [*pieces, data] if piece]


CONTENTS = st.lists(st.binary(min_size=1, max_size=30), max_size=5)


@given(CONTENTS, SPLITS, st.binary(max_size=5))
def test_what_is_written_is_read(contents: list[bytes], sizes: list[int], rest: bytes) -> None:
    data = b"".join(map(chunk, contents)) + LAST_CHUNK
    assert read(split(data + rest, sizes)) == (b"".join(contents), True, rest)
    assert read(split(data + rest, sizes), keeps_framing=True) == (data, True, rest)


@pytest.mark.parametrize(
    ("data", "content", "forwarded"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"005;a\r\nhello\r\n000\r\n\r\n", b"hello", b"5\r\nhello\r\n0\r\n\r\n"),
        (
            b'5 ; a = "b\\"c;" ;d\r\nhello\r\n0\r\nX: 1\r\nY: 2\r\n\r\n',
            b"hello",
            b"5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
            b"0123456789" * 2,
            b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        ),
        (b"0a;x\r\n0123456789\r\n0;y\r\n\r\n", b"0123456789", b"a\r\n0123456789\r\n0\r\n\r\n"),
    ],
)
def test_right(data: bytes, content: bytes, forwarded: bytes) -> None:
    for pieces in cuts(data + b"NEXT"):
        assert read(pieces) == (content, True, b"NEXT")
        assert read(pieces, keeps_framing=True) == (forwarded, True, b"NEXT")


@pytest.mark.parametrize(
    "data",
    [
        b"g\r\n",
        b"\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"+5\r\n",
        b"0x5\r\n",
        b"5_0\r\n",
        b"5\n",
        b"5\r5",
        b"5;a\x00\r\n",
        b"00000000000000005\r\n",
        b"5" * 99,
        b"5;a=" + b"b" * 99 + b"\r\n",
        b"5\r\nhellox",
        b"5\r\nhello\n",
        b"5\r\nhello\rx",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\n X: 1\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"0\r\n" + b"X: 1\r\n" * 20,
        b"0\r\n" + b"X: 1\r\n" * 11 + b"\r\n",
        b"0\r\nX: " + b"x" * 99,
        (b"1;a=" + b"b" * 30 + b"\r\nx\r\n") * 9,
        b"1;a=" + b"b" * 65 + b"\r\nx\r\n",
    ],
)
@pytest.mark.parametrize("keeps_framing", [False, True])
def test_wrong(data: bytes, keeps_framing: bool) -> None:
    for pieces in cuts(data):
        with pytest.raises(ClientProtocolError):
            read(pieces, keeps_framing=keeps_framing)


@pytest.mark.parametrize("trailers", [b"", b"X: 1\r\n", b"X: 1\r\n" * 4, b"X: " + b"x" * 57 + b"\r\n"])
def test_trailers_have_one_limit_however_they_are_cut(trailers: bytes) -> None:
    """The limits of a head: 64 bytes, 4 fields."""
    for pieces in cuts(b"0\r\n" + trailers + b"\r\nNEXT"):
        assert read(pieces) == (b"", True, b"NEXT")
    longer = b"0\r\n" + trailers + b"Y: " + b"y" * 60 + b"\r\n\r\n"
    for pieces in cuts(longer):
        with pytest.raises(ClientProtocolError):
            read(pieces)


@pytest.mark.parametrize(("count", "is_read"), [(MAX_FIELDS, True), (MAX_FIELDS + 1, False)])
def test_trailers_are_no_more_than_the_fields_of_a_head(count: int, is_read: bool) -> None:
    data = b"0\r\n" + b"X: 1\r\n" * count + b"\r\n"
    for pieces in ([data], [data[:-1], data[-1:]]):
        if is_read:
            assert read(pieces, limits=Limits()) == (b"", True, b"")
        else:
            with pytest.raises(ClientProtocolError):
                read(pieces, limits=Limits())


EXTENDED = st.tuples(
    st.sampled_from([b"", b"0", b"000"]), st.binary(min_size=1, max_size=9), st.sampled_from([b"", b";a=b"])
)


@given(st.lists(EXTENDED, max_size=4), st.sampled_from([b"", b"X: 1\r\n"]), SPLITS)
def test_what_is_forwarded_is_canonical(
    chunks: list[tuple[bytes, bytes, bytes]], trailers: bytes, sizes: list[int]
) -> None:
    """The same content, in the same chunks; nothing beside them."""
    data = b"".join(
        b"%b%x%b\r\n%b\r\n" % (zeros, len(content), extension, content)
        for zeros, content, extension in chunks
    )
    data += b"0\r\n" + trailers + b"\r\n"
    forwarded = b"".join(chunk(content) for _, content, _ in chunks) + LAST_CHUNK
    assert read(split(data, sizes), keeps_framing=True) == (forwarded, True, b"")
    assert find_end(forwarded, 0) == len(forwarded)


@given(CONTENTS, st.binary(max_size=5), st.integers(1, 40))
def test_the_end_of_a_whole_body_is_found(contents: list[bytes], before: bytes, cut: int) -> None:
    data = before + b"".join(map(chunk, contents)) + LAST_CHUNK
    assert find_end(data, len(before)) == len(data)
    assert find_end(data + b"NEXT", len(before)) == len(data)
    assert find_end(data[:-cut] if cut < len(data) - len(before) else before, len(before)) == -1


@pytest.mark.parametrize(
    "data",
    [
        b"5;a\r\nhello\r\n0\r\n\r\n",
        b"05\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: 1\r\n\r\n",
        b"5\r\nhelloxx0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n00\r\n\r\n",
        b"",
        b"ffffffffffffffff\r\n",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"0\r\n\n\r",
    ],
)
def test_no_end_is_found_where_the_reader_must_look(data: bytes) -> None:
    assert find_end(data, 0) == -1


def test_a_reader_begins_where_it_is_told() -> None:
    reader = ChunkedReader(ClientProtocolError, LIMITS)
    assert reader.feed(b"head5\r\nhel", 4) == b"hel"
    assert reader.feed(b"xxlo\r\n0\r\n\r\nNEXT", 2) == b"lo"
    assert (reader.done, reader.rest) == (True, b"NEXT")
