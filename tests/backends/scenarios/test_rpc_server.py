"""Calls in Dubbo's frames: read in any pieces, answered under their own number, else refused."""

from __future__ import annotations

import struct

import pytest

from backends.scenarios.rpc.server import BODY_MAX, Call, CallError, CallReader, frame_answer


def framed(
    number: int, takes_ms: int = 0, answer_bytes: int = 0, *, magic: int = 0xDABB, flag: int = 0xC2
) -> bytes:
    return struct.pack(">HBBQIII", magic, flag, 0, number, 8, takes_ms, answer_bytes)


CALLS = [Call(1, 0, 128), Call(2, 50, 0), Call(2**63, 0, 3)]
BYTES = b"".join(framed(*call) for call in CALLS)


@pytest.mark.parametrize("size", [1, 7, 16, 24, 25, len(BYTES)])
def test_calls_are_read_in_any_pieces(size: int) -> None:
    reader = CallReader()
    pieces = [BYTES[at : at + size] for at in range(0, len(BYTES), size)]
    assert [call for piece in pieces for call in reader.feed(piece)] == CALLS


@pytest.mark.parametrize(
    "data",
    [
        framed(1, magic=0xDABC),
        framed(1, flag=0x02),  # an answer, not a request
        struct.pack(">HBBQI", 0xDABB, 0xC2, 0, 1, 7),  # too short to say what is wished
        struct.pack(">HBBQI", 0xDABB, 0xC2, 0, 1, BODY_MAX + 1),
        framed(1, answer_bytes=BODY_MAX + 1),
    ],
)
def test_what_is_no_call_is_refused(data: bytes) -> None:
    with pytest.raises(CallError):
        list(CallReader().feed(data))


def test_an_answer_bears_the_number_of_its_call_and_the_length_asked_for() -> None:
    data = frame_answer(Call(7, 0, 5))
    assert struct.unpack(">HBBQI", data[:16]) == (0xDABB, 0, 20, 7, 5)
    assert len(data) == 16 + 5
