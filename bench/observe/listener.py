"""Which processes of this host listen at an address, and to whom they connect.

A process holds its sockets as open files (/proc/PID/fd, proc(5)), which its own user and root may read.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import psutil

from bench.observe.sock_diag import LISTEN, AddressedSockets, address_text, address_words

_ANY = (address_words("0.0.0.0"), address_words("::"))
Peer = tuple[str, int]
"""Address and port."""


@dataclass(frozen=True, slots=True)
class Listener:
    """The processes that listen at one address, and all below them."""

    roots: tuple[int, ...]
    """Those whose parent is none of them."""
    pids: tuple[int, ...]


def listening_inodes(sockets: AddressedSockets, address: str, port: int) -> frozenset[int]:
    """Return the inodes of the sockets that listen at `address`, or at every one, on `port`."""
    here = (sockets.state == LISTEN) & (sockets.local_port == port)
    fits = np.zeros(len(sockets), np.bool_)
    for words in (address_words(address), *_ANY):
        fits |= (sockets.local == words).all(axis=1)
    return frozenset(sockets.inode[here & fits].tolist())


def find(inodes: Collection[int]) -> Listener | None:
    """Return who holds one of the sockets `inodes`; None where no process that may be read does."""
    holders = {pid for pid in psutil.pids() if not socket_inodes(pid).isdisjoint(inodes)}
    if not holders:
        return None
    roots = tuple(sorted(pid for pid in holders if _parent(pid) not in holders))
    return Listener(roots, tuple(sorted(holders | {pid for root in roots for pid in _below(root)})))


def held_inodes(listener: Listener) -> set[int]:
    """Return the inodes of the sockets that the processes of `listener` hold."""
    return {inode for pid in listener.pids for inode in socket_inodes(pid)}


def upstream_peers(sockets: AddressedSockets, held: Collection[int]) -> set[Peer]:
    """Return to whom a server has connections that it opened itself, by the inodes that it holds."""
    ours = np.isin(sockets.inode, np.fromiter(held, np.uint32, len(held)))
    # A connection that it accepted has the port on which it listens.
    listens = sockets.local_port[ours & (sockets.state == LISTEN)]
    opened = ours & (sockets.state != LISTEN) & ~np.isin(sockets.local_port, listens)
    return {
        (address_text(words), int(port))
        for words, port in zip(sockets.remote[opened], sockets.remote_port[opened], strict=True)
    }


def socket_inodes(pid: int) -> frozenset[int]:
    """Return the inodes of the sockets that a process holds; none where it ended or may not be read."""
    try:
        return frozenset(read_socket_inodes(pid))
    except OSError:
        return frozenset()


def read_socket_inodes(pid: int) -> list[int]:
    """Return the inodes of a process' sockets; none where it ended. PermissionError of another user's."""
    found = []
    try:
        with os.scandir(f"/proc/{pid}/fd") as files:
            for file in files:
                try:
                    target = os.readlink(file.path)
                except FileNotFoundError:  # closed meanwhile
                    continue
                if target.startswith("socket:["):
                    found.append(int(target[8:-1]))
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found


def _parent(pid: int) -> int | None:
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return None


def _below(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []
