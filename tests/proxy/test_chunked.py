"""The chunked coding, however it is cut; what the proxy writes is read back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ClientProtocolError
from proxy.http11.chunked import LAST_CHUNK, ChunkedReader, chunk
from tests.messages.corpus import cuts

SPLITS = st.lists(st.integers(1, 40), max_size=20)


def read(pieces: list[bytes]) -> tuple[bytes, bool, bytes]:
    reader = ChunkedReader(ClientProtocolError, 64)
    content = b""
    rest = b""
    for piece in pieces:
        if reader.done:
            rest += piece
        else:
            content += reader.feed(piece)
    assert reader.total == len(content)
    return content, reader.done, reader.rest + rest


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=5), SPLITS, st.binary(max_size=5))
def test_what_is_written_is_read(contents: list[bytes], sizes: list[int], rest: bytes) -> None:
    data = b"".join(map(chunk, contents)) + LAST_CHUNK + rest
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    assert read([piece for piece in [*pieces, data] if piece]) == (b"".join(contents), True, rest)


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"005;a\r\nhello\r\n000\r\n\r\n", b"hello"),
        (b'5 ; a = "b\\"c;" ;d\r\nhello\r\n0\r\nX: 1\r\nY: 2\r\n\r\n', b"hello"),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
    ],
)
def test_right(data: bytes, content: bytes) -> None:
    for pieces in cuts(data + b"NEXT"):
        assert read(pieces) == (content, True, b"NEXT")


@pytest.mark.parametrize(
    "data",
    [
        b"g\r\n", b"\r\n", b" 5\r\n", b"5 \r\n", b"+5\r\n", b"0x5\r\n", b"5_0\r\n", b"5\n", b"5\r5",
        b"5;a\x00\r\n", b"00000000000000005\r\n", b"5" * 70, b"5;a=" + b"b" * 70 + b"\r\n",
        b"5\r\nhellox", b"5\r\nhello\n", b"5\r\nhello\rx", b"0\r\nX : 1\r\n\r\n", b"0\r\n X: 1\r\n\r\n",
        b"0\r\nX: 1\n\r\n", b"0\r\n" + b"X: 1\r\n" * 20,
    ],
)  # fmt: skip
def test_wrong(data: bytes) -> None:
    for pieces in cuts(data):
        with pytest.raises(ClientProtocolError):
            read(pieces)
