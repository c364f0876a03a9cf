"""Which connections came to this host: those at a port that it listens on, or listened on a while ago."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bench.watch.columns import ANY_ADDRESS, U64, Mask, mix, socket_columns

_REMEMBERED_MS = 120_000.0
"""A listener that goes away leaves sockets in TIME_WAIT for 60 s (include/net/tcp.h, TCP_TIMEWAIT_LEN), and
its connections may take as long to end."""


class ListenedPorts:
    """The listeners of a namespace, from dump to dump; each is remembered for a while after it went away."""

    def __init__(self) -> None:
        self._seen_ms: dict[tuple[int, int], float] = {}
        self._everywhere = np.zeros(1 << 16, np.bool_)
        self._somewhere = np.zeros(1 << 16, np.bool_)
        self._places: U64 = np.zeros(0, np.uint64)

    def update(self, rows: NDArray[np.uint32], now_ms: float) -> None:
        """Take note of the sockets in LISTEN, at a time of the monotonic clock."""
        sockets = socket_columns(rows)
        for place in zip(sockets.local.tolist(), sockets.local_port.tolist(), strict=True):
            self._seen_ms[place] = now_ms
        self._seen_ms = {
            place: seen_ms for place, seen_ms in self._seen_ms.items() if seen_ms > now_ms - _REMEMBERED_MS
        }
        self._everywhere[:], self._somewhere[:] = False, False
        places = []
        for address, port in self._seen_ms:
            if address in ANY_ADDRESS:
                self._everywhere[port] = True
            else:
                self._somewhere[port] = True
                places.append((address, port))
        numbers = np.array(places, np.uint64).reshape(-1, 2)
        self._places = mix(numbers[:, 0]) ^ numbers[:, 1]

    def add_ended(self, ports: Iterable[int], now_ms: float) -> None:
        """Take note of ports where somebody must have listened; it counts from the next update on."""
        for port in ports:
            self._seen_ms[0, port] = now_ms

    def is_here(self, addresses: U64, ports: NDArray[np.uint16]) -> Mask:
        """Return where somebody listens at an address of this host, on a port."""
        found: Mask = self._everywhere[ports]
        may_be = self._somewhere[ports] & ~found
        if may_be.any():
            found[may_be] = np.isin(mix(addresses[may_be]) ^ ports[may_be], self._places)
        return found
