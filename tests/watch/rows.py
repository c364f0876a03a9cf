"""Scripted events of sockets, written as the kernel's transitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.observe.sock_diag import CLOSE_WAIT, ESTABLISHED, FIN_WAIT1, SYN_RECV, SYN_SENT, address_words
from bench.watch.events import CLOSE
from bench.watch.socket_events import ROW, RowKind, Rows

HERE, THERE = "10.0.0.1", "10.0.0.2"
CLIENT, SERVER = 40001, 80

Event = tuple[int, int, str]
"""Time in ns, socket, and what happens (a key of EVENTS)."""

EVENTS: dict[str, tuple[RowKind, int, int]] = {
    "connects": (RowKind.STATE, CLOSE, SYN_SENT),
    "connected": (RowKind.STATE, SYN_SENT, ESTABLISHED),
    "accepted": (RowKind.STATE, SYN_RECV, ESTABLISHED),
    "both connect": (RowKind.STATE, SYN_SENT, SYN_RECV),
    "FIN out": (RowKind.STATE, ESTABLISHED, FIN_WAIT1),
    "FIN in": (RowKind.STATE, ESTABLISHED, CLOSE_WAIT),
    "gone": (RowKind.STATE, ESTABLISHED, CLOSE),
    "refused": (RowKind.STATE, SYN_SENT, CLOSE),
    "RST out": (RowKind.SENT_RESET, 0, 0),
    "RST in": (RowKind.RECEIVED_RESET, 0, 0),
}


def rows(
    events: Sequence[Event],
    *,
    local_port: int = CLIENT,
    remote_port: int = SERVER,
    thread: int = 0,
    addresses: tuple[str, str] = (HERE, THERE),
) -> Rows:
    """Return the rows of `events`, all between the same addresses and ports, and run by one thread."""
    made = np.zeros(len(events), ROW)
    for row, (time_ns, socket, what) in zip(made, events, strict=True):
        kind, old, new = EVENTS[what]
        row["time_ns"], row["socket"], row["kind"], row["old"], row["new"] = time_ns, socket, kind, old, new
        row["local_port"], row["remote_port"] = local_port, remote_port
        row["local"], row["remote"] = map(address_words, addresses)
        row["thread"] = thread
    return made
