"""Which ports are a server's though nobody listens any more: those that many connections share. Pure.

A server that ended before the watch began leaves sockets in TIME_WAIT. Where its port is one that the kernel
might have chosen for a client, the range says nothing. But a client takes another port for each connection
to one server, and a server has one for all: the end that more connections share is the server's.
"""

import numpy as np
from numpy.typing import NDArray

from bench.watch.columns import Mask

_PORTS = 1 << 16
_FEWEST = 5
"""Connections from one port that a client chose: to so many servers at once it hardly has them."""
_CLEARLY = 2
"""So many times as many connections share the one end as the other."""
Ports = NDArray[np.uint16]


class SharedPorts:
    """Counts the sockets of one dump whose two ports may both have been chosen by the kernel."""

    def __init__(self) -> None:
        self._near: list[Ports] = []
        self._far: list[Ports] = []

    def add(self, near: Ports, far: Ports, is_either: Mask) -> None:
        """Add those sockets, of their ports here and of their peers', of which either may be the server's."""
        if is_either.any():
            self._near.append(near[is_either])
            self._far.append(far[is_either])

    def find(self) -> tuple[list[int], int]:
        """Return which ports here are servers', and of how many sockets the server's end cannot be told."""
        if not self._near:
            return [], 0
        near, far = np.concatenate(self._near), np.concatenate(self._far)
        all_near, all_far = np.bincount(near, minlength=_PORTS), np.bincount(far, minlength=_PORTS)
        is_near, is_far = (
            (shared >= _FEWEST) & (shared > _CLEARLY * other)
            for shared, other in ((all_near[near], all_far[far]), (all_far[far], all_near[near]))
        )
        votes = np.bincount(near[is_near], minlength=_PORTS)
        is_served = votes * _CLEARLY > all_near
        untold = ~is_far & ~is_served[near]
        return np.flatnonzero(is_served).tolist(), int(untold.sum())
