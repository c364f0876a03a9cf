"""Read the TCP sockets of a network namespace, TIME_WAIT included, exactly: one dump over NETLINK_SOCK_DIAG.

The kernel's walk through its table of sockets costs some milliseconds even where it finds none, and
each socket a third of a microsecond; so one dump takes both families and all states that are
requested, and 28,000 sockets stay arrays, never objects.

Sources: sock_diag(7); include/uapi/linux/inet_diag.h; net/ipv4/inet_diag.c.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# include/net/tcp_states.h
ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT = 1, 2, 3, 4, 5, 6
_CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING, NEW_SYN_RECV = 7, 8, 9, 10, 11, 12
CONNECTED = tuple(state for state in range(1, 13) if state not in (_CLOSE, LISTEN))
"""The states of a socket that has a peer, and so takes up a tuple of addresses and ports."""

_NETLINK_SOCK_DIAG = 4
# The older of the two requests: it alone answers with both families in one walk (inet_diag_dump_compat).
_TCPDIAG_GETSOCK = 18
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3

_REQUEST = struct.Struct("=IHHIIBBBB48xII")  # nlmsghdr, inet_diag_req with an empty socket id
_HEADER_WORDS = 4
_STATE_BYTE = 17  # nlmsghdr (16 bytes), then inet_diag_msg: family, state, timer, retransmits
_PORTS_WORD = 5

_BUFFER_BYTES = 1 << 18
"""What is decoded in one go: many sockets for each step in numpy, and still within a core's cache."""
_DATAGRAM_BYTES = 1 << 16
"""More than the kernel puts into one datagram of a dump (32 KiB)."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """The sockets of one dump, a column each."""

    state: NDArray[np.uint8]
    local_port: NDArray[np.uint16]
    remote_port: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.state)


def decode(words: NDArray[np.uint32], seq: int) -> Sockets:
    """Return the sockets in the netlink messages that `words` holds, which answer request number `seq`.

    OSError where the kernel answers with an error.
    """
    starts = _starts(words, seq)
    kinds = words[starts + 1] & 0xFFFF
    if (kinds == _NLMSG_ERROR).any():
        code = -int(words[starts[kinds == _NLMSG_ERROR][0] + _HEADER_WORDS].astype(np.int32))
        raise OSError(code, f"sock_diag: {os.strerror(code)}")
    starts = starts[kinds == _TCPDIAG_GETSOCK]
    ports = words.view(">u2")
    return Sockets(
        state=words.view(np.uint8)[starts * 4 + _STATE_BYTE],
        local_port=ports[(starts + _PORTS_WORD) * 2].astype(np.uint16),
        remote_port=ports[(starts + _PORTS_WORD) * 2 + 1].astype(np.uint16),
    )


def _starts(words: NDArray[np.uint32], seq: int) -> NDArray[np.intp]:
    """Return where messages start.

    Sockets in TIME_WAIT have messages of one length, so that the first mostly gives the step of
    all. Else each word that holds `seq` may be the third of a header, and is when the lengths chain
    up without a gap.
    """
    step = max(_HEADER_WORDS, (int(words[0]) + 3) // 4)
    starts = np.arange(0, len(words), step, dtype=np.intp)
    if len(words) % step == 0 and (words[starts] == words[0]).all():
        return starts
    starts = np.flatnonzero(words == seq) - 2
    starts = starts[starts >= 0]
    return starts if _chains(words, starts) else _walk(words)


def _chains(words: NDArray[np.uint32], starts: NDArray[np.intp]) -> bool:
    """Return whether messages at `starts` follow each other without a gap, from end to end."""
    ends = starts + (words[starts] + 3) // 4
    follow = np.concatenate((starts[1:], np.array([len(words)], dtype=starts.dtype)))
    return bool(len(starts) and starts[0] == 0 and (ends == follow).all())


def _walk(words: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Return where messages start, going from length to length."""
    starts, at = [], 0
    while at + _HEADER_WORDS <= len(words):
        starts.append(at)
        at += max(_HEADER_WORDS, (int(words[at]) + 3) // 4)
    return np.array(starts, dtype=np.intp)


class SockDiag:
    """A netlink socket that dumps the TCP sockets of the namespace in which it was made.

    OSError where the system has none. Not for several threads at once.
    """

    def __init__(self) -> None:
        if not hasattr(socket, "AF_NETLINK"):
            raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG)
        self._buffer = bytearray(_BUFFER_BYTES)
        # Any number that is rare among the words of a dump.
        self._seq = int.from_bytes(os.urandom(4), "little")

    def close(self) -> None:
        """Close the netlink socket."""
        self._socket.close()

    def dump(self, states: Iterable[int]) -> Sockets:
        """Return the sockets, IPv4 and IPv6, that are in one of `states`; the kernel filters.

        A dump is not one instant: a socket that changes its state meanwhile may show twice or not at all.
        """
        self._seq = (self._seq + 1) & 0xFFFFFFFF
        mask = sum(1 << state for state in set(states))
        message = (_REQUEST.size, _TCPDIAG_GETSOCK, _NLM_F_REQUEST_DUMP, self._seq, 0)
        self._socket.send(_REQUEST.pack(*message, socket.AF_INET, 0, 0, 0, mask, 0))
        parts, is_over = [], False
        while not is_over:
            size, is_over = self._receive()
            parts.append(decode(np.frombuffer(self._buffer, np.uint32, size // 4), self._seq))
        return _joined(parts)

    def _receive(self) -> tuple[int, bool]:
        """Fill the buffer; return how many bytes came, and whether they end the dump."""
        size, view = 0, memoryview(self._buffer)
        while len(view) - size >= _DATAGRAM_BYTES:
            received = self._socket.recv_into(view[size:])
            size += received
            if _is_last(view[size - received : size]):
                return size, True
        return size, False


def _joined(parts: list[Sockets]) -> Sockets:
    return Sockets(
        np.concatenate([part.state for part in parts]),
        np.concatenate([part.local_port for part in parts]),
        np.concatenate([part.remote_port for part in parts]),
    )


def _is_last(datagram: memoryview) -> bool:
    """Return whether the datagram ends the dump: with NLMSG_DONE (20 bytes) or with an error (36 or more)."""
    (kind,) = struct.unpack_from("=H", datagram, 4)
    if kind in (_NLMSG_ERROR, _NLMSG_DONE):
        return True
    if len(datagram) < 20:
        return False
    length, kind = struct.unpack_from("=IH", datagram, len(datagram) - 20)
    return (length, kind) == (20, _NLMSG_DONE)
