"""One connection's states, without a socket: a scripted transport says when the client is slow."""

import asyncio
import itertools

from backends.http.options import parse_options
from backends.http.raw import READ_AHEAD, SLICE, SWEEPS_PER_TIMEOUT, RawConnection, RawServer
from backends.role.counters import Counters

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class ScriptedTransport(asyncio.Transport):
    """Keeps what is written; after each write it pauses the protocol as long as `is_slow`."""

    def __init__(self, connection: RawConnection) -> None:
        super().__init__()
        self.connection = connection
        self.written = 0
        self.is_slow = False
        self.is_closed = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)
        if self.is_slow:
            self.connection.pause_writing()

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.is_closed = True


def connect(*flags: str) -> tuple[RawConnection, ScriptedTransport, Counters]:
    counters = Counters()
    connection = RawServer(
        parse_options(["--listen", "a:0", *flags]), counters, itertools.count(1).__next__
    )()
    transport = ScriptedTransport(connection)
    connection.connection_made(transport)
    return connection, transport, counters


async def test_a_large_body_is_written_slice_by_slice_as_the_client_takes_it() -> None:
    connection, transport, counters = connect("--response-size", "10MiB")
    transport.is_slow = True
    connection.data_received(GET)
    slices = 0
    while counters.requests == 0:
        before = transport.written
        connection.resume_writing()
        assert transport.written - before <= SLICE
        slices += 1
    assert slices == (10 << 20) // SLICE + 2  # the head alone came before, the last slice's end after
    assert transport.written > 10 << 20


async def test_a_client_that_takes_nothing_is_not_read_from() -> None:
    connection, transport, counters = connect()
    transport.is_slow = True
    connection.data_received(GET)
    connection.data_received(GET * (READ_AHEAD // len(GET) + 1))
    assert not transport.reading
    assert counters.requests == 1
    transport.is_slow = False
    connection.resume_writing()
    assert transport.reading
    assert counters.requests == READ_AHEAD // len(GET) + 2


async def test_a_delay_is_kept_even_if_the_client_catches_up_in_it() -> None:
    connection, transport, counters = connect("--delay", "3600s")
    connection.data_received(GET)
    due = connection.timer
    connection.pause_writing()
    connection.resume_writing()
    assert (transport.written, counters.requests) == (0, 0)
    assert connection.timer is due  # not a second answer beside the first
    connection.connection_lost(None)


async def test_a_request_is_not_answered_before_its_body_is_there() -> None:
    connection, transport, counters = connect()
    transport.is_slow = True
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    connection.data_received(head)
    connection.resume_writing()
    assert (transport.written, counters.requests) == (len(b"HTTP/1.1 100 Continue\r\n\r\n"), 0)
    connection.data_received(b"hello")
    assert counters.requests == 1


async def test_only_a_whole_timeout_of_silence_closes() -> None:
    connection, transport, _ = connect("--idle-timeout", "3600")
    for _ in range(SWEEPS_PER_TIMEOUT):
        connection.sweep()
    connection.data_received(GET)
    for _ in range(SWEEPS_PER_TIMEOUT):
        connection.sweep()
    assert not transport.is_closed
    connection.sweep()
    assert transport.is_closed
