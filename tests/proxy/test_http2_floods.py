"""What one client of HTTP/2 can make the proxy do or keep, with frames that cost itself next to nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import psutil
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
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.messages.model import Step
from tests.proxy_http2 import Http2Client, RawClient, fields_of
from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import DATE, TIMEOUT_S, Upstream, send

OK = b"HTTP/1.1 200 OK\r\n" + DATE
MIB = 1 << 20


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[ProxyProcess]:
    with running(upstream, "--http2", "--loop", "asyncio") as proxy:
        yield proxy


def memory(proxy: ProxyProcess) -> int:
    """Return what the proxy has resident, in bytes."""
    resident: int = psutil.Process(proxy.pid).memory_info().rss
    return resident


def opened(client: RawClient) -> list[Frame]:
    """Return the frame that opens stream 1 and leaves its request unfinished."""
    return [HeadersFrame(1, data=client.block(fields_of("POST")), flags=["END_HEADERS"])]


def reset_at_once(client: RawClient, number: int) -> list[Frame]:
    stream = 2 * number + 3
    block = client.block(fields_of())
    return [HeadersFrame(stream, data=block, flags=["END_HEADERS", "END_STREAM"]), RstStreamFrame(stream)]


def malformed(client: RawClient, number: int) -> list[Frame]:
    block = client.block(fields_of("GET", "/", ("connection", "close")))
    return [HeadersFrame(2 * number + 3, data=block, flags=["END_HEADERS", "END_STREAM"])]


def made_to_reset(client: RawClient, number: int) -> list[Frame]:
    """Have the proxy reset a stream whose request is under way (CVE-2025-8671)."""
    stream = 2 * number + 3
    block = client.block(fields_of())
    return [
        HeadersFrame(stream, data=block, flags=["END_HEADERS", "END_STREAM"]),
        WindowUpdateFrame(stream, window_increment=2**31 - 1),
    ]


FLOODS: dict[str, Callable[[RawClient, int], list[Frame]]] = {
    "pings": lambda *_: [PingFrame(0, opaque_data=b"12345678")],
    "answers to pings": lambda *_: [PingFrame(0, opaque_data=b"12345678", flags=["ACK"])],
    "settings": lambda *_: [SettingsFrame(0, settings={})],
    "changing settings": lambda _, number: [SettingsFrame(0, settings={4: 65_535 - number % 2})],
    "answers to settings": lambda *_: [SettingsFrame(0, flags=["ACK"])],
    "windows": lambda *_: [WindowUpdateFrame(0, window_increment=1)],
    "windows of a stream": lambda *_: [WindowUpdateFrame(1, window_increment=1)],
    "priorities": lambda _, number: [PriorityFrame(2 * number + 3, depends_on=1, stream_weight=9)],
    "empty content": lambda *_: [DataFrame(1, data=b"")],
    "padding": lambda *_: [DataFrame(1, data=b"", pad_length=255, flags=["PADDED"])],
    "streams that are reset at once": reset_at_once,
    "streams over the limit": lambda client, number: [
        HeadersFrame(2 * number + 3, data=client.block(fields_of("POST")), flags=["END_HEADERS"])
    ],
    "malformed requests": malformed,
    "resets by the proxy": made_to_reset,
    "content on a stream that is closed": lambda *_: [DataFrame(1, data=b"x")],
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_connection(name: str, proxy: ProxyProcess, upstream: Upstream) -> None:
    """After so many frames that the next ones would be of no use either; the others are served."""
    flood, requests = FLOODS[name], len(upstream.requests)
    with RawClient(proxy) as client:
        client.send(*opened(client))
        if "closed" in name:
            client.send(RstStreamFrame(1))
        refused = _Refused(client)
        answers = threading.Thread(target=refused)
        answers.start()
        with contextlib.suppress(ConnectionError):
            for number in range(0, 60_000, 50):
                client.send(*(frame for each in range(50) for frame in flood(client, number + each)))
        answers.join(TIMEOUT_S)
        assert refused.how in {("connection", ErrorCodes.ENHANCE_YOUR_CALM), None}
        assert refused.is_over
    with Client(proxy) as other:
        assert other.request("/other").status == 200
    assert len(upstream.requests) - requests < 600
    assert proxy.stop()["errors"]["client"]["bad_request"] >= 1


class _Refused:
    """Reads what the proxy sends until it ends the connection; `how` it has refused that."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self.how: tuple[str, int] | None = None
        self.is_over = False

    def __call__(self) -> None:
        while (refusal := self._client.refusal()) is not None and refusal[0] == "stream":
            pass
        self.how = refusal
        self._client.read()
        self.is_over = True


