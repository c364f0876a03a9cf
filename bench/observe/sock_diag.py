"""Read the TCP sockets of a network namespace, TIME_WAIT included, exactly: one dump over NETLINK_SOCK_DIAG.

The kernel's walk through its table of sockets costs some milliseconds even where it finds none, and
each socket a third of a microsecond; so one dump takes both families and all states that are
requested, and 28,000 sockets stay arrays, never objects.

Sources: sock_diag(7); include/uapi/linux/inet_diag.h; net/ipv4/inet_diag.c.
"""

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

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
TCP_INFO_EXTENSION = 1 << 1
"""Asks for `struct tcp_info` too (INET_DIAG_INFO): an attribute behind each socket, some 250 bytes."""
_HEADER_WORDS = 4
ROW_WORDS = 22
"""Words of nlmsghdr and inet_diag_msg, which each message about a socket begins with."""
# nlmsghdr (16 bytes), then inet_diag_msg, which begins with family, state, timer, retransmits.
_FAMILY_BYTE, _STATE_BYTE = 16, 17
_PORTS_WORD, _LOCAL_WORD, _REMOTE_WORD, _EXPIRES_WORD, _INODE_WORD = 5, 6, 10, 17, 21
_ADDRESS_WORDS = 4
_MAPPED = np.frombuffer(b"\x00\x00\xff\xff", np.uint32)[0]
"""Third word of an IPv4 address as one of IPv6 (RFC 4291, section 2.5.5.2)."""

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


@dataclass(frozen=True, slots=True)
class AddressedSockets(Sockets):
    """The sockets of one dump with their addresses, four words each, as `address_words` returns them."""

    local: NDArray[np.uint32]
    remote: NDArray[np.uint32]
    expires_ms: NDArray[np.uint32]
    """Of a socket in TIME_WAIT: how long it stays."""
    inode: NDArray[np.uint32]
    """What a process that holds it calls it; 0 in TIME_WAIT, which no process holds."""


def address_words(address: str) -> NDArray[np.uint32]:
    """Return an IPv4 or IPv6 address as four words; that of IPv4 is the same as its form in IPv6."""
    packed = ipaddress.ip_address(address.partition("%")[0]).packed
    whole = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
    return np.frombuffer(whole, np.uint32)


def address_text(words: NDArray[np.uint32]) -> str:
    """Return the address that four words hold."""
    address = ipaddress.IPv6Address(words.astype(np.uint32).tobytes())
    return str(address.ipv4_mapped or address)


def decode(words: NDArray[np.uint32], seq: int) -> Sockets:
    """Return the sockets in the netlink messages that `words` holds, which answer request number `seq`.

    OSError where the kernel answers with an error.
    """
    starts = socket_starts(words, seq)
    return Sockets(*_state_and_ports(words, starts))


def decode_addressed(words: NDArray[np.uint32], seq: int) -> AddressedSockets:
    """Return the same with addresses, IPv4 ones in their form of IPv6."""
    starts = socket_starts(words, seq)
    is_v4 = words.view(np.uint8)[starts * 4 + _FAMILY_BYTE] == socket.AF_INET
    return AddressedSockets(
        *_state_and_ports(words, starts),
        local=_addresses(words, starts + _LOCAL_WORD, is_v4),
        remote=_addresses(words, starts + _REMOTE_WORD, is_v4),
        expires_ms=words[starts + _EXPIRES_WORD],
        inode=words[starts + _INODE_WORD],
    )


def socket_rows(words: NDArray[np.uint32], seq: int) -> NDArray[np.uint32]:
    """Return the heads of the messages about sockets, (sockets, ROW_WORDS); a view where that is possible.

    OSError where the kernel answers with an error.
    """
    step = int(words[0]) // 4
    if step == ROW_WORDS and int(words[1]) & 0xFFFF == _TCPDIAG_GETSOCK:
        # Sockets in TIME_WAIT have no attributes, and mostly fill a buffer but for the end of the dump.
        whole = len(words) // step * step
        grid = words[:whole].reshape(-1, step)
        if (grid[:, 0] == words[0]).all() and _ends_plainly(words[whole:]):
            return grid
    starts = socket_starts(words, seq)
    rows: NDArray[np.uint32] = words[starts[:, None] + np.arange(ROW_WORDS)]
    return rows


