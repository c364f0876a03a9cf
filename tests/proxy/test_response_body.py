"""Content as it is framed for its reader, and what it may be spliced to."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from proxy.response_body import ResponseBody
from proxy.transport import Transport
from tests.proxy_parts import response_head


class Client:
    """A transport that notes what is sent, now or at the end of the turn."""

    def __init__(self) -> None:
        self.data = b""

    def send(self, data: bytes) -> None:
        self.data += data

    write = send


def response_body(transport: object, fields: bytes, *, to_http10: bool = False) -> ResponseBody:
    head = response_head(b"HTTP/1.1 200 OK\r\nDate: d\r\n" + fields + b"\r\n")
    return ResponseBody(Mock(), head, transport, to_http10=to_http10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "to_http10", "content", "ends_by_close"),
    [
        (b"", False, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", False),
        (b"", True, b"hello", True),
        (b"Content-Length: 5\r\n", False, b"hello", False),
        (b"Content-Length: 5\r\n", True, b"hello", False),
        (b"Transfer-Encoding: chunked\r\n", False, b"hello", False),
        (b"Transfer-Encoding: chunked\r\n", True, b"hello", True),
    ],
    ids=["until close", "until close, old", "counted", "counted, old", "framed already", "unframed, old"],
)
def test_content_is_framed_for_its_reader(
    fields: bytes, to_http10: bool, content: bytes, ends_by_close: bool
) -> None:
    client = Client()
    body = response_body(client, fields, to_http10=to_http10)
    body.begin(b"he", keep_alive=True, date=b"")
    body.write(b"llo")
    body.end()
    head, _, rest = client.data.partition(b"\r\n\r\n")
    assert (rest, body.ends_by_close) == (content, ends_by_close)
    assert (b"Transfer-Encoding" in head) is (not to_http10 and b"Length" not in fields)


def test_no_content_is_no_chunk() -> None:
    """One of no bytes would be the last."""
    client = Client()
    body = response_body(client, b"")
    body.begin(b"", keep_alive=True, date=b"")
    body.write(b"hello")
    assert client.data.endswith(b"\r\n\r\n5\r\nhello\r\n")


def test_content_is_spliced_only_after_what_is_unsent() -> None:
    transport = Mock(Transport, unsent=b"", is_closing=False)
    body = response_body(transport, b"Content-Length: 5\r\n")
    assert body.sink() is transport
    transport.unsent = b"head"
    assert body.sink() is None
    transport.unsent, transport.is_closing = b"", True
    assert body.sink() is None
