"""Sockets of a dump as columns, and numbers of 64 bits that stand for addresses, tuples and hops.

No socket becomes an object: 100,000 of them are compared by hashes. That two of a million tuples share a
hash happens in one watch of thirty million. An address of IPv4 within IPv6 is one of IPv4.
"""

import os
import socket
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
Mask = NDArray[np.bool_]
ColumnsT = TypeVar("ColumnsT", bound="Columns")

_STATE_WORD, _PORTS_WORD, _LOCAL_WORD, _REMOTE_WORD = 4, 5, 6, 10
_EXPIRES_WORD, _RECEIVE_QUEUE_WORD, _SEND_QUEUE_WORD, _USER_WORD, _INODE_WORD = 17, 18, 19, 20, 21
_MAPPED = np.frombuffer(b"\x00\x00\xff\xff", np.uint32)[0]
"""Third word of an IPv4 address as one of IPv6 (RFC 4291, section 2.5.5.2)."""
_SEED = np.uint64(int.from_bytes(os.urandom(8), "little"))
"""Of this process, so that nobody can choose addresses whose hashes meet."""
# The finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S16, _S27, _S30, _S31, _S32, _S63 = (np.uint64(bits) for bits in (16, 27, 30, 31, 32, 63))


@dataclass(frozen=True, slots=True)
class Columns:
    """Arrays of one length, a row for each of something."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self: ColumnsT, which: Mask | NDArray[np.intp]) -> ColumnsT:
        """Return a copy of the rows that `which` selects."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))


def concatenated(parts: list[ColumnsT]) -> ColumnsT:
    """Return the rows of all `parts`, which are one at least."""
    kind = type(parts[0])
    return kind(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(kind)))


def matches(ordered: U64, wanted: U64) -> tuple[NDArray[np.intp], Mask]:
    """Return for each of `wanted` where it is in `ordered`, and whether it is there at all."""
    if not len(ordered):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return at, ordered[at] == wanted


@dataclass(frozen=True, slots=True)
class SocketColumns(Columns):
    """Sockets as a dump shows them."""

    state: NDArray[np.uint8]
    local_port: NDArray[np.uint16]
    remote_port: NDArray[np.uint16]
    local: U64
    """Address of this side as a number (`address_numbers`)."""
    remote: U64
    rows: NDArray[np.uint32]
    """The messages' heads; they may lie in the buffer of the dump, which is filled anew."""

    @property
    def stays_ms(self) -> NDArray[np.float64]:
        """Return for how long sockets in TIME_WAIT will stay."""
        return self.rows[:, _EXPIRES_WORD].astype(np.float64)

    @property
    def inode(self) -> NDArray[np.uint32]:
        """Return what processes call the sockets; 0 where none holds it any more."""
        return self.rows[:, _INODE_WORD].copy()

    @property
    def user(self) -> NDArray[np.uint32]:
        """Return the numbers of the users who made the sockets; 0 in TIME_WAIT."""
        return self.rows[:, _USER_WORD].copy()

    @property
    def tuples(self) -> U64:
        """Return a hash of each socket's addresses and ports."""
        return _hash_tuples(self.local, self.local_port, self.remote, self.remote_port)

    @property
    def other_ends(self) -> U64:
        """Return the hash that the other end of each connection has."""
        return _hash_tuples(self.remote, self.remote_port, self.local, self.local_port)

    @property
    def local_words(self) -> NDArray[np.uint32]:
        """Return the addresses of this side, (sockets, 4), as sock_diag.address_words does."""
        return _canonical(self.rows, _LOCAL_WORD)

    @property
    def remote_words(self) -> NDArray[np.uint32]:
        """Return the addresses of the peers in the same way."""
        return _canonical(self.rows, _REMOTE_WORD)


def socket_columns(rows: NDArray[np.uint32]) -> SocketColumns:
    """Return the columns of `rows` (sock_diag.socket_rows)."""
    head, ports = _head(rows), _ports(rows)
    is_v4 = head[:, 0] == socket.AF_INET
    return SocketColumns(
        state=head[:, 1],
        local_port=ports[:, 0],
        remote_port=ports[:, 1],
        local=address_numbers(rows[:, _LOCAL_WORD : _LOCAL_WORD + 4], is_v4),
        remote=address_numbers(rows[:, _REMOTE_WORD : _REMOTE_WORD + 4], is_v4),
        rows=rows,
    )


