"""The sampled watch: a dump of the kernel's table of sockets at each look, and what its counters add.

It needs no rights. What this host closed first is counted exactly, since it stays in TIME_WAIT; of what the
peer closed it sees those connections that a dump happened to show, and says "at least". A look costs half
a microsecond for each socket, so that many sockets want long intervals: `shortest_interval_s`.
"""

import time
from collections import deque

import numpy as np
from numpy.typing import NDArray

from bench.errors import LabError
from bench.observe.sock_diag import (
    CLOSE_WAIT,
    CONNECTED,
    ESTABLISHED,
    LISTEN,
    ROW_WORDS,
    SYN_SENT,
    TCP_INFO_EXTENSION,
    TIME_WAIT,
    SockDiag,
    socket_rows,
)
from bench.observe.tcp_info import decode_info
from bench.watch import sampled_notes
from bench.watch.allowance import Allowance
from bench.watch.attribution import Attribution
from bench.watch.columns import U64, backlogs, matches, socket_columns
from bench.watch.counters import NamespaceCounters, Reading
from bench.watch.difference import difference
from bench.watch.dump import Connections, Dump
from bench.watch.dump_reader import KnownPorts, read_dump
from bench.watch.hops import HopInterval, hop_snapshots
from bench.watch.idle_table import IdleTable
from bench.watch.model import Snapshot, Source
from bench.watch.reconciliation import Reconciliation
from bench.watch.scope import Scope

COST_SHARE = 0.02
"""Of a core, that a watch takes at the most where its interval is `shortest_interval_s`."""
_COSTS_KEPT = 4
"""Looks whose dearest says what the next one may cost: on a busy machine they differ by half."""
_BESIDE_SHARE = 0.002
"""Of a core, for each of what is beside the dumps: whose the sockets are, and how long they are idle."""
_MOST_IDLE = 20_000
"""Connections beyond which their idle times are not asked for: an answer of 400 bytes each."""
_HELD = tuple(state for state in CONNECTED if state != TIME_WAIT)
_MOST_TRIES = 20
"""Looks for the peers of processes while none is known: a short connection is seldom caught."""
_SEARCH_S = 0.3
"""CPU time that the search for the first peer may take at once, whatever its share."""


