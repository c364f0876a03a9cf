"""What an RST behind the peer's FIN means, on real sockets: what is counted, what is not, what looks alike.

In each row the server ends the connection first. What the client then sends is lost where the server does not
read any more: a request, or the goodbye of a protocol. Sockets do not tell these apart.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bench.subjects.certificates import CHAIN, KEY, issue
from bench.watch.event_reader import EventReader, Selection
from bench.watch.events import _RESET_WITHIN_NS
from bench.watch.flows import total
from bench.watch.model import Direction, HopFlow, PeerHop
from tests.watch.conftest import Traffic, await_end

pytestmark = pytest.mark.usefixtures("may_trace")

COUNT = 5
Ends = tuple[socket.socket, socket.socket]
Life = Callable[[socket.socket, socket.socket], None]


def a_request_behind_the_fin(near: socket.socket, far: socket.socket) -> None:
    far.close()
    near.sendall(b"GET / HTTP/1.1\r\n\r\n")
    await_end(near)
    near.close()


def a_request_of_which_the_end_was_read_at_once(near: socket.socket, far: socket.socket) -> None:
    """As nginx does: it reads the FIN instead of an answer, and closes."""
    far.close()
    near.sendall(b"GET / HTTP/1.1\r\n\r\n")
    near.close()


def a_body_that_goes_on_when_the_server_has_answered(near: socket.socket, far: socket.socket) -> None:
    """As with 413: it answers and closes, and what the client still sends is lost, but no request is."""
    near.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    _read(far)
    far.sendall(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n")
    far.close()
    near.sendall(b"more of the body")
    await_end(near)
    near.close()


def a_goodbye_of_tls(near: socket.socket, far: socket.socket) -> None:
    """The client answers the end by a close_notify, which nobody reads (RFC 8446, section 6.1)."""
    far.close()
    near.sendall(b"\x15\x03\x03\0\x02\x01\0")
    near.close()


def a_client_that_closes_when_the_server_has(near: socket.socket, far: socket.socket) -> None:
    far.close()
    assert near.recv(1) == b""
    near.close()


def connection_close(near: socket.socket, far: socket.socket) -> None:
    near.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    _read(far)
    far.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    far.close()
    while near.recv(4096):
        pass
    near.close()


def a_body_that_the_server_reads_to_its_end(near: socket.socket, far: socket.socket) -> None:
    """As nginx's lingering_close does: it sends its FIN, and reads on."""
    far.sendall(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n")
    far.shutdown(socket.SHUT_WR)
    near.sendall(b"more of the body")
    near.shutdown(socket.SHUT_WR)
    while far.recv(4096):
        pass
    far.close()
    near.close()


def a_client_that_leaves_the_end_unread(near: socket.socket, far: socket.socket) -> None:
    """The RST is this host's."""
    far.sendall(b"unread")
    far.close()
    assert near.recv(1, socket.MSG_PEEK) == b"u"
    near.close()


def a_request_that_the_server_left_unread(near: socket.socket, far: socket.socket) -> None:
    """The request came before the server closed: there is no FIN at all."""
    near.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert far.recv(1, socket.MSG_PEEK) == b"G"
    far.close()
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    near.close()


def _read(far: socket.socket) -> None:
    while not far.recv(4096).endswith(b"\r\n\r\n"):
        pass


CLOSED = HopFlow(COUNT, closed_there=COUNT)
LOST = HopFlow(COUNT, closed_there=COUNT, reset_after_fin=COUNT)


@pytest.mark.parametrize(
    ("life", "flow"),
    [
        (a_request_behind_the_fin, LOST),
        (a_request_of_which_the_end_was_read_at_once, LOST),
        (a_body_that_goes_on_when_the_server_has_answered, LOST),
        (a_goodbye_of_tls, LOST),
        (a_client_that_closes_when_the_server_has, CLOSED),
        (connection_close, CLOSED),
        (a_body_that_the_server_reads_to_its_end, CLOSED),
        (a_client_that_leaves_the_end_unread, CLOSED),
        (a_request_that_the_server_left_unread, HopFlow(COUNT, reset_there=COUNT)),
    ],
)
def test_what_the_server_does_not_read_any_more_is_answered_by_rst(
    traffic: Traffic, life: Life, flow: HopFlow
) -> None:
    with closing(EventReader(Selection(lambda: frozenset([traffic.port])))) as reader:
        for _ in range(COUNT):
            life(*traffic.connect())
        assert counted(reader, traffic, Direction.OUTGOING) == flow


def test_the_last_words_of_a_client_of_tls_are_answered_by_rst(traffic: Traffic, tmp_path: Path) -> None:
    issued = issue(["localhost"])
    for name, text in issued.files.items():
        (tmp_path / name).write_text(text)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / CHAIN, tmp_path / KEY)
    asking = ssl.create_default_context(cadata=issued.authority)
    with closing(EventReader(Selection(lambda: frozenset([traffic.port])))) as reader:
        for _ in range(COUNT):
            say_goodbye(traffic.connect(), asking, serving)
        assert counted(reader, traffic, Direction.OUTGOING) == LOST


def say_goodbye(ends: Ends, asking: ssl.SSLContext, serving: ssl.SSLContext) -> None:
    """Shake hands; the server closes, and then the client does with its close_notify."""
    near, far = ends
    client_reads, client_writes, server_reads, server_writes = (ssl.MemoryBIO() for _ in range(4))
    client = asking.wrap_bio(client_reads, client_writes, server_hostname="localhost")
    server = serving.wrap_bio(server_reads, server_writes, server_side=True)
    is_done = False
    while not is_done:
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        near.sendall(client_writes.read())
        server_reads.write(far.recv(65536))
        with suppress(ssl.SSLWantReadError):
            server.do_handshake()
            is_done = True
        far.sendall(server_writes.read())
        if not is_done:
            client_reads.write(near.recv(65536))
    with suppress(ssl.SSLWantReadError):
        server.unwrap()
    far.sendall(server_writes.read())
    far.close()
    while came := near.recv(65536):
        client_reads.write(came)
    client.unwrap()
    near.sendall(client_writes.read())
    near.close()


def test_a_connection_that_was_there_before_counts_where_it_is_lost(traffic: Traffic) -> None:
    near, far = traffic.connect()
    with closing(EventReader(Selection(lambda: frozenset([traffic.port])))) as reader:
        far.close()
        first = counted(reader, traffic, Direction.OUTGOING)
        near.sendall(b"late")
        await_end(near)
        assert (first, counted(reader, traffic, Direction.OUTGOING)) == (
            HopFlow(closed_there=1),
            HopFlow(reset_after_fin=1),
        )


def counted(reader: EventReader, traffic: Traffic, direction: Direction) -> HopFlow:
    """Return the counts of the hop of `traffic` when each RST is decided, which takes some milliseconds."""
    decided_ns = time.monotonic_ns() + 2 * _RESET_WITHIN_NS
    hop, flows = PeerHop(direction, traffic.address, traffic.port), []
    is_decided = False
    while not is_decided:
        is_decided = time.monotonic_ns() > decided_ns
        taken = reader.take()
        assert taken.is_whole, taken.reason
        flows.append(taken.flows.get(hop, HopFlow()))
    return replace(total(flows), lifetimes_s=(), idle_before_reset_s=())
