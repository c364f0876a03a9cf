"""One connection of HTTP/2 with scripted neighbours, to which anything happens in any order.

h2 as the client judges all that is sent: an error of the proxy's framing, or of its use of the windows, is an
exception of h2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from unittest.mock import Mock

import h2.config
import h2.connection
import h2.events
import h2.windows
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from proxy.counters import Counters
from proxy.errors import ClientProtocolError
from proxy.exchange import Exchange
from proxy.forwarding import RequestWriter
from proxy.http2.connection import Http2Connection
from proxy.http11.chunked import ChunkedReader
from proxy.http11.grammar import CHUNKED
from proxy.settings import Limits
from proxy.transport import Transport
from proxy.upload import UploadGate
from proxy.upstream import UpstreamConnection
from tests.proxy_http2 import fields_of
from tests.proxy_parts import request_head

LIMITS = Limits()
HEADS = (
    b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + bytes(20_000),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + bytes(1_000) + b"\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n" + bytes(30_000),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
    b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"garbage\r\n\r\n",
    b"HTTP/1.1 2",
)


class World:
    """The connection, its client, and the upstreams that the test plays."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.due: list[Callable[[], None]] = []
        self.waiting: list[Exchange] = []
        self.upstreams: list[UpstreamConnection] = []
        self.sent = b""
        loop = Mock(call_soon=lambda call, *args: self.due.append(lambda: call(*args)))
        self.context = Mock(
            writer=RequestWriter(LIMITS, is_http10=False, keep_alive=True, request_close=False),
            limits=LIMITS,
            counters=Counters(),
            uploads=UploadGate(loop, 2),
            default_host=b"up:1",
            date=b"Date: now\r\n",
            sends=Mock(loop=loop),
            now=0.0,
            **dict.fromkeys(("body_until", "response_until", "half_closed_until", "queue_until"), 60.0),
            **dict.fromkeys(("idle_until", "linger_until", "head_until"), 60.0),
        )
        self.context.dispatcher.acquire = self.waiting.append
        self.context.dispatcher.renew = self.waiting.append
        self.context.dispatcher.cancel = self._cancel
        self.transport = Mock(spec=Transport, unsent=b"", is_full=False, is_closing=False, is_reading=True)
        self.transport.send = self._take
        self.connection = Http2Connection(self.context, "192.0.2.1")
        self.connection.attach(self.transport)
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.client.initiate_connection()
        self.open: set[int] = set()
        self.unfinished: set[int] = set()
        self.over: dict[int, str] = {}
        self.frames: list[int] = []
        """The streams whose content has come, frame by frame."""
        self.is_lost = False

    def _cancel(self, exchange: Exchange) -> None:
        if exchange in self.waiting:
            self.waiting.remove(exchange)

    def _take(self, data: bytes) -> None:
        self.sent += bytes(data)

    @property
    def has_ended(self) -> bool:
        """Whether the proxy has ended the connection."""
        called: bool = self.transport.write_eof.called or self.transport.abort.called
        return called

    def turn(self) -> None:
        """End a turn of the event loop; the client takes what was sent."""
        while self.due:
            due, self.due = self.due, []
            for call in due:
                call()
        sent, self.sent = self.sent, b""
        for event in self.client.receive_data(sent):
            number = getattr(event, "stream_id", None) or 0
            if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset) and number in self.open:
                self.open.discard(number)
                self.unfinished.discard(number)
                self.over[number] = type(event).__name__
            elif isinstance(event, h2.events.DataReceived):
                self.frames.append(number)
                if self.dice.random() < 0.3:
                    continue
                self.client.acknowledge_received_data(event.flow_controlled_length, number)

    def say(self) -> None:
        """Pass on what the client has to send."""
        data = self.client.data_to_send()
        cut = self.dice.randrange(len(data) + 1)
        for piece in (data[:cut], data[cut:]):
            if piece and not self.is_lost:
                self.connection.data_received(piece)

    def one_of(self, numbers: set[int]) -> int | None:
        return self.dice.choice(sorted(numbers)) if numbers else None

    # What may happen.

    def begin(self) -> None:
        """Open a stream."""
        number = self.client.get_next_available_stream_id()
        is_post = self.dice.random() < 0.5
        others = self.dice.choice(([], [("expect", "100-continue")], [("content-length", "40000")]))
        fields = fields_of("POST", "/", *others) if is_post else fields_of()
        self.client.send_headers(number, fields, end_stream=not is_post)
        self.open.add(number)
        if is_post:
            self.unfinished.add(number)

    def send(self) -> None:
        """Send content."""
        number = self.one_of(self.unfinished)
        if number is not None:
            size = min(self.client.local_flow_control_window(number), self.dice.choice((0, 1, 5_000, 16_384)))
            self.client.send_data(number, bytes(size))

    def end(self) -> None:
        """End a request."""
        number = self.one_of(self.unfinished)
        if number is not None:
            self.unfinished.discard(number)
            self.client.end_stream(number)

    def reset(self) -> None:
        """Reset a stream."""
        number = self.one_of(self.open)
        if number is not None:
            self.client.reset_stream(number, ErrorCodes.CANCEL)
            self.open.discard(number)
            self.unfinished.discard(number)

    def widen(self) -> None:
        """Open the window of the connection, or of a stream."""
        self.client.increment_flow_control_window(50_000, self.one_of(self.open))

    def change_window(self) -> None:
        """Change the window of all streams, even below nothing."""
        self.client.update_settings(
            {SettingCodes.INITIAL_WINDOW_SIZE: self.dice.choice((0, 1, 1_000, 65_535))}
        )

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.client.ping(b"12345678")

    def connect(self) -> None:
        """Give an exchange that waits its connection; sometimes none."""
        if not self.waiting:
            return
        exchange = self.waiting.pop(self.dice.randrange(len(self.waiting)))
        if self.dice.random() < 0.1:
            exchange.respond(502, "no connection")
            return
        upstream = UpstreamConnection(Mock(limits=LIMITS))
        upstream.request_count = self.dice.randrange(2)
        upstream.transport = Mock(spec=Transport, unsent=b"", is_deferred=False, is_full=False)
        self.upstreams.append(upstream)
        exchange.use_connection(upstream)

    def _upstream(self) -> UpstreamConnection | None:
        living = [each for each in self.upstreams if not each.transport.abort.called]  # type: ignore[attr-defined]
        return self.dice.choice(living) if living else None

    def answer(self) -> None:
        """Have an upstream send a head."""
        if (upstream := self._upstream()) is not None:
            upstream.data_received(self.dice.choice(HEADS))

    def go_on(self) -> None:
        """Have an upstream send content."""
        if (upstream := self._upstream()) is not None:
            upstream.data_received(self.dice.choice((bytes(50_000), b"0\r\n\r\n", b"hello")))

    def hang_up(self) -> None:
        """Have an upstream close."""
        if (upstream := self._upstream()) is not None:
            self.upstreams.remove(upstream)
            upstream.eof_received()

    def hold_up(self) -> None:
        """Have an upstream take no more of a request, and then take it."""
        if (upstream := self._upstream()) is not None:
            upstream.pause_writing()
            self.say()
            upstream.resume_writing()

    def stall(self) -> None:
        """Have the client read nothing for a while."""
        self.transport.is_full = True
        self.connection.pause_writing()
        for what in (self.answer, self.go_on, self.turn):
            what()
        self.transport.is_full = False
        self.connection.resume_writing()

    def time_out(self) -> None:
        """Let all that is waited for take too long; the client reads all."""
        while self.waiting:
            self.waiting.pop().respond(503, "no connection became free")
        if self.connection.owes_request and self.connection.deadline <= 61.0:
            self.context.now = 61.0
            self.connection.timed_out()
            self.context.now = 0.0
        self.client.increment_flow_control_window(1 << 20)
        for number in self.open:
            self.client.increment_flow_control_window(1 << 20, number)
        self.say()
        self.turn()


