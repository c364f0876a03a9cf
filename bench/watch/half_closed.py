"""Connections that the peer has ended by a FIN, and that an RST of the peer may still follow.

A host that has closed answers by RST what comes then: what crossed its FIN on the way, or was sent behind it
(RFC 9293, section 3.6.1). Of such a connection no further state is recorded, and the memory of its socket may
be another's soon, of another namespace too: an RST belongs to it where the ports are its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.watch.columns import tuple_numbers
from bench.watch.open_sockets import UNKNOWN
from bench.watch.socket_events import RowKind, Rows

_MOST = 16_384
"""Connections that are remembered, the latest: half a MiB. A client may send on one long after its FIN."""
_ENTRY = np.dtype(
    [
        ("socket", np.uint64),
        ("time_ns", np.int64),
        ("tuple", np.uint64),
        ("hop", np.int32),
        ("local_port", np.uint16),
        ("remote_port", np.uint16),
    ]
)


@dataclass(frozen=True, slots=True)
class Endings:
    """Ends of connections, a column each."""

    hop: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    tuples: NDArray[np.uint64]
    """A hash of addresses and ports (columns.tuple_numbers)."""


class HalfClosed:
    """A table with a row for each, ordered by the kernel's address of the socket."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._table = np.empty(0, _ENTRY)

    def __len__(self) -> int:
        return len(self._table)

    def renumber(self, used: NDArray[np.bool_], numbers: NDArray[np.int32]) -> None:
        """Forget those of hops that are not `used`; instead of N the number of a hop is `numbers[N]`."""
        self._table = self._table[used[self._table["hop"]]]
        self._table["hop"] = numbers[self._table["hop"]]

    def follow(self, rows: Rows, hop: NDArray[np.int32]) -> Endings:
        """Return the FINs that an RST has followed, and remember those that it may follow yet.

        `rows` are ordered by socket and time. `hop` has a number for each: of a FIN of the peer that of its
        hop, else UNKNOWN.
        """
        is_first = np.append(True, rows["socket"][1:] != rows["socket"][:-1])
        is_last = np.append(is_first[1:], True)
        is_fin, is_reset = hop != UNKNOWN, rows["kind"] == RowKind.RECEIVED_RESET
        behind = np.flatnonzero(is_reset[1:] & ~is_first[1:] & is_fin[:-1])
        here = _answered(_entries(rows[behind], hop[behind]), rows[behind + 1])
        # Whatever else happens to a socket, it is another one's from then on.
        firsts = rows[is_first]
        at, is_known = self._find(firsts["socket"])
        before = is_known & is_reset[is_first]
        earlier = _answered(self._table[at[before]], firsts[before])
        self._change(at[is_known], _entries(rows[is_fin & is_last], hop[is_fin & is_last]))
        found = np.concatenate((here, earlier))
        return Endings(found["hop"], found["time_ns"], found["tuple"])

    def _find(self, sockets: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return where each of `sockets` is in the table, and whether it is there at all."""
        at = np.searchsorted(self._table["socket"], sockets)
        is_known = at < len(self._table)
        is_known[is_known] = self._table["socket"][at[is_known]] == sockets[is_known]
        return at, is_known

    def _change(self, gone: NDArray[np.intp], come: NDArray[np.void]) -> None:
        """Take rows out of the table, and put those of other sockets in."""
        if len(gone):
            self._table = np.delete(self._table, gone)
        if len(come):
            self._table = np.insert(self._table, np.searchsorted(self._table["socket"], come["socket"]), come)
        if len(self._table) > self._most:
            # Half of them, so that not each batch has to look for the latest.
            latest = np.argsort(self._table["time_ns"], kind="stable")[-self._most // 2 :]
            self._table = self._table[np.sort(latest)]


def _entries(rows: Rows, hop: NDArray[np.int32]) -> NDArray[np.void]:
    found = np.empty(len(rows), _ENTRY)
    for name in ("socket", "time_ns", "local_port", "remote_port"):
        found[name] = rows[name]
    found["hop"] = hop
    found["tuple"] = tuples_of(rows)
    return found


def tuples_of(rows: Rows) -> NDArray[np.uint64]:
    """Return a hash of the addresses and ports of rows of RowKind.STATE."""
    return tuple_numbers(rows["local"], rows["local_port"], rows["remote"], rows["remote_port"])


def _answered(fins: NDArray[np.void], resets: Rows) -> NDArray[np.void]:
    """Return those of `fins` whose ports the RST has, too."""
    is_same = (fins["local_port"] == resets["local_port"]) & (fins["remote_port"] == resets["remote_port"])
    found: NDArray[np.void] = fins[is_same]
    return found