class SampledWatch:
    """Watches the connections of a scope. States: open, closed. Not for several threads at once.

    The first interval begins when this is made. LabError where the system does not list its sockets.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        try:
            self._counters = scope.call(NamespaceCounters)
        except OSError as error:
            raise LabError(f"watch: no counters in /proc/net: {error.strerror}; it needs Linux") from error
        try:
            self._diag = scope.call(SockDiag)
        except OSError as error:
            self._counters.close()
            reason = f"watch: the kernel lists no sockets (sock_diag): {error.strerror}"
            raise LabError(f"{reason}; load its module: modprobe tcp_diag") from error
        self._known = KnownPorts()
        self._reconciliation = Reconciliation()
        self._whose = Attribution(scope)
        self._reading_processes, self._asking_idle = Allowance(_BESIDE_SHARE), Allowance(_BESIDE_SHARE)
        self._idle = self._idle_before = IdleTable()
        self._before: Dump | None = None
        self._known.port_range = self._counters.read().state.port_range
        started_s = time.thread_time()
        try:
            # What is there before the files of processes are read, and after, and in none of them: others'.
            self._listening()
            self._before = self._dump(_HELD)
            self._before, self._reading, _ = self._look()
        except BaseException:
            self.close()
            raise
        self._begun_ms = self._before.start_ms
        first_s = time.thread_time() - started_s - self._beside_s
        self._costs_s = deque((first_s,), maxlen=_COSTS_KEPT)

    @property
    def shortest_interval_s(self) -> float:
        """Return the time between two snapshots that keeps the watch within COST_SHARE of a core."""
        return max(self._costs_s) / (COST_SHARE - 2 * _BESIDE_SHARE)

    @property
    def _beside_s(self) -> float:
        return self._reading_processes.spent_s + self._asking_idle.spent_s

    def snapshot(self) -> Snapshot:
        """Return what happened since the last call, or since the start."""
        started_s, beside_s = time.thread_time(), self._beside_s
        scope_notes = self._scope.refresh()
        assert self._before is not None, "a watch has looked once when it is made"
        before, reading_before = self._before, self._reading
        dump, reading, waiting = self._look()
        found = difference(before, dump)
        came, came_before = reading.time_wait_came, reading_before.time_wait_came
        growth = reading.since(reading_before)
        settled = self._reconciliation.settle(
            found,
            growth,
            None if came is None or came_before is None else came - came_before,
            _being_opened(dump.connections) - _being_opened(before.connections),
        )
        idle_ms, data_sent, idle_notes = self._use(dump.connections)
        seen = HopInterval(found.hops, settled, found.lifetimes, dump, idle_ms, data_sent)
        hops = hop_snapshots(seen, self._whose)
        self._before, self._reading = dump, reading
        cost_s = time.thread_time() - started_s
        self._costs_s.append(cost_s - (self._beside_s - beside_s))
        return Snapshot(
            t_s=(dump.start_ms - self._begun_ms) / 1e3,
            duration_s=(dump.start_ms - before.start_ms) / 1e3,
            source=Source.SAMPLED,
            hops=hops,
            host_flow=growth,
            host=reading.state.with_dump(int(dump.connections.is_orphan.sum()), waiting),
            notes=(
                *scope_notes,
                *self._whose.notes,
                *idle_notes,
                *sampled_notes.notes(settled, reading, growth),
                *sampled_notes.untold(self._known.untold),
                *sampled_notes.cost(dump.sockets, cost_s, self.shortest_interval_s),
            ),
            cost_s=cost_s,
        )

    def idle_times(self, tuples: U64, at_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how long connections had been idle at some time, in seconds; NaN where no look told."""
        last, before = (table.at(tuples, at_ns / 1e6) for table in (self._idle, self._idle_before))
        # What ended just before the last look is not in it any more.
        return np.where(np.isnan(last), before, last)

    def close(self) -> None:
        """Close the sockets and files that hold the namespace, but not the scope."""
        self._diag.close()
        self._counters.close()

    def _look(self) -> tuple[Dump, Reading, dict[int, tuple[int, int]]]:
        """Return a dump, the counters just before it, and what waits for accept() by port."""
        listening = self._listening()
        if self._reading_processes.is_left or (
            self._is_searching and self._reading_processes.spent_s < _SEARCH_S
        ):
            with self._reading_processes.spending():
                self._find_owners(listening)
        reading = self._counters.read()
        self._known.port_range = reading.state.port_range
        dump = self._dump(CONNECTED)
        self._whose.learn_by_user(dump)
        return dump, reading, backlogs(listening)

    @property
    def _is_searching(self) -> bool:
        return self._scope.pids is not None and not self._whose.knows_peers

    def _find_owners(self, listening: NDArray[np.uint32]) -> None:
        """Learn who holds what: of what is held first and in the table a moment later, it is certain."""
        for _ in range(_MOST_TRIES if self._is_searching else 1):
            self._whose.read_processes()
            self._whose.learn(listening, self._dump(_HELD))
            if self._whose.knows_peers:
                break

    def _dump(self, states: tuple[int, ...]) -> Dump:
        return read_dump(self._diag.replies(states, socket_rows), _now_ms, self._known, self._before)

    def _listening(self) -> NDArray[np.uint32]:
        """Return the rows of sockets in LISTEN, and take note of their ports."""
        nothing = np.zeros((0, ROW_WORDS), np.uint32)
        rows = [each.copy() for each in self._diag.replies((LISTEN,), socket_rows)]
        listening: NDArray[np.uint32] = np.concatenate([nothing, *rows])
        self._known.listened.update(listening, _now_ms())
        return listening

    def _use(
        self, connections: Connections
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
        """Return for how long connections have been idle, in ms, and how many segments with data they sent.

        NaN for all where that was asked lately.
        """
        idle_ms, data_sent = np.full(len(connections), np.nan), np.full(len(connections), np.nan)
        asked = int(np.isin(connections.state, (ESTABLISHED, CLOSE_WAIT)).sum())
        if asked > _MOST_IDLE:
            note = f"{asked:,} connections: their idle times are not read, for what that would cost"
            return idle_ms, data_sent, (note,)
        if asked and self._asking_idle.is_left:
            with self._asking_idle.spending():
                for info in self._diag.replies((ESTABLISHED, CLOSE_WAIT), decode_info, TCP_INFO_EXTENSION):
                    at, is_known = matches(connections.tuples, socket_columns(info.rows).tuples)
                    idle_ms[at[is_known]] = info.idle_ms[is_known]
                    counts = is_known & (info.data_sent > 0)
                    data_sent[at[counts]] = info.data_sent[counts]
            self._idle_before = self._idle
            self._idle = IdleTable(connections.tuples, idle_ms, _now_ms())
        return idle_ms, data_sent, ()


def _being_opened(connections: Connections) -> int:
    return int((connections.state == SYN_SENT).sum())


def _now_ms() -> float:
    return time.monotonic() * 1e3
