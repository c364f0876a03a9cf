"""The lease of the places of a run: renewed once a second, and which of them are lost."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from typing import Any

from bench.cluster import worker
from bench.cluster.connection import DaskCluster, SchedulerLost
from bench.errors import BenchError

_INTERVAL_S = 1.0
_POLL_S = 0.1
_LOST_S = 4.0
"""What does not answer for so long is lost: a worker before its own lease ends."""
_SCHEDULER = "the scheduler"


class Lease:
    """Renews the places on some workers. States: made, running, over.

    No call is waited for: a worker that is silent delays no other, and no thread stays behind for it.
    """

    def __init__(self, cluster: DaskCluster) -> None:
        self._cluster = cluster
        self._keys_on: dict[str, tuple[str, ...]] = {}
        """The places, by the address of their worker."""
        self._lost: dict[str, str] = {}
        self._scheduler_lost: str | None = None
        self._sound_ns: dict[str, int] = {}
        self._lock = threading.Lock()
        self._answered_s = {_SCHEDULER: time.monotonic()}
        self._begun: dict[str, Future[Any]] = {}
        self._asked: dict[str, list[str]] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def add(self, address: str, key: str) -> None:
        """Renew the place `key` on the worker at `address` from now on."""
        with self._lock:
            self._answered_s.setdefault(address, time.monotonic())
            self._keys_on = {**self._keys_on, address: (*self._keys_on.get(address, ()), key)}

    def sound_until_ns(self, key: str) -> int:
        """Return when a place was last known to be sound, by our clock; 0 where it never was."""
        with self._lock:
            return self._sound_ns.get(key, 0)

    @property
    def scheduler_lost(self) -> str | None:
        """Return why the scheduler is lost, in half a sentence; None where it is not."""
        with self._lock:
            return self._scheduler_lost

    @property
    def lost(self) -> dict[str, str]:
        """Return the places that are lost, each with the reason, in half a sentence."""
        with self._lock:
            if self._scheduler_lost is None:
                return dict(self._lost)
            every = [key for keys in self._keys_on.values() for key in keys]
            return dict.fromkeys(every, f"the scheduler {self._scheduler_lost}") | self._lost

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._is_over.wait(_POLL_S):
            for name, future in list(self._begun.items()):
                if future.done():
                    del self._begun[name]
                    self._take(name, future)
            now_s = time.monotonic()
            if now_s >= due_s:
                due_s = now_s + _INTERVAL_S
                self._renew()
            self._find_silent(now_s)
        for future in self._begun.values():
            future.cancel()

    def _renew(self) -> None:
        if _SCHEDULER not in self._begun:
            self._begun[_SCHEDULER] = self._cluster.begin_on_scheduler(len, ())
        for address, keys in dict(self._keys_on).items():
            left = [key for key in keys if key not in self._lost]
            if left and address not in self._begun:
                self._asked[address] = left
                self._begun[address] = self._cluster.begin(address, worker.renew, left)

    def _take(self, name: str, future: "Future[Any]") -> None:
        try:
            answer = future.result()
        except (BenchError, CancelledError) as error:
            self.note(name, error)
            return
        self._answered_s[name] = time.monotonic()
        if name != _SCHEDULER:
            faults: Mapping[str, str] = answer or {}
            with self._lock:
                now_ns = time.monotonic_ns()
                self._sound_ns |= {key: now_ns for key in self._asked[name] if key not in faults}
            self._lose(faults)

    def _find_silent(self, now_s: float) -> None:
        if not self._cluster.is_connected:
            self._fail(_SCHEDULER, "has closed the connection")
        silent = [name for name, answered_s in list(self._answered_s.items()) if now_s - answered_s > _LOST_S]
        # The workers are reached by way of the scheduler.
        for name in [_SCHEDULER] if _SCHEDULER in silent else silent:
            self._fail(name, f"has not answered for {_LOST_S:g} s")

    def note(self, address: str, error: BaseException) -> None:
        """Note that a worker, or the scheduler before it, could not be called."""
        self._fail(_SCHEDULER if isinstance(error, SchedulerLost) else address, "is gone")

    def _fail(self, name: str, reason: str) -> None:
        if name == _SCHEDULER:
            self._cluster.give_up()
            with self._lock:
                self._scheduler_lost = self._scheduler_lost or reason
        else:
            self._cluster.give_up(name)
            self._lose(dict.fromkeys(self._keys_on.get(name, ()), f"its worker {reason}"))

    def _lose(self, reasons: Mapping[str, str]) -> None:
        with self._lock:
            self._lost = {**reasons, **self._lost}