def backlogs(rows: NDArray[np.uint32]) -> dict[int, tuple[int, int]]:
    """Return by port that is listened on what waits for accept(), and how many may.

    Of a socket in LISTEN the queues are these (net/ipv4/tcp_diag.c, tcp_diag_get_info). With SO_REUSEPORT
    several sockets share a port: their queues are added up.
    """
    found: dict[int, tuple[int, int]] = {}
    queues = rows[:, [_RECEIVE_QUEUE_WORD, _SEND_QUEUE_WORD]].tolist()
    for port, (waiting, most) in zip(_ports(rows)[:, 0].tolist(), queues, strict=True):
        before = found.get(port, (0, 0))
        found[port] = (before[0] + waiting, before[1] + most)
    return found


def address_numbers(words: NDArray[np.uint32], is_v4: Mask) -> U64:
    """Return a number for each address: of IPv4, mapped or not, its word; of IPv6 a hash with the top bit."""
    if is_v4.all():
        return words[:, 0].astype(np.uint64)
    is_mapped = ~is_v4 & (words[:, 0] == 0) & (words[:, 1] == 0) & (words[:, 2] == _MAPPED)
    wide = words.astype(np.uint64)
    numbers: U64 = mix(mix(wide[:, 0] << _S32 | wide[:, 1]) ^ (wide[:, 2] << _S32 | wide[:, 3]))
    numbers |= np.uint64(1) << _S63
    numbers[is_v4] = wide[is_v4, 0]
    numbers[is_mapped] = wide[is_mapped, 3]
    return numbers


def tuple_numbers(
    local: NDArray[np.uint32],
    local_port: NDArray[np.uint16],
    remote: NDArray[np.uint32],
    remote_port: NDArray[np.uint16],
) -> U64:
    """Return the hash that `SocketColumns.tuples` has, of addresses as sock_diag.address_words gives them."""
    is_v4 = np.zeros(len(local), np.bool_)
    return _hash_tuples(
        address_numbers(local, is_v4), local_port, address_numbers(remote, is_v4), remote_port
    )


def is_loopback(addresses: U64) -> Mask:
    """Return which addresses are of 127.0.0.0/8 (RFC 1122, section 3.2.1.3) or ::1."""
    first = addresses.astype(np.uint32)[:, None].view(np.uint8)[:, 0]
    found: Mask = ((addresses < _V4_END) & (first == 127)) | (addresses == _LOOPBACK_V6)
    return found


def hop_numbers(peer: U64, port: NDArray[np.uint16], is_incoming: Mask) -> U64:
    """Return a number for each hop: its peer, the server's port, and who connects."""
    return mix(peer ^ mix(port.astype(np.uint64) << _S16 | is_incoming))


def mix(numbers: U64) -> U64:
    """Return a number of 64 bits for each, every bit of which depends on all bits of the first."""
    mixed = numbers ^ _SEED
    mixed ^= mixed >> _S30
    mixed *= _FIRST
    mixed ^= mixed >> _S27
    mixed *= _SECOND
    mixed ^= mixed >> _S31
    return mixed


def _hash_tuples(
    local: U64, local_port: NDArray[np.uint16], remote: U64, remote_port: NDArray[np.uint16]
) -> U64:
    # The two sides are mixed in one after the other, so that a tuple and that of the other end differ.
    ports = local_port.astype(np.uint64) << _S16 | remote_port
    return mix(mix(mix(local) ^ ports) ^ remote)


def _ports(rows: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Return local and remote ports, (sockets, 2)."""
    packed = np.ascontiguousarray(rows[:, _PORTS_WORD])
    return packed.view(">u2").reshape(-1, 2).astype(np.uint16)


def _head(rows: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return family, state, timer and retransmits, (sockets, 4)."""
    return np.ascontiguousarray(rows[:, _STATE_WORD]).view(np.uint8).reshape(-1, 4)


def _canonical(rows: NDArray[np.uint32], first: int) -> NDArray[np.uint32]:
    words = rows[:, first : first + 4].copy()
    is_v4 = _head(rows)[:, 0] == socket.AF_INET
    words[is_v4, 3] = words[is_v4, 0]
    words[is_v4, :2], words[is_v4, 2] = 0, _MAPPED
    return words


def _number_v6(address: str) -> np.uint64:
    words = np.frombuffer(socket.inet_pton(socket.AF_INET6, address), np.uint32)[None, :]
    return np.uint64(address_numbers(words, np.array([False]))[0])


ANY_ADDRESS = frozenset((0, int(_number_v6("::"))))
"""The numbers of 0.0.0.0 and of ::, where a socket listens at every address."""
_LOOPBACK_V6 = _number_v6("::1")
_V4_END = np.uint64(1 << 32)
