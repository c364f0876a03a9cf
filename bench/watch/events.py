"""From the kernel's events to what happened on each hop: who ended each connection first, and how.

    ESTABLISHED -> FIN_WAIT1     this host sent the first FIN
    ESTABLISHED -> CLOSE_WAIT    the peer did
    ESTABLISHED -> CLOSE         a reset: the peer's where `tcp_receive_reset` came just before, ours where
                                 `tcp_send_reset` is next to it, else the kernel gave up in silence
    SYN_SENT -> CLOSE            it was never open
    SYN_SENT -> ESTABLISHED      this host opened it
    SYN_RECV -> ESTABLISHED      the peer did

What comes after the first FIN changes nothing of that (RFC 9293, section 3.3.2). An RST behind the peer's FIN
is counted beside it: half_closed.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import CLOSE_WAIT, ESTABLISHED, FIN_WAIT1, SYN_RECV, SYN_SENT
from bench.watch.half_closed import Endings, HalfClosed, tuples_of
from bench.watch.hop_numbers import STRANGE, HopNumbers
from bench.watch.model import HopFlow, PeerHop
from bench.watch.open_sockets import UNKNOWN, OpenSockets
from bench.watch.socket_events import ROW, RowKind, Rows
from bench.watch.strangers import Births, Strangers

CLOSE = 7
"""TCP_CLOSE of include/net/tcp_states.h."""
_RESET_WITHIN_NS = 5_000_000
"""A reset and its RST are some microseconds apart; a read may come between them."""
_MOST_LIFETIMES = 200_000
"""Of one interval, of all hops: what they are drawn from takes some MiB at the most. So many resets, too."""
_SAMPLE = 64
"""Of one hop: what HopFlow holds."""

IdleTimes = Callable[[NDArray[np.uint64], NDArray[np.int64]], NDArray[np.float64]]
"""Returns how long connections (columns.tuple_numbers) had been idle at some time in ns.

