"""What is known of sockets by the kernel's address of them: since when, and a number that their table is for.

A host may hold 100,000 of them, so that they are three columns ordered by address, never objects.
"""

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
"""Instead of the time or the number of a socket that is not in the table."""


class OpenSockets:
    """A table with a row for each socket."""

    def __init__(self) -> None:
        self._socket = np.empty(0, np.uint64)
        self._since_ns = np.empty(0, np.int64)
        self._number = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self._socket)

    @property
    def numbers(self) -> NDArray[np.int32]:
        """Return the number of each, in no certain order."""
        return self._number

    def remove(self, sockets: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return since when they are in the table and their numbers, UNKNOWN where they are not in it.

        None may come twice.
        """
        since, number = np.full(len(sockets), UNKNOWN, np.int64), np.full(len(sockets), UNKNOWN, np.int32)
        at = np.searchsorted(self._socket, sockets)
        is_here = at < len(self._socket)
        is_here[is_here] = self._socket[at[is_here]] == sockets[is_here]
        found = at[is_here]
        since[is_here], number[is_here] = self._since_ns[found], self._number[found]
        if len(found):
            stays = np.ones(len(self._socket), np.bool_)
            stays[found] = False
            self._socket, self._since_ns = self._socket[stays], self._since_ns[stays]
            self._number = self._number[stays]
        return since, number

    def add(
        self, sockets: NDArray[np.uint64], since_ns: NDArray[np.int64], numbers: NDArray[np.int32]
    ) -> None:
        """Add sockets, ordered and each once; what the table had of one is replaced."""
        if not len(sockets):
            return
        self.remove(sockets)
        at = np.searchsorted(self._socket, sockets)
        self._socket = np.insert(self._socket, at, sockets)
        self._since_ns = np.insert(self._since_ns, at, since_ns)
        self._number = np.insert(self._number, at, numbers)

    def renumber(self, numbers: NDArray[np.int32]) -> None:
        """Give each socket a new number: instead of N it is `numbers[N]`."""
        self._number = numbers[self._number]
