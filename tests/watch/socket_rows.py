"""Rows of made-up dumps: sockets as the kernel tells them (inet_diag_msg behind nlmsghdr)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import LISTEN, ROW_WORDS, TIME_WAIT

SEQ = 0x5EED5EED
_AF_INET, _AF_INET6 = 2, 10

Rows = NDArray[np.uint32]


def message(
    state: int,
    local: tuple[str, int],
    remote: tuple[str, int],
    *,
    expires_ms: int = 0,
    inode: int = 0,
    user: int = 0,
    queues: tuple[int, int] = (0, 0),
    attributes: bytes = b"",
) -> bytes:
    """Return the message about one socket; of IPv6 where an address is written so, mapped or not."""
    is_v6 = ":" in local[0] or ":" in remote[0]
    family = _AF_INET6 if is_v6 else _AF_INET
    body = struct.pack("=BBBB", family, state, 0, 0) + struct.pack(">HH", local[1], remote[1])
    body += _packed(local[0], is_v6) + _packed(remote[0], is_v6)
    body += struct.pack("=III", 0, 1, 2)  # interface, cookie
    body += struct.pack("=IIIII", expires_ms, *queues, user, inode) + attributes
    return struct.pack("=IHHII", 16 + len(body), 18, 2, SEQ, 77) + body + bytes(-len(body) % 4)


def _packed(address: str, is_v6: bool) -> bytes:
    packed = ipaddress.ip_address(address).packed
    if is_v6 and len(packed) == 4:
        packed = bytes(10) + b"\xff\xff" + packed
    return packed.ljust(16, b"\0")


def rows(messages: Sequence[bytes]) -> Rows:
    """Return the heads of messages, a row each."""
    heads = [each[: ROW_WORDS * 4] for each in messages]
    return np.frombuffer(b"".join(heads), np.uint32).reshape(-1, ROW_WORDS).copy()


def listener(address: str, port: int, *, waiting: int = 0, most: int = 128, inode: int = 1) -> bytes:
    """Return a socket in LISTEN."""
    nobody = "::" if ":" in address else "0.0.0.0"
    return message(LISTEN, (address, port), (nobody, 0), queues=(waiting, most), inode=inode)


def waiting(local: tuple[str, int], remote: tuple[str, int], age_ms: float = 0) -> bytes:
    """Return a socket that has been in TIME_WAIT for so long."""
    return message(TIME_WAIT, local, remote, expires_ms=round(60_000 - age_ms))