In seconds; NaN where that is not known.
"""


class FlowCount(IntEnum):
    """The columns of what is counted by hop."""

    OPENED = 0
    CLOSED_HERE = 1
    CLOSED_THERE = 2
    RESET_HERE = 3
    RESET_THERE = 4
    ENDED_UNKNOWN = 5
    FAILED_OPENS = 6
    RESET_AFTER_FIN = 7
    NO_PORT = 8


@dataclass(frozen=True, slots=True)
class _Ends:
    """The connections that ended in one batch, a column each."""

    hop: NDArray[np.int32]
    how: NDArray[np.int64]
    lifetime_ns: NDArray[np.int64]
    """UNKNOWN where it opened before anybody watched."""


class ConnectionLedger:
    """What happened since it was last asked, by hop, and which connections are open.

    Rows may come in any order within one call; those later than `until_ns` wait for the next.
    """

    def __init__(self, listening: frozenset[int] = frozenset(), strangers: Strangers | None = None) -> None:
        self._strangers = strangers
        self.listening = listening
        """Local ports that are listened on: a connection that opened unseen came in if it has one of them."""
        self._numbers = HopNumbers()
        self._open = OpenSockets()
        self._half_closed = HalfClosed()
        self._waiting: Rows = np.empty(0, ROW)
        self._counts = np.zeros((0, len(FlowCount)), np.int64)
        self._lifetimes: list[tuple[NDArray[np.int32], NDArray[np.int64]]] = []
        self._resets: list[Endings] = []

    def __len__(self) -> int:
        """Return how many connections are known to be open."""
        return len(self._open)

    def feed(self, rows: Rows, until_ns: int) -> None:
        """Count what `rows` say that happened up to `until_ns`, the time at which all of them were read."""
        rows = np.concatenate((self._waiting, rows))
        is_due = rows["time_ns"] <= until_ns
        due, late = rows[is_due], rows[~is_due]
        due = due[np.lexsort((due["time_ns"], due["socket"]))]
        how, is_open_question = _verdicts(due, until_ns - _RESET_WITHIN_NS)
        self._waiting = np.concatenate((due[is_open_question], late))
        self._settle(due[~is_open_question], how[~is_open_question])

    def take(self, idle_times: IdleTimes | None = None) -> dict[PeerHop, HopFlow]:
        """Return what happened on each hop since the last call.

        `idle_times` says how long connections had been idle that an RST of the peer ended.
        """
        busy = np.flatnonzero(self._counts.any(axis=1))
        lifetimes, idle = self._sampled_lifetimes(), self._sampled_idle(idle_times)
        flows = {}
        for number in busy[busy != STRANGE].tolist():
            flow = hop_flow(self._counts[number].tolist(), lifetimes.get(number, ()))
            flows[self._numbers.hops[number]] = replace(flow, idle_before_reset_s=idle.get(number, ()))
        self._lifetimes.clear()
        self._resets.clear()
        self._counts[:] = 0
        self._forget_idle_hops(busy)
        return flows

    def _settle(self, rows: Rows, how: NDArray[np.int64]) -> None:
        """Count rows whose meaning is known; they are ordered by socket and time."""
        is_state = rows["kind"] == RowKind.STATE
        step = is_state & ((rows["new"] == SYN_SENT) | (rows["new"] == SYN_RECV))
        born = is_state & (
            (rows["new"] == ESTABLISHED) | ((rows["old"] == SYN_SENT) & (rows["new"] == CLOSE))
        )
        life = step | born | (how != UNKNOWN)
        hop = np.full(len(rows), UNKNOWN, np.int32)
        if life.any():
            hop[life] = self._follow(rows[life], born[life], how[life])
        if len(rows):
            self._note_resets(rows, hop, how)

    def _note_resets(self, rows: Rows, hop: NDArray[np.int32], how: NDArray[np.int64]) -> None:
        """Count what an RST of the peer has followed, and keep what it has ended."""
        is_fin, is_reset = how == FlowCount.CLOSED_THERE, how == FlowCount.RESET_THERE
        behind = self._half_closed.follow(rows, np.where(is_fin, hop, np.int32(UNKNOWN)))
        if len(behind.hop):
            self._add(behind.hop, np.full(len(behind.hop), np.int64(FlowCount.RESET_AFTER_FIN)))
        if sum(len(each.hop) for each in self._resets) < _MOST_LIFETIMES:
            ended = rows[is_reset]
            self._resets += [behind, Endings(hop[is_reset], ended["time_ns"], tuples_of(ended))]

    def _follow(self, rows: Rows, born: NDArray[np.bool_], how: NDArray[np.int64]) -> NDArray[np.int32]:
        """Join the ends of connections to their beginnings, among these rows or in the table.

        Return the hop of each row that begins or ends one.
        """
        socket, time_ns = rows["socket"], rows["time_ns"]
        is_first = np.append(True, socket[1:] != socket[:-1])
        is_last = np.append(is_first[1:], True)
        hop = self._born(rows, born, is_first, is_last)
        opens, ended = born & (rows["new"] == ESTABLISHED), how != UNKNOWN
        since = np.full(len(rows), UNKNOWN, np.int64)
        here = np.flatnonzero(ended & ~is_first & np.append(False, opens[:-1]))
        since[here], hop[here] = time_ns[here - 1], hop[here - 1]
        before = ended & is_first
        since[before], hop[before] = self._open.remove(socket[before])
        unseen = ended & (hop == UNKNOWN)
        listening = np.fromiter(self.listening, np.uint16, len(self.listening))
        hop[unseen] = self._hops(rows, unseen, ~np.isin(rows["local_port"], listening))[unseen]
        lifetime = np.where(since[ended] == UNKNOWN, UNKNOWN, time_ns[ended] - since[ended])
        self._end(_Ends(hop[ended], how[ended], lifetime))
        stays = opens & is_last
        self._open.add(socket[stays], time_ns[stays], hop[stays])
        return hop

    def _born(
        self, rows: Rows, born: NDArray[np.bool_], is_first: NDArray[np.bool_], is_last: NDArray[np.bool_]
    ) -> NDArray[np.int32]:
        """Count the beginnings of connections; return their hops, UNKNOWN for the other rows."""
        by_us = rows["old"] == SYN_SENT
        # Where both ends connect at once, SYN_RECV comes after SYN_SENT (RFC 9293, section 3.5).
        by_us |= born & ~is_first & np.append(False, (by_us & (rows["new"] == SYN_RECV))[:-1])
        hop = self._hops(rows, born, by_us)
        if self._strangers is not None:
            connects = rows["new"] == SYN_SENT
            hop[self._strangers.find(Births(rows, connects, born, by_us, is_first, is_last))] = STRANGE
        is_open = rows["new"][born] == ESTABLISHED
        self._add(hop[born], np.where(is_open, np.int64(FlowCount.OPENED), np.int64(FlowCount.FAILED_OPENS)))
        # connect() gives up without a port where none is free (tcp_v4_connect() in net/ipv4/tcp_ipv4.c).
        portless = born & (rows["new"] == CLOSE) & (rows["local_port"] == 0)
        self._add(hop[portless], np.full(portless.sum(), np.int64(FlowCount.NO_PORT)))
        return hop

    def _end(self, ends: _Ends) -> None:
        self._add(ends.hop, ends.how)
        is_known = ends.lifetime_ns != UNKNOWN
        if is_known.any() and sum(len(lived) for _, lived in self._lifetimes) < _MOST_LIFETIMES:
            self._lifetimes.append((ends.hop[is_known], ends.lifetime_ns[is_known]))

    def _hops(
        self, rows: Rows, wanted: NDArray[np.bool_], is_outgoing: NDArray[np.bool_]
    ) -> NDArray[np.int32]:
        """Return the hop of each wanted row, UNKNOWN for the rest."""
        hop = np.full(len(rows), UNKNOWN, np.int32)
        chosen, is_outgoing = rows[wanted], is_outgoing[wanted]
        if len(chosen):
            port = np.where(is_outgoing, chosen["remote_port"], chosen["local_port"])
            hop[wanted] = self._numbers.find(is_outgoing, port, chosen["remote"])
        return hop

    def _add(self, hop: NDArray[np.int32], what: NDArray[np.int64]) -> None:
        """Count one for each pair of hop and column."""
        size = max(len(self._numbers), len(self._counts))
        counts = np.bincount(hop * np.int64(len(FlowCount)) + what, minlength=size * len(FlowCount))
        counts = counts.reshape(size, len(FlowCount))
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    def _sampled_lifetimes(self) -> dict[int, tuple[float, ...]]:
        """Return of each hop up to 64 lifetimes in seconds, spread over the interval."""
        if not self._lifetimes:
            return {}
        hop = np.concatenate([hop for hop, _ in self._lifetimes])
        return _by_hop(hop, np.concatenate([lived for _, lived in self._lifetimes]) / 1e9)

    def _sampled_idle(self, idle_times: IdleTimes | None) -> dict[int, tuple[float, ...]]:
        """Return of each hop up to 64 times for which connections had been idle that an RST ended."""
        if idle_times is None or not any(len(each.hop) for each in self._resets):
            return {}
        hop = np.concatenate([each.hop for each in self._resets])
        tuples = np.concatenate([each.tuples for each in self._resets])
        idle_s = idle_times(tuples, np.concatenate([each.time_ns for each in self._resets]))
        is_known = ~np.isnan(idle_s)
        return _by_hop(hop[is_known], np.round(idle_s[is_known], 3))

    def _forget_idle_hops(self, busy: NDArray[np.intp]) -> None:
        """Make room for other hops where many were seen that have no connection any more."""
        if len(self._numbers) < self._numbers.most // 2:
            return
        used = np.zeros(len(self._numbers), np.bool_)
        used[busy] = used[self._open.numbers] = True
        numbers = self._numbers.keep(used)
        self._open.renumber(numbers)
        self._half_closed.renumber(used, numbers)
        self._counts = np.zeros((len(self._numbers), len(FlowCount)), np.int64)


def hop_flow(counts: Sequence[int], lifetimes_s: tuple[float, ...]) -> HopFlow:
    """Return the flow of a hop from its counts, which are in the order of `FlowCount`, as its fields are."""
    (opened, closed_here, closed_there, reset_here, reset_there, unknown, failed, behind, no_port) = counts
    return HopFlow(
        opened,
        closed_here,
        closed_there,
        reset_here,
        reset_there,
        unknown,
        failed,
        behind,
        no_port,
        lifetimes_s,
    )


def _by_hop(hop: NDArray[np.int32], values: NDArray[np.float64]) -> dict[int, tuple[float, ...]]:
    """Return some of the values of each hop."""
    if not len(hop):
        return {}
    order = np.argsort(hop, kind="stable")
    numbers, first = np.unique(hop[order], return_index=True)
    parts = np.split(values[order], first[1:])
    return {number: _spread(part) for number, part in zip(numbers.tolist(), parts, strict=True)}


def _spread(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Return what HopFlow holds of them: evenly spaced ones."""
    at = np.linspace(0, len(values) - 1, min(_SAMPLE, len(values)))
    return tuple(values[at.astype(np.intp)].tolist())


