"""tcp_info in a dump: found among other attributes, whatever their order, and right for real sockets."""

from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.observe.sock_diag import ESTABLISHED, TCP_INFO_EXTENSION, SockDiag
from bench.observe.tcp_info import TcpInfo, decode_info
from tests.watch.socket_rows import SEQ, message

DONE = struct.pack("=IHHIIi", 20, 3, 2, SEQ, 77, 0)
INFO, SHUTDOWN, PAD = 2, 8, 13


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def tcp_info(
    sent_ms: int, received_ms: int, acked: int = 0, received: int = 0, *, segments: int = 0, size: int = 232
) -> bytes:
    info = bytearray(248)
    struct.pack_into("=I", info, 44, sent_ms)
    struct.pack_into("=I", info, 52, received_ms)
    struct.pack_into("=QQ", info, 120, acked, received)
    struct.pack_into("=I", info, 156, segments)
    return attribute(INFO, bytes(info[:size]))


def told(port: int, *attributes: bytes) -> bytes:
    return message(ESTABLISHED, ("10.0.0.1", port), ("10.0.0.2", 80), attributes=b"".join(attributes))


def decoded(*messages: bytes) -> TcpInfo:
    return decode_info(np.frombuffer(b"".join(messages), np.uint32), SEQ)


def test_idle_time_is_since_the_last_byte_in_either_direction() -> None:
    found = decoded(told(1, tcp_info(500, 90)), told(2, tcp_info(20, 4_000_000)), DONE)
    assert found.idle_ms.tolist() == [90, 20]


def test_bytes_have_64_bits_and_an_old_kernel_has_none() -> None:
    found = decoded(told(1, tcp_info(1, 2, 1 << 40, 7)), told(2, tcp_info(3, 4, 5, 6, size=104)), DONE)
    assert found.bytes_sent.tolist() == [1 << 40, 0]
    assert found.bytes_received.tolist() == [7, 0]
    assert found.idle_ms.tolist() == [1, 3]


def test_segments_with_data_are_counted_since_linux_4_6() -> None:
    new, old = tcp_info(1, 2, segments=9), tcp_info(3, 4, segments=9, size=152)
    assert decoded(told(1, new), told(2, old), told(3, new), DONE).data_sent.tolist() == [9, 0, 9]


OTHERS = st.lists(
    st.builds(attribute, st.integers(3, 30), st.binary(max_size=40)), max_size=8
)  # of other kinds


@given(st.lists(st.tuples(OTHERS, st.integers(0, 2**32 - 1) | st.none(), OTHERS), min_size=1, max_size=12))
def test_it_is_found_among_any_attributes(parts: list[tuple[list[bytes], int | None, list[bytes]]]) -> None:
    messages = [
        told(port, *before, *([] if idle is None else [tcp_info(idle, 2**32 - 1)]), *after)
        for port, (before, idle, after) in enumerate(parts)
    ]
    found = decoded(*messages, DONE)
    assert found.idle_ms.tolist() == [idle for _, idle, _ in parts if idle is not None]


def test_an_attribute_without_a_length_ends_no_walk_and_finds_nothing() -> None:
    found = decoded(told(1, bytes(4) * 40), told(2, tcp_info(1, 2)), DONE)
    assert found.idle_ms.tolist() == [1]


def test_no_sockets_have_no_info() -> None:
    assert len(decoded(DONE).rows) == 0


@pytest.mark.parametrize("who", ["server", "client"])
def test_a_real_connection_is_idle_until_something_is_sent(wire: Any, who: str) -> None:
    near, far = wire.connect()
    diag = SockDiag()
    try:

        def idle_ms() -> int:
            parts = list(diag.replies((ESTABLISHED,), decode_info, TCP_INFO_EXTENSION))
            ports = np.concatenate([_ports(part) for part in parts])
            found = np.concatenate([part.idle_ms for part in parts])
            (at,) = np.flatnonzero((ports == near.getsockname()[1:2] + near.getpeername()[1:2]).all(axis=1))
            return int(found[at])

        deadline_s = time.monotonic() + 20
        while idle_ms() < 40:
            assert time.monotonic() < deadline_s, "it never becomes idle"
        before_ms, before_s = idle_ms(), time.monotonic()
        one, other = (near, far) if who == "client" else (far, near)
        one.sendall(b"x")
        assert other.recv(1) == b"x"
        since_ms = (time.monotonic() - before_s) * 1e3
        # Without the byte it would have been idle for all of the time since.
        assert idle_ms() < before_ms + since_ms
    finally:
        diag.close()


def _ports(info: TcpInfo) -> Any:
    return np.ascontiguousarray(info.rows[:, 5]).view(">u2").reshape(-1, 2)
