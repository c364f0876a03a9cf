"""The kernel's events about TCP sockets, as rows: what is asked for, and how its records become rows.

Three events are enough to know who ended a connection. `sock:inet_sock_set_state` tells when a socket comes
to ESTABLISHED or leaves it. An RST shows in `tcp:tcp_receive_reset` just before its socket is closed
(tcp_reset), or in `tcp:tcp_send_reset` just behind that or before (tcp_disconnect, tcp_abort).
Sources: include/trace/events/sock.h and tcp.h; net/ipv4/tcp.c; net/ipv4/tcp_input.c.
"""

import socket
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import ESTABLISHED, SYN_SENT, address_words
from bench.watch.event_format import EventFormat
from bench.watch.ring_buffer import WORD_BYTES, Records
from bench.watch.tracefs import Tracefs, TraceInstance, TracingError

STATE_EVENT, SENT_EVENT, RECEIVED_EVENT = (
    "sock/inet_sock_set_state",
    "tcp/tcp_send_reset",
    "tcp/tcp_receive_reset",
)
STATE_FILTER = f"oldstate<={SYN_SENT}||newstate=={ESTABLISHED}"
"""What comes to ESTABLISHED (1) or leaves it, and what comes of SYN_SENT (2): little to compare.

The other changes of state follow from these: in the buffer they would be most of it.
"""
CONNECT_FILTER = f"oldstate<={SYN_SENT}||newstate<={SYN_SENT}"
"""The same with what comes to SYN_SENT, which names the thread that connects."""
RESET_FILTER = "skaddr!=0"
"""An RST that answers a packet without a socket ends no connection."""


class RowKind(IntEnum):
    """What a row tells of its socket."""

    STATE = 0
    SENT_RESET = 1
    RECEIVED_RESET = 2


ROW = np.dtype(
    [
        ("time_ns", np.int64),
        ("socket", np.uint64),
        ("thread", np.int32),
        ("kind", np.uint8),
        ("old", np.uint8),
        ("new", np.uint8),
        ("local_port", np.uint16),
        ("remote_port", np.uint16),
        ("local", np.uint32, 4),
        ("remote", np.uint32, 4),
    ]
)
"""One event: `socket` is the kernel's address of it, `thread` who ran when it happened (any, but where a
socket comes to SYN_SENT); addresses are those of `sock_diag.address_words`.

Only a row of RowKind.STATE has states, ports and addresses. A port of a failed bind is 0.
"""
Rows = NDArray[np.void]
"""Rows of type ROW."""

_STATE_FIELDS = {
    "common_type": "u2",
    "common_pid": "i4",
    "skaddr": "u8",
    "oldstate": "i4",
    "newstate": "i4",
    "sport": "u2",
    "dport": "u2",
    "protocol": "u2",
    # Those of IPv4 are there in their form of IPv6.
    "saddr_v6": "(4,)u4",
    "daddr_v6": "(4,)u4",
}
_LOOPBACK, _LOOPBACK_6 = address_words("127.0.0.1"), address_words("::1")
_FIRST_BYTE = np.frombuffer(b"\xff\0\0\0", np.uint32)[0]
_RESET_FIELDS = {"common_type": "u2", "skaddr": "u8"}


@dataclass(frozen=True, slots=True)
class SocketEvents:
    """The events of this kernel: their numbers, and the types of their records."""

    state: EventFormat
    resets: tuple[tuple[RowKind, EventFormat], ...]
    """Only those that this kernel has: without them it stays unknown who reset a connection."""

    @classmethod
    def of(cls, tracefs: Tracefs) -> "SocketEvents":
        """Read the formats; TracingError where the kernel lacks what it cannot do without."""
        found = []
        for kind, event in ((RowKind.SENT_RESET, SENT_EVENT), (RowKind.RECEIVED_RESET, RECEIVED_EVENT)):
            try:
                found.append((kind, tracefs.format(event)))
            except TracingError:
                continue
        return cls(tracefs.format(STATE_EVENT), tuple(found))

    def enable(self, instance: TraceInstance, state_filter: str = STATE_FILTER) -> None:
        """Turn the events on, those of resets first: no end of a connection is then without them."""
        names = {RowKind.SENT_RESET: SENT_EVENT, RowKind.RECEIVED_RESET: RECEIVED_EVENT}
        for kind, _ in self.resets:
            instance.enable(names[kind], RESET_FILTER)
        instance.enable(STATE_EVENT, state_filter)

    def rows(self, pages: NDArray[np.uint8], records: Records) -> Rows:
        """Return the rows of these events among `records`; what other events wrote is left out."""
        flat = np.ascontiguousarray(pages).reshape(-1)
        parts = [self._state_rows(flat, records)]
        parts += [_reset_rows(flat, records, kind, of) for kind, of in self.resets]
        return np.concatenate(parts)

    def _state_rows(self, flat: NDArray[np.uint8], records: Records) -> Rows:
        at, times = _of(flat, records, self.state.number, self.state.size)
        found = _gather(flat, at, self.state.dtype(_STATE_FIELDS))
        is_tcp = found["protocol"] == socket.IPPROTO_TCP
        found, times = found[is_tcp], times[is_tcp]
        rows = np.zeros(len(found), ROW)
        rows["time_ns"], rows["socket"], rows["thread"] = times, found["skaddr"], found["common_pid"]
        rows["old"], rows["new"] = found["oldstate"], found["newstate"]
        rows["local_port"], rows["remote_port"] = found["sport"], found["dport"]
        rows["local"], rows["remote"] = found["saddr_v6"], found["daddr_v6"]
        return rows


def is_loopback(words: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return which addresses, (addresses, 4), are of 127.0.0.0/8 or ::1, which every namespace has."""
    is_first_byte = (words[:, 3] & _FIRST_BYTE) == (_LOOPBACK[3] & _FIRST_BYTE)
    is_v4: NDArray[np.bool_] = is_first_byte & (words[:, :3] == _LOOPBACK[:3]).all(axis=1)
    is_v6: NDArray[np.bool_] = (words == _LOOPBACK_6).all(axis=1)
    return is_v4 | is_v6


def _reset_rows(flat: NDArray[np.uint8], records: Records, kind: RowKind, of: EventFormat) -> Rows:
    at, times = _of(flat, records, of.number, of.size)
    rows = np.zeros(len(at), ROW)
    rows["time_ns"], rows["kind"] = times, kind
    rows["socket"] = _gather(flat, at, of.dtype(_RESET_FIELDS))["skaddr"]
    return rows


def _of(
    flat: NDArray[np.uint8], records: Records, number: int, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the records of one event are, in words, and their times."""
    fits = records.word * WORD_BYTES + size <= len(flat)
    # The kernel writes the number of the event first (struct trace_entry).
    is_it = fits & (flat.view(np.uint16)[records.word * (WORD_BYTES // 2)] == number)
    return records.word[is_it], records.time_ns[is_it]


def _gather(flat: NDArray[np.uint8], at: NDArray[np.int64], kind: np.dtype[np.void]) -> NDArray[np.void]:
    """Return the records at words `at`: a window of their type at each word, of which those are taken."""
    windows = max(0, (len(flat) - kind.itemsize) // WORD_BYTES + 1)
    everywhere = np.ndarray((windows,), kind, flat, strides=(WORD_BYTES,))
    taken: NDArray[np.void] = everywhere[at]
    return taken
