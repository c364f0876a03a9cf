"""Whose the hops of a namespace are: of the processes that a watch is about, of others, or nobody's.

A socket in TIME_WAIT belongs to no process any more, and a short connection is gone before one can look who
holds it. So it is hops that belong to processes: a port that they listen on, a peer that they were seen to
connect to. A dump names the user of each connection too: that tells where no other process has the user. A
hop that others use too, and one on which no process was seen, stands apart.
"""

import os
import time
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from bench.watch.columns import U64, Mask, matches, socket_columns
from bench.watch.dump import Connections, Dump, HopColumns
from bench.watch.processes import HeldSockets, held_sockets, users_of
from bench.watch.scope import Scope

_MOST_HOPS = 1 << 16
"""Hops that are remembered; what comes later stays without a process."""
_MOST_NAMED = 1 << 12
_MOST_NAMES = 4
"""Names of processes that are remembered for one hop."""
_ALONE_EVERY_S = 30.0


class Owner(IntFlag):
    """Who was seen on a hop."""

    NOBODY = 0
    SCOPE = 1
    OTHERS = 2


class Attribution:
    """What is known of the processes of a scope, and of those beside them, from dump to dump."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._hops: U64 = np.zeros(0, np.uint64)
        self._owners = np.zeros(0, np.uint8)
        self._ports = np.zeros(1 << 16, np.uint8)
        self._names: dict[int, dict[str, None]] = {}
        """By hop, or by port that is listened on."""
        self._held: HeldSockets | None = None
        self._users: frozenset[int] = frozenset()
        """Those of the scope's processes which no other process has."""
        self._is_alone = scope.is_alone()
        self._asked_s = time.monotonic()

    @property
    def knows_peers(self) -> bool:
        """Return whether a process of the scope was seen to have a connection that it opened."""
        return bool((self._owners & Owner.SCOPE).any())

    def read_processes(self) -> None:
        """Read which sockets processes hold, those of the scope or all; milliseconds."""
        if self._scope.pids is not None and time.monotonic() - self._asked_s > _ALONE_EVERY_S:
            self._is_alone, self._asked_s = self._scope.is_alone(), time.monotonic()
        everybody = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        pids = self._scope.pids
        self._held = held_sockets(everybody if pids is None else pids)
        if pids is not None and not self._is_alone:
            self._users = users_of(pids) - users_of(everybody - pids)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what limits the attribution, a sentence each."""
        held = self._held
        if held is None or not held.unreadable:
            return ()
        if self._scope.pids is None:
            if os.geteuid() == 0:  # there is nobody who could read more
                return ()
            return ("the open files of other users' processes may not be read: root would add their names",)
        if self._is_alone:
            return ()
        limit = "by their user only" if self._users else "in no way"
        return (
            f"{self._scope.name}: their open files may not be read, so that connections are told to be theirs"
            f" {limit}: root would tell them apart",
        )

    def learn(self, listening: NDArray[np.uint32], dump: Dump) -> None:
        """Take note of who holds what, by the rows of sockets in LISTEN and by a dump that came after."""
        held = self._held
        if held is None:
            return
        listeners = socket_columns(listening)
        self._add_ports(listeners.local_port, listeners.inode, held)
        incoming = dump.hops.is_incoming[matches(dump.hops.hop, dump.connections.hop)[0]]
        outgoing = dump.connections.take(~incoming & (dump.connections.inode != 0))
        ours = held.holds(outgoing.inode)
        self._add_hops(np.unique(outgoing.hop[ours]), Owner.SCOPE)
        if self._scope.pids is not None and not held.unreadable:
            # What was there before the files were read, and is there still, belongs to somebody else.
            self._add_hops(np.unique(outgoing.hop[~ours & (outgoing.seen_ms < held.read_ms)]), Owner.OTHERS)
        self._add_names(outgoing.take(ours), held)

    def learn_by_user(self, dump: Dump) -> None:
        """Take note of what users that only the scope's processes have are seen with."""
        if self._users:
            users = np.fromiter(self._users, np.uint32, len(self._users))
            live = dump.connections
            theirs = np.unique(live.hop[np.isin(live.user, users) & (live.inode != 0)])
            hops = dump.hops.take(matches(dump.hops.hop, theirs)[0])
            self._ports[hops.port[hops.is_incoming]] |= np.uint8(Owner.SCOPE)
            self._add_hops(hops.hop[~hops.is_incoming], Owner.SCOPE)

    def owners(self, hops: HopColumns) -> NDArray[np.uint8]:
        """Return who was seen on each hop, as `Owner`."""
        if self._is_alone:
            return np.full(len(hops), Owner.SCOPE, np.uint8)
        at, is_known = matches(self._hops, hops.hop)
        found = np.zeros(len(hops), np.uint8)
        found[is_known] = self._owners[at[is_known]]
        return np.where(hops.is_incoming, self._ports[hops.port], found)

    def held(self, connections: Connections) -> Mask:
        """Return which connections the scope's processes were seen to hold."""
        if self._is_alone or self._held is None:
            return np.full(len(connections), self._is_alone)
        return self._held.holds(connections.inode)

    def names(self, hop: int, port: int | None) -> tuple[str, ...]:
        """Return the names of processes on a hop; `port` is that on which this host listens for it."""
        return tuple(self._names.get(hop if port is None else port, ()))

    def _add_ports(self, ports: NDArray[np.uint16], inodes: NDArray[np.uint32], held: HeldSockets) -> None:
        ours = held.holds(inodes)
        self._ports[ports[ours]] |= np.uint8(Owner.SCOPE)
        if self._scope.pids is not None and not held.unreadable:
            self._ports[ports[~ours]] |= np.uint8(Owner.OTHERS)
        at = np.searchsorted(held.inode, inodes[ours])
        for port, owner in zip(ports[ours].tolist(), held.owner[at].tolist(), strict=True):
            self._add_name(port, held.names[owner])

    def _add_hops(self, hops: U64, owner: Owner) -> None:
        at, is_known = matches(self._hops, hops)
        self._owners[at[is_known]] |= np.uint8(owner)
        new = hops[~is_known][: _MOST_HOPS - len(self._hops)]
        if len(new):
            whole = np.concatenate((self._hops, new))
            order = np.argsort(whole)
            owners = np.concatenate((self._owners, np.full(len(new), owner, np.uint8)))
            self._hops, self._owners = whole[order], owners[order]

    def _add_names(self, ours: Connections, held: HeldSockets) -> None:
        owner = held.owner[np.searchsorted(held.inode, ours.inode)]
        pairs = np.unique(np.stack((ours.hop, owner.astype(np.uint64))), axis=1)
        for hop, number in pairs.T[:_MOST_NAMED].tolist():
            self._add_name(hop, held.names[number])

    def _add_name(self, key: int, name: str) -> None:
        if key in self._names or len(self._names) < _MOST_NAMED:
            names = self._names.setdefault(key, {})
            if len(names) < _MOST_NAMES:
                names[name] = None