RARE = (World.reset, World.widen, World.change_window, World.ping, World.hang_up, World.hold_up, World.stall)
OFTEN = (World.begin, World.send, World.end, World.connect, World.answer, World.go_on)


def check_request(upstream: UpstreamConnection) -> None:
    """Check that an upstream has received the beginning of one request, the head first."""
    calls = upstream.transport.method_calls  # type: ignore[attr-defined]
    received = b"".join(
        bytes(call.args[0]) for call in calls if call[0] in {"send", "write", "write_careful"}
    )
    head = request_head(received)
    if head.body == CHUNKED:
        chunks = ChunkedReader(ClientProtocolError, LIMITS)
        chunks.feed(received, head.end)
        assert chunks.rest == b""
    else:
        assert len(received) - head.end <= head.body


@pytest.fixture(autouse=True, scope="module")
def ends_take_no_window() -> Iterator[None]:
    """Let h2 as the client take an empty frame whatever its window is (RFC 9113, section 6.9.1)."""
    consume = h2.windows.WindowManager.window_consumed

    def consume_some(manager: h2.windows.WindowManager, size: int) -> None:
        if size:
            consume(manager, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(h2.windows.WindowManager, "window_consumed", consume_some)
        yield


@given(seed=st.integers(0, 2**32), steps=st.lists(st.sampled_from(RARE + 2 * OFTEN), min_size=5, max_size=80))
def test_whatever_happens_every_stream_ends_and_nothing_is_left(
    seed: int, steps: list[Callable[[World], None]]
) -> None:
    world = World(seed)
    for step in steps:
        step(world)
        world.say()
        if world.dice.random() < 0.7:
            world.turn()
        if world.has_ended:
            break
    world.say()
    world.turn()
    for _ in range(30):
        if world.has_ended:
            break
        world.time_out()
    assert world.has_ended or not world.open, "a stream that is neither answered nor reset"
    world.is_lost = True
    world.connection.connection_lost(None)
    world.turn()
    for upstream in world.upstreams:
        check_request(upstream)
    world.context.remove_client.assert_called_once_with(world.connection)
    assert world.waiting == []
    assert not world.connection.owes_request


@pytest.mark.parametrize("window", [0, 1, 70_000])
def test_a_window_that_is_shut_below_nothing_lets_the_end_through(window: int) -> None:
    """RFC 9113, section 6.9.2: content that waits is more than there is room for; an end takes none."""
    world = World(1)
    number = 1
    world.client.send_headers(number, fields_of(), end_stream=True)
    world.open.add(number)
    world.say()
    world.connect()
    (upstream,) = world.upstreams
    upstream.data_received(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1_000))
    world.turn()
    world.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
    world.say()
    world.turn()
    upstream.eof_received()
    world.turn()
    assert world.over == {number: "StreamEnded"}


def test_settings_of_the_client_cost_no_memory() -> None:
    world = World(1)
    world.client.update_settings({SettingCodes.HEADER_TABLE_SIZE: 1 << 30})
    world.say()
    assert world.connection._endpoint.encoder.header_table_size == 4096


def test_the_idle_time_of_a_connection_begins_when_its_last_stream_ends() -> None:
    world = World(1)
    world.client.send_headers(1, fields_of(), end_stream=True)
    world.say()
    world.connect()
    world.context.idle_until = 1000.0
    assert world.connection.deadline == 60.0, "that of the response"
    world.upstreams[0].data_received(HEADS[0])
    world.turn()
    assert world.connection.deadline == 1000.0


def test_streams_take_turns_frame_by_frame() -> None:
    world = World(1)
    for number in (1, 3):
        world.client.send_headers(number, fields_of(), end_stream=True)
    world.say()
    while world.waiting:
        world.connect()
    for upstream in world.upstreams:
        upstream.data_received(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(3 * 16_384))
    world.turn()
    assert world.frames in ([1, 3, 1, 3], [3, 1, 3, 1]), "as many as the window of the connection takes"
