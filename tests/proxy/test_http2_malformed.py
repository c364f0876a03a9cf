"""What no client of HTTP/2 may send: the stream or the connection ends for it, with which code (RFC 9113).

Section 5.4.1 lets a server end the connection for an error of a stream, but not the reverse.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.proxy_http2 import PREFACE, Field, Http2Client, RawClient, fields_of
from tests.proxy_process import ProxyProcess, running
from tests.proxy_upstream import Listener, Upstream

STREAM, CONNECTION = "stream", "connection"
Frames = Callable[[RawClient], list[Frame]]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def proxy(upstream: Upstream) -> Iterator[ProxyProcess]:
    with running(upstream, "--http2") as proxy:
        yield proxy


def head(client: RawClient, stream: int = 1, *flags: str, fields: list[Field] | None = None) -> HeadersFrame:
    """Return the HEADERS of a request; without flags it is a whole one."""
    block = client.block(fields or fields_of())
    return HeadersFrame(stream, data=block, flags=flags or ("END_HEADERS", "END_STREAM"))


def post(client: RawClient, *frames: Frame, fields: tuple[Field, ...] = ()) -> list[Frame]:
    """Return the HEADERS of a request with content, and frames after it."""
    return [head(client, 1, "END_HEADERS", fields=fields_of("POST", "/", *fields)), *frames]


def whole(*changed: Field) -> Frames:
    """Return frames of a request with more fields."""
    return lambda client: [head(client, fields=fields_of("GET", "/", *changed))]


def raw(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """Return a frame that hyperframe would not write."""
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


ENDS = DataFrame(1, data=b"", flags=["END_STREAM"])

REFUSED: dict[str, tuple[str, ErrorCodes, Frames]] = {
    # Section 8.1.1: malformed requests; the table of names and values is in test_http2_fields.
    "an upper-case name": (STREAM, ErrorCodes.PROTOCOL_ERROR, whole(("Accept", "*/*"))),
    "a second line in a value": (STREAM, ErrorCodes.PROTOCOL_ERROR, whole(("a", "b\r\nc: d"))),
    "a field about the connection": (STREAM, ErrorCodes.PROTOCOL_ERROR, whole(("connection", "close"))),
    "a transfer coding": (STREAM, ErrorCodes.PROTOCOL_ERROR, whole(("transfer-encoding", "chunked"))),
    "a pseudo-field after a field": (STREAM, ErrorCodes.PROTOCOL_ERROR, whole(("a", "b"), (":path", "/"))),
    "no path": (
        STREAM,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: [head(client, fields=[each for each in fields_of() if each[0] != ":path"])],
    ),
    "a length without content": (STREAM, ErrorCodes.PROTOCOL_ERROR, whole(("content-length", "5"))),
    "a length that is no number": (CONNECTION, ErrorCodes.PROTOCOL_ERROR, whole(("content-length", "x"))),
    "more content than the length": (
        CONNECTION,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: post(client, DataFrame(1, data=b"123"), fields=(("content-length", "2"),)),
    ),
    "less content than the length": (
        CONNECTION,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: post(client, DataFrame(1, data=b"123"), ENDS, fields=(("content-length", "4"),)),
    ),
    "less content than the length, and trailers": (
        STREAM,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: post(
            client,
            DataFrame(1, data=b"123"),
            head(client, 1, "END_HEADERS", "END_STREAM", fields=[("a", "b")]),
            fields=(("content-length", "4"),),
        ),
    ),
    "a pseudo-field in trailers": (
        STREAM,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: post(client, head(client, 1, fields=[(":path", "/")])),
    ),
    "trailers that do not end the request": (
        CONNECTION,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: post(client, head(client, 1, "END_HEADERS", fields=[("a", "b")])),
    ),
    # Section 5.1: states of streams.
    "a stream of an even number": (
        CONNECTION, ErrorCodes.PROTOCOL_ERROR, lambda client: [head(client, 2)],
    ),
    "a number that goes back": (
        CONNECTION, ErrorCodes.PROTOCOL_ERROR, lambda client: [head(client, 5), head(client, 3)],
    ),
    "content on an idle stream": (
        CONNECTION, ErrorCodes.PROTOCOL_ERROR, lambda _: [DataFrame(1, data=b"x")],
    ),
    "a reset of an idle stream": (
        CONNECTION, ErrorCodes.PROTOCOL_ERROR, lambda _: [RstStreamFrame(1, error_code=0)],
    ),
    "a window of an idle stream": (
        CONNECTION, ErrorCodes.PROTOCOL_ERROR, lambda _: [WindowUpdateFrame(1, window_increment=1)],
    ),
    "content after the end": (
        STREAM, ErrorCodes.STREAM_CLOSED, lambda client: [head(client, 1), DataFrame(1, data=b"x")],
    ),
    # Section 4.3 and 6.10: heads in several frames.
    "a frame within a head": (
        CONNECTION,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: [head(client, 1, "END_STREAM"), PingFrame(0, opaque_data=b"12345678")],
    ),
    "a head that goes on on another stream": (
        CONNECTION,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: [head(client, 1, "END_STREAM"), ContinuationFrame(3, data=b"", flags=["END_HEADERS"])],
    ),
    "a continuation of nothing": (
        CONNECTION,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: [head(client, 1), ContinuationFrame(1, data=b"", flags=["END_HEADERS"])],
    ),
    "a block that is no HPACK": (
        CONNECTION,
        ErrorCodes.PROTOCOL_ERROR,
        lambda _: [HeadersFrame(1, data=b"\xff\xff\xff\xff", flags=["END_HEADERS", "END_STREAM"])],
    ),
    # Section 6: what frames must not say.
    "a stream that depends on itself": (
        CONNECTION, ErrorCodes.PROTOCOL_ERROR, lambda _: [PriorityFrame(1, depends_on=1)],
    ),
    "a window beyond its maximum": (
        CONNECTION,
        ErrorCodes.FLOW_CONTROL_ERROR,
        lambda _: [WindowUpdateFrame(0, window_increment=2**31 - 1)],
    ),
    "a window of a stream beyond its maximum": (
        STREAM,
        ErrorCodes.FLOW_CONTROL_ERROR,
        lambda client: post(client, WindowUpdateFrame(1, window_increment=2**31 - 1)),
    ),
    "a promise of a client": (
        CONNECTION,
        ErrorCodes.PROTOCOL_ERROR,
        lambda client: post(
            client, PushPromiseFrame(1, promised_stream_id=2, data=client.block(), flags=["END_HEADERS"])
        ),
    ),
    "a frame size below the least": (
        CONNECTION, ErrorCodes.PROTOCOL_ERROR, lambda _: [SettingsFrame(0, settings={5: 100})],
    ),
    "a window size beyond its maximum": (
        CONNECTION, ErrorCodes.FLOW_CONTROL_ERROR, lambda _: [SettingsFrame(0, settings={4: 2**31})],
    ),
    "push that is neither on nor off": (
        CONNECTION, ErrorCodes.PROTOCOL_ERROR, lambda _: [SettingsFrame(0, settings={2: 2})],
    ),
}  # fmt: skip

RAW_REFUSED: dict[str, tuple[ErrorCodes, bytes]] = {
    "a frame that is too long": (ErrorCodes.FRAME_SIZE_ERROR, raw(0, 0, 1, bytes(16_385))),
    "settings of five bytes": (ErrorCodes.FRAME_SIZE_ERROR, raw(4, 0, 0, bytes(5))),
    "settings on a stream": (ErrorCodes.PROTOCOL_ERROR, raw(4, 0, 1, b"")),
    "a ping of seven bytes": (ErrorCodes.FRAME_SIZE_ERROR, raw(6, 0, 0, bytes(7))),
    "a ping on a stream": (ErrorCodes.PROTOCOL_ERROR, raw(6, 0, 1, bytes(8))),
    "a reset of three bytes": (ErrorCodes.FRAME_SIZE_ERROR, raw(3, 0, 1, bytes(3))),
    "a reset of no stream": (ErrorCodes.PROTOCOL_ERROR, raw(3, 0, 0, bytes(4))),
    "a window of nothing": (ErrorCodes.PROTOCOL_ERROR, raw(8, 0, 0, bytes(4))),
    "content of no stream": (ErrorCodes.PROTOCOL_ERROR, raw(0, 0, 0, b"x")),
    "a head of no stream": (ErrorCodes.PROTOCOL_ERROR, raw(1, 4, 0, b"\x82")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, proxy: ProxyProcess) -> None:
    what, code, frames = REFUSED[name]
    before = proxy.count()["errors"]["client"]["bad_request"]
    with RawClient(proxy) as client:
        client.send(*frames(client))
        refused = client.refusal()
        assert refused == (what, code)
        if what == STREAM:
            client.send(head(client, 9))
            answer = client.read(HeadersFrame, GoAwayFrame)
            assert isinstance(answer, HeadersFrame), "the connection goes on"
            assert answer.stream_id == 9
        else:
            assert client.read() is None, "and closes"
    if code is ErrorCodes.PROTOCOL_ERROR:
        assert proxy.count()["errors"]["client"]["bad_request"] == before + 1


@pytest.mark.parametrize("name", RAW_REFUSED)
def test_frames_of_a_wrong_size_or_place_are_refused(name: str, proxy: ProxyProcess) -> None:
    code, frame = RAW_REFUSED[name]
    with RawClient(proxy) as client:
        client.sock.sendall(frame)
        refused = client.refusal()
        assert refused is not None
        # A size that is wrong has a code of its own, which h2 does not always tell.
        assert refused in {(CONNECTION, code), (CONNECTION, ErrorCodes.PROTOCOL_ERROR)}
        assert client.read() is None


def test_content_beyond_the_window_is_refused() -> None:
    """Where an upstream reads nothing, the window of the stream stays shut."""
    with Listener(takes_little=True) as listener, running(listener, "--http2") as proxy:
        with RawClient(proxy) as client, contextlib.suppress(ConnectionError):
            client.send(*post(client))
            for _ in range(4_000):
                client.send(DataFrame(1, data=bytes(16_384)))
        done = proxy.stop()
    assert done["errors"]["client"]["bad_request"] == 1


def test_frames_before_the_settings_of_the_client(proxy: ProxyProcess) -> None:
    """Section 3.4 has the preface end with SETTINGS; h2 does not mind."""
    with RawClient(proxy, begin=PREFACE) as client:
        client.send(head(client, 1))
        assert client.read(HeadersFrame, GoAwayFrame) is not None


IGNORED: dict[str, Frames | bytes] = {
    # Sections 4.1 and 5.5: what is unknown. Section 5.3.2: priorities.
    "a frame of an unknown type": raw(0xBE, 0xFF, 0, b"what"),
    "an unknown frame on a stream": raw(0xBE, 0, 1, b""),
    "an unknown setting": lambda _: [SettingsFrame(0, settings={0xFF00: 7})],
    "unknown flags": raw(6, 0xFE, 0, bytes(8)),
    "a priority": lambda _: [PriorityFrame(1, depends_on=3, stream_weight=5)],
    "a ping": lambda _: [PingFrame(0, opaque_data=b"12345678")],
    "a reset after the answer": lambda client: [head(client, 1), RstStreamFrame(1, error_code=8)],
    "a window after the answer": lambda client: [head(client, 1), WindowUpdateFrame(1, window_increment=5)],
    "a table of no size": lambda _: [SettingsFrame(0, settings={1: 0})],
    "a huge table": lambda _: [SettingsFrame(0, settings={1: 2**32 - 1})],
    "a head in pieces": lambda client: [
        HeadersFrame(7, data=(block := client.block())[:3], flags=["END_STREAM"]),
        *[ContinuationFrame(7, data=block[at : at + 1]) for at in range(3, len(block))],
        ContinuationFrame(7, data=b"", flags=["END_HEADERS"]),
    ],
}


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_no_error(name: str, proxy: ProxyProcess) -> None:
    what = IGNORED[name]
    with RawClient(proxy) as client:
        if isinstance(what, bytes):
            client.sock.sendall(what)
        else:
            client.send(*what(client))
        client.send(head(client, 9))
        while True:
            answer = client.read(HeadersFrame, GoAwayFrame)
            assert isinstance(answer, HeadersFrame)
            if answer.stream_id == 9:
                break


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (fields_of("TRACE"), 501),
        ([(":method", "CONNECT"), (":authority", "a")], 501),
        (fields_of("GET", "/", ("expect", "something")), 417),
        (fields_of("GET", "/", *((f"a{number}", "b") for number in range(101))), 431),
        (fields_of("GET", "/", ("a", "b" * 40_000)), 431),
        (fields_of("GET", "/" + "a" * 40_000), 431),
        (fields_of("OPTIONS", "*", ("max-forwards", "x")), 400),
        ([*fields_of()[:2], (":authority", "user@a"), (":path", "/")], 400),
    ],
    ids=str,
)
def test_what_is_well_formed_but_refused_has_a_status(
    fields: list[Field], status: int, proxy: ProxyProcess
) -> None:
    with Http2Client(proxy) as client:
        assert client.read(client.begin(fields)).status == status
        assert client.request("/next").content == b"/next"


@pytest.mark.parametrize(
    ("length", "content"), [([("content-length", "5001")], b""), ([], bytes(5001))], ids=["said", "sent"]
)
def test_a_body_beyond_the_limit_is_refused(length: list[Field], content: bytes, upstream: Upstream) -> None:
    with running(upstream, "--http2", "--max-body", "5000") as proxy, Http2Client(proxy) as client:
        number = client.begin(fields_of("POST", "/", *length), end=False)
        client.send(number, content)
        client.until(lambda: client.answers[number].reset is not None)
        assert (client.answers[number].status, client.answers[number].reset) == (413, 0)
        assert client.request("/next").status == 200
