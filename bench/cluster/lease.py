"""The lease of the places of a run: renewed once a second, and which of them are lost."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from bench.cluster import worker
from bench.cluster.connection import DaskCluster
from bench.errors import BenchError

_INTERVAL_S = 1.0
_LOST_S = 4.0
"""A worker that does not answer for so long is lost: before its own lease ends."""


class Lease:
    """Renews the places on some workers. States: running, over.

    Each worker is called on a thread of its own, so that one that is silent delays no other.
    """

    def __init__(self, cluster: DaskCluster) -> None:
        """Begin without a place."""
        self._cluster = cluster
        self._keys_on: dict[str, list[str]] = {}
        self._answered_s: dict[str, float] = {}
        self._lost: dict[str, str] = {}
        self._is_over = threading.Event()
        self._threads = ThreadPoolExecutor(len(cluster.workers), thread_name_prefix="lease")

    def add(self, address: str, key: str) -> None:
        """Renew the place `key` on the worker at `address` from now on."""
        is_new = address not in self._keys_on
        self._keys_on.setdefault(address, []).append(key)
        if is_new:
            self._answered_s[address] = time.monotonic()
            self._threads.submit(self._renew, address)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def lost(self) -> dict[str, str]:
        """Return the places that are lost, each with the reason."""
        now_s = time.monotonic()
        for address, answered_s in self._answered_s.items():
            if now_s - answered_s > _LOST_S:
                self._lose(address, self._keys_on[address], f"no answer for {_LOST_S:g} s")
        return dict(self._lost)

    def _renew(self, address: str) -> None:
        while not self._is_over.wait(_INTERVAL_S):
            keys = [key for key in self._keys_on[address] if key not in self._lost]
            try:
                held = self._cluster.call(address, worker.renew, keys)
            except BenchError as error:
                self._lose(address, keys, str(error))
                return
            self._answered_s[address] = time.monotonic()
            self._lose(address, set(keys) - set(held), "its worker has given it up")

    def _lose(self, address: str, keys: Iterable[str], reason: str) -> None:
        for key in keys:
            self._lost.setdefault(key, f"worker {self._cluster.name_of(address)}: {reason}")
