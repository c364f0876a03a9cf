"""Which new connections are none of the scope: those that a thread of somebody else asked for.

Where a scope is a namespace, the other end of such a connection over loopback is none of it either.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.watch.connecting import IsOurs
from bench.watch.open_sockets import UNKNOWN, OpenSockets
from bench.watch.socket_events import Rows, is_loopback

_ODD = np.uint64(0x9E3779B97F4A7C15)
"""Any odd factor without a pattern."""


@dataclass(frozen=True, slots=True)
class Births:
    """Rows by socket and time, and which of them are the first of a connection's life, a mask each."""

    rows: Rows
    connects: NDArray[np.bool_]
    """Came to SYN_SENT, which names the thread."""
    born: NDArray[np.bool_]
    """Came to ESTABLISHED, or failed to."""
    is_outgoing: NDArray[np.bool_]
    is_first: NDArray[np.bool_]
    """The first row of its socket."""
    is_last: NDArray[np.bool_]


class Strangers:
    """Finds the connections of others. Rows come in by calls that follow each other in time."""

    def __init__(self, is_ours: IsOurs, *, also_other_ends: bool) -> None:
        self._is_ours, self._also_other_ends = is_ours, also_other_ends
        self._connecting = OpenSockets()

    def find(self, births: Births) -> NDArray[np.bool_]:
        """Return which rows are born of a thread of somebody else, or to one."""
        rows, connects = births.rows, births.connects
        outgoing = births.born & births.is_outgoing
        thread = np.full(len(rows), UNKNOWN, np.int32)
        here = np.flatnonzero(outgoing & ~births.is_first & np.append(False, connects[:-1]))
        thread[here] = rows["thread"][here - 1]
        before = outgoing & births.is_first
        thread[before] = self._connecting.remove(rows["socket"][before])[1]
        waiting = connects & births.is_last
        self._connecting.add(rows["socket"][waiting], rows["time_ns"][waiting], rows["thread"][waiting])
        strange: NDArray[np.bool_] = outgoing & (thread != UNKNOWN)
        strange[strange] = ~self._is_ours(thread[strange])
        if self._also_other_ends and strange.any():
            incoming = births.born & ~births.is_outgoing & is_loopback(rows["remote"])
            strange |= incoming & np.isin(
                _keys(rows, "local", "remote"), _keys(rows[strange], "remote", "local")
            )
        return strange


def _keys(rows: Rows, first: str, second: str) -> NDArray[np.uint64]:
    """Return a number for each connection, seen from the end `first`."""
    keys: NDArray[np.uint64] = (
        rows[f"{first}_port"].astype(np.uint64) << np.uint64(16) | rows[f"{second}_port"]
    )
    for end in (first, second):
        for column in range(4):
            keys = (keys ^ rows[end][:, column]) * _ODD
            keys ^= keys >> np.uint64(29)
    return keys
