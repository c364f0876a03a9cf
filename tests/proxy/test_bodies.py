"""The body of a request on its way, whatever the cut."""

import pytest

from messages.corpus import cuts
from proxy.errors import ClientProtocolError
from proxy.http11.grammar import CHUNKED
from proxy.settings import Limits
from proxy.upload import Upload


def send(upload: Upload, pieces: list[bytes]) -> tuple[bytes, bytes]:
    framed = b""
    rest = b""
    for piece in pieces:
        if upload.done:
            rest += piece
        else:
            framed += upload.take(piece)
    return framed, upload.rest + rest


def test_a_counted_body_goes_as_it_comes() -> None:
    for pieces in cuts(b"helloNEXT"):
        upload = Upload(5, Limits())
        assert send(upload, pieces) == (b"hello", b"NEXT")
        assert upload.done


def test_a_chunked_body_is_framed_anew() -> None:
    data = b"3;x\r\nhel\r\n2\r\nlo\r\n0\r\nX: 1\r\n\r\nNEXT"
    assert send(Upload(CHUNKED, Limits()), [data]) == (b"5\r\nhello\r\n0\r\n\r\n", b"NEXT")
    for pieces in cuts(data):
        framed, rest = send(Upload(CHUNKED, Limits()), pieces)
        assert rest == b"NEXT"
        whole, nothing = send(Upload(CHUNKED, Limits()), [framed])
        assert (whole, nothing) == (b"5\r\nhello\r\n0\r\n\r\n", b"")


@pytest.mark.parametrize("data", [b"b\r\n", b"5\r\nhello\r\n6\r\nworlds\r\n"])
def test_a_chunked_body_may_be_too_long(data: bytes) -> None:
    upload = Upload(CHUNKED, Limits(body_bytes=10))
    with pytest.raises(ClientProtocolError) as caught:
        upload.take(data)
    assert caught.value.status == 413


def test_a_body_is_collected_where_its_length_must_come_first() -> None:
    data = b"3;x\r\nhel\r\n2\r\nlo\r\n0\r\nX: 1\r\n\r\nNEXT"
    for pieces in cuts(data):
        upload = Upload(CHUNKED, Limits(), collects=True)
        assert send(upload, pieces) == (b"", b"NEXT")
        assert upload.collected is not None
        assert (upload.collected.size, upload.collected.after(b"head ")) == (5, b"head hello")
    assert Upload(5, Limits(), collects=True).collected is None, "whose length is known goes as it comes"


@pytest.mark.parametrize("data", [b"b\r\n", b"5\r\nhello\r\n6\r\nworlds\r\n"])
def test_a_body_may_be_too_long_to_be_collected(data: bytes) -> None:
    upload = Upload(CHUNKED, Limits(collected_bytes=10), collects=True)
    with pytest.raises(ClientProtocolError) as caught:
        upload.take(data)
    assert caught.value.status == 411
