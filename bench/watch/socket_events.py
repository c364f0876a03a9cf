"""The kernel's events about TCP sockets, as rows: what is asked for, and how its records become rows.

Three events are enough to know who ended a connection. `sock:inet_sock_set_state` tells when a socket comes
to ESTABLISHED or leaves it. An RST shows in `tcp:tcp_receive_reset` just before its socket is closed
(tcp_reset), or in `tcp:tcp_send_reset` just behind that or before (tcp_disconnect, tcp_abort).
Sources: include/trace/events/sock.h and tcp.h; net/ipv4/tcp.c; net/ipv4/tcp_input.c.
"""

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import ESTABLISHED, SYN_SENT, address_words
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

Only a row of RowKind.STATE has states and addresses, and only that and one of RowKind.RECEIVED_RESET has
ports. A port of a failed bind is 0.
"""
Rows = NDArray[np.void]
"""Rows of type ROW."""

_STATE_FIELDS = {
    "common_pid": "i",
    "skaddr": "u",
    "oldstate": "i",
    "newstate": "i",
    "sport": "u",
    "dport": "u",
    "protocol": "u",
    # Those of IPv4 are there in their form of IPv6.
    "saddr_v6": "words",
    "daddr_v6": "words",
}
_PORTS = {"sport": "u", "dport": "u"}
_RESET_FIELDS = {
    RowKind.SENT_RESET: {"skaddr": "u"},
    RowKind.RECEIVED_RESET: {"skaddr": "u"} | _PORTS,
}
_LOOPBACK, _LOOPBACK_6 = address_words("127.0.0.1"), address_words("::1")
_FIRST_BYTE = np.frombuffer(b"\xff\0\0\0", np.uint32)[0]


@dataclass(frozen=True, slots=True)
class SocketEvent:
    """One event of this kernel: its name, its number, and the type of its records."""

    name: str
    number: int
    record: np.dtype[np.void]

    @classmethod
    def of(cls, tracefs: Tracefs, name: str, wanted: Mapping[str, str]) -> "SocketEvent":
        """Read the format of `SYSTEM/EVENT`; TracingError where it lacks what is wanted."""
        found = tracefs.format(name)
        try:
            return cls(name, found.number, found.dtype(wanted))
        except (KeyError, ValueError) as error:
            raise TracingError(
                f"the event {name.replace('/', ':')} of this kernel is another: {error}"
            ) from error

    def enable(self, instance: TraceInstance, condition: str) -> None:
        """Turn it on for what fits a filter."""
        instance.enable(self.name, condition)

    def records(
        self, flat: NDArray[np.uint8], records: Records
    ) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Return the records of this event, and their times."""
        fits = records.word * WORD_BYTES + self.record.itemsize <= len(flat)
        # The kernel writes the number of the event first (struct trace_entry).
        is_it = fits & (flat.view(np.uint16)[records.word * (WORD_BYTES // 2)] == self.number)
        # A window of the record's type at each word, of which those are taken.
        windows = max(0, (len(flat) - self.record.itemsize) // WORD_BYTES + 1)
        everywhere = np.ndarray((windows,), self.record, flat, strides=(WORD_BYTES,))
        return everywhere[records.word[is_it]], records.time_ns[is_it]


@dataclass(frozen=True, slots=True)
class SocketEvents:
    """The events of this kernel."""

    state: SocketEvent
    resets: tuple[tuple[RowKind, SocketEvent], ...]
    """Only those that this kernel has: without them it stays unknown who reset a connection."""

    @classmethod
    def of(cls, tracefs: Tracefs) -> "SocketEvents":
        """Read the formats; TracingError where the kernel lacks what it cannot do without."""
        found = []
        for kind, name in ((RowKind.SENT_RESET, SENT_EVENT), (RowKind.RECEIVED_RESET, RECEIVED_EVENT)):
            with contextlib.suppress(TracingError):
                found.append((kind, SocketEvent.of(tracefs, name, _RESET_FIELDS[kind])))
        return cls(SocketEvent.of(tracefs, STATE_EVENT, _STATE_FIELDS), tuple(found))

    def enable(self, instance: TraceInstance, state_filter: str = STATE_FILTER) -> None:
        """Turn the events on, those of resets first: no end of a connection is then without them."""
        for _, event in self.resets:
            event.enable(instance, RESET_FILTER)
        self.state.enable(instance, state_filter)

    def rows(self, pages: NDArray[np.uint8], records: Records) -> Rows:
        """Return the rows of these events among `records`; what other events wrote is left out."""
        flat = np.ascontiguousarray(pages).reshape(-1)
        parts = [self._state_rows(flat, records)]
        parts += [_reset_rows(flat, records, kind, event) for kind, event in self.resets]
        return np.concatenate(parts)

    def _state_rows(self, flat: NDArray[np.uint8], records: Records) -> Rows:
        found, times = self.state.records(flat, records)
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


def _reset_rows(flat: NDArray[np.uint8], records: Records, kind: RowKind, event: SocketEvent) -> Rows:
    found, times = event.records(flat, records)
    rows = np.zeros(len(found), ROW)
    rows["time_ns"], rows["kind"], rows["socket"] = times, kind, found["skaddr"]
    if kind is RowKind.RECEIVED_RESET:
        rows["local_port"], rows["remote_port"] = found["sport"], found["dport"]
    return rows
