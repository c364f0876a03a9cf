"""The connections that are open: since when, and on which hop, by the kernel's address of their socket.

A host may hold 100,000 of them, so that they are three columns ordered by address, never objects.
"""

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
"""Instead of the time or the hop of a connection that is not in the table."""


class OpenConnections:
    """A table with a row for each socket."""

    def __init__(self) -> None:
        self._socket = np.empty(0, np.uint64)
        self._since_ns = np.empty(0, np.int64)
        self._hop = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self._socket)

    @property
    def hops(self) -> NDArray[np.int32]:
        """Return the hop of each, in no certain order."""
        return self._hop

    def remove(self, sockets: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return since when they were open and on which hops, UNKNOWN where they are not in the table.

        None may come twice.
        """
        since, hop = np.full(len(sockets), UNKNOWN, np.int64), np.full(len(sockets), UNKNOWN, np.int32)
        at = np.searchsorted(self._socket, sockets)
        is_here = at < len(self._socket)
        is_here[is_here] = self._socket[at[is_here]] == sockets[is_here]
        found = at[is_here]
        since[is_here], hop[is_here] = self._since_ns[found], self._hop[found]
        if len(found):
            stays = np.ones(len(self._socket), np.bool_)
            stays[found] = False
            self._socket, self._since_ns = self._socket[stays], self._since_ns[stays]
            self._hop = self._hop[stays]
        return since, hop

    def add(self, sockets: NDArray[np.uint64], since_ns: NDArray[np.int64], hops: NDArray[np.int32]) -> None:
        """Add sockets, ordered and each once; one that is there already is a new connection from now on."""
        if not len(sockets):
            return
        self.remove(sockets)
        at = np.searchsorted(self._socket, sockets)
        self._socket = np.insert(self._socket, at, sockets)
        self._since_ns = np.insert(self._since_ns, at, since_ns)
        self._hop = np.insert(self._hop, at, hops)

    def renumber(self, numbers: NDArray[np.int32]) -> None:
        """Give each hop a new number: that of hop N is `numbers[N]`."""
        self._hop = numbers[self._hop]