def _ends_plainly(rest: NDArray[np.uint32]) -> bool:
    """Return whether nothing is left behind the sockets, or but the end of the dump (20 bytes)."""
    return not len(rest) or (len(rest) == 5 and int(rest[1]) & 0xFFFF == _NLMSG_DONE)


def socket_starts(words: NDArray[np.uint32], seq: int) -> NDArray[np.intp]:
    """Return where the messages about sockets start; OSError where the kernel answers with an error."""
    starts = _starts(words, seq)
    kinds = words[starts + 1] & 0xFFFF
    if (kinds == _NLMSG_ERROR).any():
        code = -int(words[starts[kinds == _NLMSG_ERROR][0] + _HEADER_WORDS].astype(np.int32))
        raise OSError(code, f"sock_diag: {os.strerror(code)}")
    found: NDArray[np.intp] = starts[kinds == _TCPDIAG_GETSOCK]
    return found


def _state_and_ports(
    words: NDArray[np.uint32], starts: NDArray[np.intp]
) -> tuple[NDArray[np.uint8], NDArray[np.uint16], NDArray[np.uint16]]:
    ports = words.view(">u2")
    return (
        words.view(np.uint8)[starts * 4 + _STATE_BYTE],
        ports[(starts + _PORTS_WORD) * 2].astype(np.uint16),
        ports[(starts + _PORTS_WORD) * 2 + 1].astype(np.uint16),
    )


def _addresses(
    words: NDArray[np.uint32], at: NDArray[np.intp], is_v4: NDArray[np.bool_]
) -> NDArray[np.uint32]:
    found: NDArray[np.uint32] = words[at[:, None] + np.arange(_ADDRESS_WORDS)]
    found[is_v4, 3] = found[is_v4, 0]
    found[is_v4, :2], found[is_v4, 2] = 0, _MAPPED
    return found


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
        parts = list(self.replies(states, decode))
        return Sockets(
            np.concatenate([part.state for part in parts]),
            np.concatenate([part.local_port for part in parts]),
            np.concatenate([part.remote_port for part in parts]),
        )

    def dump_addressed(self, states: Iterable[int]) -> AddressedSockets:
        """Return the same with addresses, at some more cost."""
        parts = list(self.replies(states, decode_addressed))
        columns = ("state", "local_port", "remote_port", "local", "remote", "expires_ms", "inode")
        return AddressedSockets(
            *(np.concatenate([getattr(part, column) for part in parts]) for column in columns)
        )

    def replies(
        self,
        states: Iterable[int],
        decode: Callable[[NDArray[np.uint32], int], T],
        extensions: int = 0,
    ) -> Iterator[T]:
        """Yield what `decode` makes of each buffer of a dump; the buffer is filled anew at each step.

        `extensions`: what else is asked for (TCP_INFO_EXTENSION).
        """
        self._seq = (self._seq + 1) & 0xFFFFFFFF
        mask = sum(1 << state for state in set(states))
        message = (_REQUEST.size, _TCPDIAG_GETSOCK, _NLM_F_REQUEST_DUMP, self._seq, 0)
        self._socket.send(_REQUEST.pack(*message, socket.AF_INET, 0, 0, extensions, mask, 0))
        is_over = False
        try:
            while not is_over:
                size, is_over = self._receive()
                yield decode(np.frombuffer(self._buffer, np.uint32, size // 4), self._seq)
        finally:
            while not is_over:  # whoever read it gave up: the rest is not to answer the next request
                _, is_over = self._receive()

    def _receive(self) -> tuple[int, bool]:
        """Fill the buffer; return how many bytes came, and whether they end the dump."""
        size, view = 0, memoryview(self._buffer)
        while len(view) - size >= _DATAGRAM_BYTES:
            received = self._socket.recv_into(view[size:])
            size += received
            if _is_last(view[size - received : size]):
                return size, True
        return size, False


def _is_last(datagram: memoryview) -> bool:
    """Return whether the datagram ends the dump: with NLMSG_DONE (20 bytes) or with an error (36 or more)."""
    (kind,) = struct.unpack_from("=H", datagram, 4)
    if kind in (_NLMSG_ERROR, _NLMSG_DONE):
        return True
    if len(datagram) < 20:
        return False
    length, kind = struct.unpack_from("=IH", datagram, len(datagram) - 20)
    return (length, kind) == (20, _NLMSG_DONE)