def _verdicts(rows: Rows, decided_ns: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return how each row ends its connection, UNKNOWN where it ends none, and which row must wait.

    `rows` are ordered by socket and time. Of a reset and its RST one may be among the next rows: a row waits
    where it is the last of its socket, and younger than `decided_ns`.
    """
    kind, new = rows["kind"], rows["new"]
    left = (kind == RowKind.STATE) & (rows["old"] == ESTABLISHED) & (new != ESTABLISHED)
    how = np.where(left, np.int64(FlowCount.ENDED_UNKNOWN), np.int64(UNKNOWN))
    how[left & (new == FIN_WAIT1)] = FlowCount.CLOSED_HERE
    how[left & (new == CLOSE_WAIT)] = FlowCount.CLOSED_THERE
    same = rows["socket"][1:] == rows["socket"][:-1]
    before, behind = np.append(False, same), np.append(same, False)
    reset = left & (new == CLOSE)
    kind_before, kind_behind = np.roll(kind, 1), np.roll(kind, -1)
    by_us = (before & (kind_before == RowKind.SENT_RESET)) | (behind & (kind_behind == RowKind.SENT_RESET))
    how[reset & by_us] = FlowCount.RESET_HERE
    how[reset & before & (kind_before == RowKind.RECEIVED_RESET)] = FlowCount.RESET_THERE
    is_half = (reset & (how == FlowCount.ENDED_UNKNOWN)) | (kind != RowKind.STATE)
    return how, is_half & ~behind & (rows["time_ns"] > decided_ns)
