"""The dump of sockets: every state and side exactly, the same as in `ss`."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.observe import sock_diag
from bench.observe.sock_diag import CONNECTED, ESTABLISHED, FIN_WAIT2, LISTEN, TIME_WAIT, SockDiag, Sockets
from tests import needs

SEQ = 0x5EED5EED


@pytest.fixture
def diag() -> Iterator[SockDiag]:
    found = SockDiag()
    yield found
    found.close()


def count(found: Sockets, port: int, state: int) -> tuple[int, int]:
    """Return the sockets in `state` with the remote, and with the local port `port`."""
    matching = found.state == state
    return int((matching & (found.remote_port == port)).sum()), int(
        (matching & (found.local_port == port)).sum()
    )


def test_states_and_sides_are_distinguished(wire: Any, diag: SockDiag) -> None:
    for _ in range(3):
        wire.connect()
    wire.time_wait(5)
    wire.time_wait(4, client_closes=False)
    wire.fin_wait_2(2)
    found = diag.dump((*CONNECTED, LISTEN))
    assert count(found, wire.port, ESTABLISHED) == (3, 3)
    assert count(found, wire.port, TIME_WAIT) == (5, 4)
    assert count(found, wire.port, FIN_WAIT2) == (2, 0)
    assert count(found, wire.port, LISTEN) == (0, 1)


def test_the_kernel_filters_by_state(wire: Any, diag: SockDiag) -> None:
    wire.connect()
    wire.time_wait(1)
    found = diag.dump((TIME_WAIT,))
    assert set(found.state.tolist()) == {TIME_WAIT}
    assert count(found, wire.port, TIME_WAIT) == (1, 0)


def test_a_dump_longer_than_the_buffer_is_whole(wire: Any, diag: SockDiag) -> None:
    diag._buffer = bytearray(1 << 16)
    wire.time_wait(1500)
    assert count(diag.dump((TIME_WAIT,)), wire.port, TIME_WAIT) == (1500, 0)


@needs.program("ss")
@pytest.mark.parametrize(("name", "state"), [("time-wait", TIME_WAIT), ("fin-wait-2", FIN_WAIT2)])
def test_counts_agree_with_ss(wire: Any, diag: SockDiag, name: str, state: int) -> None:
    wire.time_wait(40)
    wire.time_wait(30, client_closes=False)
    wire.fin_wait_2(20)
    of_ss = [
        len(subprocess.check_output(["ss", "-Htn", "state", name, way, "=", f":{wire.port}"]).splitlines())
        for way in ("dport", "sport")
    ]
    assert count(diag.dump((state,)), wire.port, state) == tuple(of_ss)
    assert sum(of_ss) == (70 if state == TIME_WAIT else 20)


# -- decoding, from bytes


def message(state: int, local_port: int, remote_port: int, more: bytes = b"") -> bytes:
    """Return one socket as the kernel tells it, `more` being its attributes."""
    body = (
        struct.pack("=BBBB", 2, state, 0, 0) + struct.pack(">HH", local_port, remote_port) + bytes(64) + more
    )
    size = 16 + len(body)
    return struct.pack("=IHHII", size, 18, 2, SEQ, 77) + body + bytes(-size % 4)


DONE = struct.pack("=IHHIIi", 20, 3, 2, SEQ, 77, 0)


def decode(*messages: bytes) -> list[tuple[int, int, int]]:
    found = sock_diag.decode(np.frombuffer(b"".join(messages), np.uint32), SEQ)
    return list(zip(found.state.tolist(), found.local_port.tolist(), found.remote_port.tolist(), strict=True))


@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.integers(0, 65535), st.integers(0, 65535), st.binary(max_size=24))
    )
)
def test_messages_of_any_lengths_are_all_read(parts: list[tuple[int, int, int, bytes]]) -> None:
    assert decode(*(message(*each) for each in parts), DONE) == [each[:3] for each in parts]


@given(st.integers(1, 40), st.integers(0, 3), st.booleans())
def test_messages_of_one_length_are_all_read(count: int, words: int, is_last: bool) -> None:
    parts = [(TIME_WAIT, 30_000 + at, at, bytes(4 * words)) for at in range(count)]
    end = (DONE,) if is_last else ()
    assert decode(*(message(*each) for each in parts), *end) == [each[:3] for each in parts]


def test_an_attribute_that_looks_like_a_header_changes_nothing() -> None:
    parts = [message(6, 1, 2, struct.pack("=IHHII", 20, 18, 2, SEQ, 77)), message(1, 3, 4), DONE]
    assert decode(*parts) == [(6, 1, 2), (1, 3, 4)]


def test_no_sockets_are_no_sockets() -> None:
    assert decode(DONE) == []


def test_an_error_of_the_kernel_is_raised() -> None:
    refused = struct.pack("=IHHIIi", 36, 2, 0, SEQ, 77, -1) + bytes(16)
    with pytest.raises(PermissionError, match="sock_diag: Operation not permitted"):
        decode(refused)
