"""Read how long TCP connections have been idle, and what they carried: `struct tcp_info` out of a dump.

A message about a socket with TCP_INFO_EXTENSION has attributes behind its head, in an order and number that
differ by family and rights; all sockets of a buffer are walked at once, attribute by attribute.

Sources: include/uapi/linux/inet_diag.h, tcp.h; net/ipv4/inet_diag.c (inet_sk_diag_fill); netlink(7).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import ROW_WORDS, socket_starts

_INET_DIAG_INFO = 2
_MOST_ATTRIBUTES = 32
"""Beyond what any kernel puts before it; a walk that is longer has lost its way."""
_LAST_SENT_WORD, _LAST_RECEIVED_WORD = 11, 13
_BYTES_ACKED_WORD, _BYTES_RECEIVED_WORD = 30, 32
"""Words of tcp_info; the byte counts have two each, and are there since Linux 4.1."""
_DATA_SEGMENTS_OUT_WORD = 39
"""There since Linux 4.6."""


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """Sockets with what tcp_info says of them, a column each; those without it are left out."""

    rows: NDArray[np.uint32]
    """Heads of the messages, (sockets, ROW_WORDS)."""
    idle_ms: NDArray[np.uint32]
    """Since data was sent or received; where none ever was, since the connection was established."""
    bytes_sent: NDArray[np.uint64]
    """Acknowledged by the peer; 0 where the kernel does not count them."""
    bytes_received: NDArray[np.uint64]
    data_sent: NDArray[np.uint32]
    """Segments with data; 0 where the kernel does not count them."""


def decode_info(words: NDArray[np.uint32], seq: int) -> TcpInfo:
    """Return the sockets of a buffer that have tcp_info; OSError where the kernel answers with an error."""
    starts = socket_starts(words, seq)
    at = _find_attribute(words, starts, _INET_DIAG_INFO)
    starts, at = starts[at > 0], at[at > 0]
    size = (words[at] & 0xFFFF).astype(np.intp) // 4 - 1  # without the attribute's header
    info = at + 1
    idle_ms = np.minimum(words[info + _LAST_SENT_WORD], words[info + _LAST_RECEIVED_WORD])
    return TcpInfo(
        words[starts[:, None] + np.arange(ROW_WORDS)],
        idle_ms,
        _wide(words, info, size, _BYTES_ACKED_WORD),
        _wide(words, info, size, _BYTES_RECEIVED_WORD),
        np.where(size > _DATA_SEGMENTS_OUT_WORD, _word(words, info, _DATA_SEGMENTS_OUT_WORD), 0),
    )


def _word(words: NDArray[np.uint32], info: NDArray[np.intp], word: int) -> NDArray[np.uint32]:
    """Return a word of each tcp_info; any other one where it is too short to have it."""
    found: NDArray[np.uint32] = words[np.minimum(info + word, len(words) - 1)]
    return found


def _find_attribute(words: NDArray[np.uint32], starts: NDArray[np.intp], kind: int) -> NDArray[np.intp]:
    """Return where the attribute `kind` of each message starts; 0 where it has none."""
    ends = starts + words[starts].astype(np.intp) // 4
    found = np.zeros(len(starts), np.intp)
    which = np.arange(len(starts))
    at = starts + ROW_WORDS
    for _ in range(_MOST_ATTRIBUTES):
        inside = at < ends[which]
        which, at = which[inside], at[inside]
        if not len(which):
            break
        headers = words[at]
        is_it = headers >> 16 == kind
        found[which[is_it]] = at[is_it]
        # An attribute is at least its header; what claims less cannot be walked over.
        step = np.maximum(1, ((headers & 0xFFFF).astype(np.intp) + 3) // 4)
        which, at = which[~is_it], (at + step)[~is_it]
    return found


def _wide(
    words: NDArray[np.uint32], info: NDArray[np.intp], size: NDArray[np.intp], word: int
) -> NDArray[np.uint64]:
    """Return a number of 64 bits out of each tcp_info; 0 where it is too short to have it."""
    found = np.zeros(len(info), np.uint64)
    has = size >= word + 2
    at = info[has] + word
    pair = words[at[:, None] + np.arange(2)]
    found[has] = np.ascontiguousarray(pair).view(np.uint64)[:, 0]
    return found
