"""Small numbers for hops, so that counts by hop are columns; bounded: a public server has many peers."""

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import address_text
from bench.watch.model import OTHER_PEERS, Direction, PeerHop

MOST_HOPS = 4096
"""Hops beyond it are gathered under OTHER_PEERS, by direction and port."""
STRANGE = 0
"""The number of the hop that gathers what is none of the scope; it stands for no hop."""
_NOWHERE = PeerHop(Direction.OUTGOING, "", 0)
_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)
"""Odd factors without a pattern: each word of an address moves all higher bits of the key."""


class HopNumbers:
    """The number of each hop that was seen, in the order of their first sight."""

    def __init__(self, most: int = MOST_HOPS) -> None:
        self.most = most
        self.hops: list[PeerHop] = [_NOWHERE]
        self._by_key: dict[int, int] = {}
        self._by_hop: dict[PeerHop, int] = {}

    def __len__(self) -> int:
        return len(self.hops)

    def find(
        self, is_outgoing: NDArray[np.bool_], port: NDArray[np.uint16], peer: NDArray[np.uint32]
    ) -> NDArray[np.int32]:
        """Return the number of each hop: direction, port of the server, address of the peer in words."""
        keys = _keys(is_outgoing, port, peer)
        unique, first, where = np.unique(keys, return_index=True, return_inverse=True)
        numbers = np.empty(len(unique), np.int32)
        for row, (key, at) in enumerate(zip(unique.tolist(), first.tolist(), strict=True)):
            number = self._by_key.get(key)
            if number is None:
                direction = Direction.OUTGOING if is_outgoing[at] else Direction.INCOMING
                number = self._add(key, direction, int(port[at]), peer[at])
            numbers[row] = number
        return numbers[where]

    def keep(self, used: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Forget the hops that are not `used`; return the new number of each old one."""
        used = used.copy()
        used[STRANGE] = True
        numbers = np.cumsum(used, dtype=np.int32) - np.int32(1)
        self.hops = [hop for hop, stays in zip(self.hops, used.tolist(), strict=True) if stays]
        self._by_hop = {hop: number for number, hop in enumerate(self.hops)}
        self._by_key = {key: int(numbers[old]) for key, old in self._by_key.items() if used[old]}
        return numbers

    def _add(self, key: int, direction: Direction, port: int, peer: NDArray[np.uint32]) -> int:
        is_full = len(self._by_key) >= self.most
        hop = PeerHop(direction, OTHER_PEERS if is_full else address_text(peer), port)
        number = self._by_hop.get(hop)
        if number is None:
            number = self._by_hop[hop] = len(self.hops)
            self.hops.append(hop)
        if not is_full:
            self._by_key[key] = number
        return number


def _keys(
    is_outgoing: NDArray[np.bool_], port: NDArray[np.uint16], peer: NDArray[np.uint32]
) -> NDArray[np.uint64]:
    """Return a number for each hop, of 64 bits, so that two of some thousand hops never share one."""
    words = peer.astype(np.uint64)
    keys = port.astype(np.uint64) << np.uint64(1) | is_outgoing.astype(np.uint64)
    for column, odd in enumerate(_ODD):
        keys = (keys ^ words[:, column]) * odd
        keys ^= keys >> np.uint64(29)
    return keys
