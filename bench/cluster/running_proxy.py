"""A proxy that runs already on a worker's machine, watched during a trial as `bench watch --pid` does."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack

from bench.errors import LabError
from bench.lab import split_address
from bench.observe import listener
from bench.observe.sock_diag import LISTEN, SockDiag
from bench.watch.exact import ExactWatch
from bench.watch.model import Direction, Snapshot, Source
from bench.watch.scope import open_processes

_INTERVAL_S = 1.0
_NO_RIGHTS = "its processes cannot be read: run its worker as root, or as the proxy's user"


class RunningProxy:
    """The proxy that listens at an address of this machine. States: found, watched, closed.

    LabError where nothing listens there.
    """

    def __init__(self, address: str) -> None:
        self.notes: list[str] = []
        """What cannot be seen of it, a sentence each."""
        self._name = f"the proxy at {address}"
        self._stack = ExitStack()
        self.roots = self._find(*split_address(address))
        """Its process trees; none where they cannot be read."""
        self._watch: ExactWatch | None = None
        self._opened = 0
        self._is_exact = True
        self._upstreams: frozenset[tuple[str, int]] = frozenset()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="running proxy", daemon=True)

    def watch(self, upstreams: Sequence[str]) -> None:
        """Begin to count the connections that it opens to `upstreams`, HOST:PORT each."""
        self._upstreams = frozenset(map(split_address, upstreams))
        if not self.roots:
            return
        scope = self._stack.enter_context(open_processes(self._name, self.roots))
        self._watch = ExactWatch(scope)
        self._stack.callback(self._watch.close)
        self._count(self._watch.snapshot(), is_first=True)
        self._thread.start()

    def stop(self) -> int | None:
        """End the watch and return how many connections it opened; None where that is not known exactly."""
        if self._watch is None:
            return None
        self._is_over.set()
        self._thread.join()
        self._count(self._watch.snapshot())
        if self._is_exact:
            return self._opened
        self.notes.append(
            f"{self._name}: its kernel shows no events to this user, so that opened connections are not"
            " counted there; as root they are"
        )
        return None

    def close(self) -> None:
        """Stop watching; the proxy goes on."""
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._stack.close()

    def _find(self, host: str, port: int) -> tuple[int, ...]:
        diag = SockDiag()
        try:
            inodes = listener.listening_inodes(diag.dump_addressed((LISTEN,)), host, port)
        finally:
            diag.close()
        if not inodes:
            raise LabError("cluster.proxy_at: nothing listens there; start the proxy, or name its address")
        found = listener.find(inodes)
        if found is None:
            self.notes.append(f"{self._name}: {_NO_RIGHTS}")
            return ()
        return found.roots

    def _run(self) -> None:
        assert self._watch is not None
        while not self._is_over.wait(_INTERVAL_S):
            self._count(self._watch.snapshot())

    def _count(self, snapshot: Snapshot, *, is_first: bool = False) -> None:
        """Count what a snapshot tells; the first one ends what was before the trial."""
        self._is_exact &= snapshot.source is Source.EXACT
        if is_first:
            return
        self._opened += sum(
            each.flow.opened
            for each in snapshot.hops
            if each.hop.direction is Direction.OUTGOING and (each.hop.peer, each.hop.port) in self._upstreams
        )
