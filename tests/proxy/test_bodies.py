"""Request bodies in transit, in any pieces."""

import pytest

from proxy.bodies import RequestBody
from proxy.errors import ClientProtocolError
from proxy.http11.grammar import CHUNKED
from proxy.settings import Limits
from tests.messages.corpus import cuts


def send(body: RequestBody, pieces: list[bytes]) -> tuple[bytes, bytes]:
    framed = b""
    rest = b""
    for piece in pieces:
        if body.done:
            rest += piece
        else:
            framed += body.feed(piece)
    return framed, body.rest + rest


def test_a_counted_body_goes_as_it_comes() -> None:
    for pieces in cuts(b"helloNEXT"):
        body = RequestBody(5, Limits())
        assert send(body, pieces) == (b"hello", b"NEXT")
        assert body.done


def test_a_chunked_body_is_framed_anew() -> None:
    data = b"3;x\r\nhel\r\n2\r\nlo\r\n0\r\nX: 1\r\n\r\nNEXT"
    assert send(RequestBody(CHUNKED, Limits()), [data]) == (b"5\r\nhello\r\n0\r\n\r\n", b"NEXT")
    for pieces in cuts(data):
        framed, rest = send(RequestBody(CHUNKED, Limits()), pieces)
        assert rest == b"NEXT"
        whole, nothing = send(RequestBody(CHUNKED, Limits()), [framed])
        assert (whole, nothing) == (b"5\r\nhello\r\n0\r\n\r\n", b"")


@pytest.mark.parametrize("data", [b"b\r\n", b"5\r\nhello\r\n6\r\nworlds\r\n"])
def test_a_chunked_body_may_be_too_long(data: bytes) -> None:
    body = RequestBody(CHUNKED, Limits(body_bytes=10))
    with pytest.raises(ClientProtocolError) as caught:
        body.feed(data)
    assert caught.value.status == 413


def test_a_body_is_spooled_if_its_length_must_come_first() -> None:
    data = b"3;x\r\nhel\r\n2\r\nlo\r\n0\r\nX: 1\r\n\r\nNEXT"
    for pieces in cuts(data):
        body = RequestBody(CHUNKED, Limits(), spools=True)
        assert send(body, pieces) == (b"", b"NEXT")
        assert body.spool is not None
        assert (body.spool.size, body.spool.prepend(b"head ")) == (5, b"head hello")
    assert RequestBody(5, Limits(), spools=True).spool is None, "a body of known length is streamed"


@pytest.mark.parametrize("data", [b"b\r\n", b"5\r\nhello\r\n6\r\nworlds\r\n"])
def test_a_body_may_be_too_long_to_be_spooled(data: bytes) -> None:
    body = RequestBody(CHUNKED, Limits(spool_bytes=10), spools=True)
    with pytest.raises(ClientProtocolError) as caught:
        body.feed(data)
    assert caught.value.status == 411