def test_what_was_on_its_way_to_a_stream_that_is_refused_is_no_flood(upstream: Upstream) -> None:
    with running(upstream, "--http2", "--max-body", "5000") as proxy, RawClient(proxy) as client:
        fields = fields_of("POST", "/", ("content-length", "60000"))
        streams = range(1, 11, 2)
        for stream in streams:
            client.send(HeadersFrame(stream, data=client.block(fields), flags=["END_HEADERS"]))
            assert client.refusal() == ("stream", ErrorCodes.NO_ERROR)
        for stream in streams:
            client.send(*[DataFrame(stream, data=bytes(15_000)) for _ in range(4)])
        client.send(HeadersFrame(99, data=client.block(), flags=["END_HEADERS", "END_STREAM"]))
        while True:
            frame = client.read(HeadersFrame, GoAwayFrame)
            assert isinstance(frame, HeadersFrame)
            if frame.stream_id == 99:
                break


@pytest.mark.parametrize("size", [0, 1, 16_384])
def test_a_head_without_end_is_not_collected(size: int, proxy: ProxyProcess) -> None:
    """CVE-2024-27919 and its like."""
    with RawClient(proxy) as client:
        client.send(HeadersFrame(1, data=client.block(fields_of()), flags=["END_STREAM"]))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                client.send(ContinuationFrame(1, data=bytes(size)))
        refused = client.refusal()
        assert refused is None or refused[0] == "connection"
    done = proxy.stop()["errors"]["client"]
    assert done["bad_request"] + done["head_too_large"] == 1


def test_a_small_block_does_not_become_a_huge_head(proxy: ProxyProcess) -> None:
    """A field in the table is named by a byte, as often as one likes (CVE-2016-6581)."""
    before = memory(proxy)
    with RawClient(proxy) as client:
        # RFC 7541, section 6.2.1: a literal that is remembered, with a value of 4,000 bytes.
        block = client.block(fields_of()) + b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000
        client.send(HeadersFrame(1, data=block, flags=["END_HEADERS"]))
        with contextlib.suppress(ConnectionError):
            client.send(HeadersFrame(3, data=b"\xbe" * 16_000, flags=["END_HEADERS", "END_STREAM"]))
        assert client.refusal() is not None
    assert memory(proxy) - before < 16 * MIB


def test_no_more_is_read_of_a_client_that_reads_nothing(upstream: Upstream) -> None:
    upstream.requests.clear()
    upstream.script = lambda _: send(OK + b"Content-Length: 100000\r\n\r\n" + bytes(100_000))
    with running(upstream, "--http2") as proxy, Http2Client(proxy, window=1 << 30) as client:
        for asked in range(1, 1000):
            client.begin()
            if not any(proxy.count() and len(upstream.requests) == asked for _ in range(500)):
                break
        else:
            pytest.fail("100 MB of responses wait for a client that reads none")
        for number in client.answers:
            assert len(client.read(number).content) == 100_000


def test_streams_whose_windows_stay_shut_hold_a_bounded_part_of_their_responses(upstream: Upstream) -> None:
    begun = OK + b"Content-Length: 50000000\r\n\r\n" + bytes(4 * MIB)
    upstream.script = lambda _: [*send(begun), Step("close")]
    with running(upstream, "--http2") as proxy, Http2Client(proxy, window=0) as client:
        before = memory(proxy)
        numbers = [client.begin() for _ in range(50)]
        client.until(lambda: all(client.answers[each].status for each in numbers))
        assert proxy.count()["requests"] == 50
        assert memory(proxy) - before < 50 * MIB // 4
        client.sock.close()
        assert proxy.stop()["errors"]["client"]["aborted"] == 50


@pytest.mark.long
def test_a_long_connection_does_not_grow(upstream: Upstream) -> None:
    upstream.script = lambda _: send(OK + b"Content-Length: 2\r\n\r\nok")
    with running(upstream, "--http2") as proxy, Http2Client(proxy) as client:

        def some(count: int) -> int:
            for _ in range(count):
                assert client.request("/").content == b"ok"
            return memory(proxy)

        before = some(2_000)
        assert some(6_000) - before < 2 * MIB
