"""What happened between two dumps: told by tables, and for any course of events by a model of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.observe.sock_diag import (
    CLOSE_WAIT,
    ESTABLISHED,
    FIN_WAIT2,
    LAST_ACK,
    SYN_SENT,
    address_text,
)
from bench.watch.difference import Difference, difference
from bench.watch.dump import Dump
from bench.watch.dump_reader import KnownPorts, read_dump
from bench.watch.model import HostFlow
from bench.watch.reconciliation import Reconciliation, Settled
from tests.watch.model_kernel import HERE, HopKey, ModelKernel
from tests.watch.socket_rows import listener, message, rows, waiting

ME, PEER = ("10.0.0.1", 40_000), ("10.0.0.2", 80)
CLIENT, SERVER = ("127.0.0.1", 40_000), ("127.0.0.1", 8080)
FIELDS = ("opened", "closed_here", "closed_there", "uncertain", "failed")


def look(*messages: bytes, before: Dump | None = None, at_s: float, listens: int | None = None) -> Dump:
    known = KnownPorts()
    if listens is not None:
        known.listened.update(rows([listener("0.0.0.0", listens)]), at_s * 1e3)
    return read_dump([rows([each])[:1] for each in messages], lambda: at_s * 1e3, known, before)


def changes(first: list[bytes], second: list[bytes], listens: int | None = None) -> dict[str, dict[str, int]]:
    """Return what happened within two seconds, by hop; zeros are left out."""
    before = look(*first, at_s=100, listens=listens)
    found = difference(before, look(*second, before=before, at_s=102, listens=listens))
    return {name: changed for name, changed in by_hop(found) if changed}


def by_hop(found: Difference) -> Iterator[tuple[str, dict[str, int]]]:
    for at, (is_incoming, words, port) in enumerate(
        zip(found.hops.is_incoming, found.hops.peer_words, found.hops.port, strict=True)
    ):
        name = f"{'from' if is_incoming else 'to'} {address_text(words)}:{port}"
        yield name, {field: int(getattr(found, field)[at]) for field in FIELDS if getattr(found, field)[at]}


def is_(state: int, inode: int = 7) -> bytes:
    return message(state, ME, PEER, inode=inode)


TO = "to 10.0.0.2:80"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param([], [], {}, id="nothing"),
        pytest.param([is_(ESTABLISHED)], [is_(ESTABLISHED)], {}, id="it stays"),
        pytest.param([], [is_(ESTABLISHED)], {TO: {"opened": 1}}, id="it came"),
        pytest.param(
            [is_(SYN_SENT)], [is_(ESTABLISHED)], {TO: {"opened": 1}}, id="its opening came to an end"
        ),
        pytest.param([is_(SYN_SENT)], [is_(SYN_SENT)], {}, id="it is still being opened"),
        pytest.param([is_(SYN_SENT)], [], {TO: {"failed": 1}}, id="it could not be opened"),
        pytest.param(
            [is_(ESTABLISHED)], [waiting(ME, PEER, 500)], {TO: {"closed_here": 1}}, id="this host closed it"
        ),
        pytest.param(
            [], [waiting(ME, PEER, 500)], {TO: {"opened": 1, "closed_here": 1}}, id="it came and went"
        ),
        pytest.param([waiting(ME, PEER, 500)], [waiting(ME, PEER, 2500)], {}, id="it still waits"),
        pytest.param([waiting(ME, PEER, 59_900)], [], {}, id="it has waited"),
        pytest.param([], [waiting(ME, PEER, 30_000)], {}, id="it came long before the first dump"),
        pytest.param(
            [waiting(ME, PEER, 20_000)],
            [waiting(ME, PEER, 300)],
            {TO: {"opened": 1, "closed_here": 1}},
            id="its port was used again",
        ),
        pytest.param(
            [is_(ESTABLISHED)],
            [waiting(ME, PEER, 1500), is_(ESTABLISHED, 8)],
            {TO: {"opened": 1, "closed_here": 1}},
            id="its port is used again",
        ),
        pytest.param(
            [is_(FIN_WAIT2, 0)],
            [waiting(ME, PEER, 1500), is_(ESTABLISHED, 8)],
            {TO: {"opened": 1}},
            id="its port is used again, and no process held it",
        ),
        pytest.param(
            [is_(ESTABLISHED)],
            [is_(ESTABLISHED, 8)],
            {TO: {"opened": 1, "uncertain": 1}},
            id="another connection with the same ports",
        ),
        pytest.param(
            [is_(ESTABLISHED)], [is_(FIN_WAIT2, 0)], {TO: {"closed_here": 1}}, id="only this host closed it"
        ),
        pytest.param([], [is_(FIN_WAIT2, 0)], {TO: {"opened": 1, "closed_here": 1}}, id="the same at once"),
        pytest.param([is_(FIN_WAIT2, 0)], [is_(FIN_WAIT2, 0)], {}, id="the peer has not closed it yet"),
        pytest.param([is_(FIN_WAIT2, 0)], [waiting(ME, PEER, 500)], {}, id="now the peer has, too"),
        pytest.param([is_(ESTABLISHED)], [is_(FIN_WAIT2)], {}, id="a process still reads from it"),
        pytest.param([is_(ESTABLISHED)], [], {TO: {"uncertain": 1}}, id="it is gone"),
        pytest.param([is_(CLOSE_WAIT)], [], {TO: {"closed_there": 1}}, id="the peer had closed it"),
        pytest.param([is_(LAST_ACK, 0)], [], {TO: {"closed_there": 1}}, id="both had, the peer first"),
        pytest.param([is_(FIN_WAIT2, 0)], [], {}, id="the peer never closed it"),
        pytest.param([is_(FIN_WAIT2)], [], {TO: {"closed_here": 1}}, id="the process gave it up"),
    ],
)
def test_a_connection_from_one_dump_to_the_next(
    first: list[bytes], second: list[bytes], expected: dict[str, dict[str, int]]
) -> None:
    assert changes(first, second) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(
            [],
            [waiting(CLIENT, SERVER, 100)],
            {
                "to 127.0.0.1:8080": {"opened": 1, "closed_here": 1},
                "from 127.0.0.1:8080": {"opened": 1, "closed_there": 1},
            },
            id="the client closed",
        ),
        pytest.param(
            [],
            [waiting(SERVER, CLIENT, 100)],
            {
                "to 127.0.0.1:8080": {"opened": 1, "closed_there": 1},
                "from 127.0.0.1:8080": {"opened": 1, "closed_here": 1},
            },
            id="the server closed",
        ),
        pytest.param(
            [],
            [waiting(SERVER, CLIENT, 100), waiting(CLIENT, SERVER, 100)],
            {
                "to 127.0.0.1:8080": {"opened": 1, "closed_here": 1},
                "from 127.0.0.1:8080": {"opened": 1, "closed_here": 1},
            },
            id="both at once",
        ),
        pytest.param(
            [message(ESTABLISHED, CLIENT, SERVER, inode=1), message(ESTABLISHED, SERVER, CLIENT, inode=2)],
            [waiting(CLIENT, SERVER, 100)],
            {"to 127.0.0.1:8080": {"closed_here": 1}, "from 127.0.0.1:8080": {"closed_there": 1}},
            id="both ends had been seen",
        ),
        pytest.param(
            [message(ESTABLISHED, CLIENT, SERVER, inode=1), message(ESTABLISHED, SERVER, CLIENT, inode=2)],
            [waiting(CLIENT, SERVER, 100), message(CLOSE_WAIT, SERVER, CLIENT, inode=2)],
            {"to 127.0.0.1:8080": {"closed_here": 1}},
            id="the server has yet to close",
        ),
    ],
)
def test_where_both_ends_are_here_each_says_what_the_other_did(
    first: list[bytes], second: list[bytes], expected: dict[str, dict[str, int]]
) -> None:
    assert changes(first, second, listens=8080) == expected


@pytest.mark.parametrize(
    ("first", "second", "came"),
    [
        pytest.param([], [waiting(ME, PEER, 100)], 1, id="to wait a minute"),
        pytest.param([], [is_(FIN_WAIT2, 0)], 1, id="to wait for the peer's FIN"),
        pytest.param([], [is_(FIN_WAIT2, 7)], 0, id="a process waits for the peer's FIN"),
        pytest.param([is_(FIN_WAIT2, 0)], [waiting(ME, PEER, 100)], 0, id="from one to the other"),
        pytest.param([is_(FIN_WAIT2, 0)], [], 0, id="the peer's FIN never came"),
    ],
)
def test_the_kernel_counts_a_socket_once_when_it_begins_to_wait(
    first: list[bytes], second: list[bytes], came: int
) -> None:
    before = look(*first, at_s=100)
    assert difference(before, look(*second, before=before, at_s=102)).came == came


def test_another_connection_with_the_same_ports_has_an_age_of_its_own() -> None:
    first = look(is_(ESTABLISHED, 7), at_s=100)
    second = look(is_(ESTABLISHED, 7), before=first, at_s=101)
    third = look(is_(ESTABLISHED, 8), before=second, at_s=102)
    assert [each.connections.seen_ms.tolist() for each in (second, third)] == [[100_000], [102_000]]


def test_lifetimes_are_known_of_connections_whose_birth_was_seen() -> None:
    first = look(is_(ESTABLISHED), at_s=100)
    other = ("10.0.0.1", 40_001)
    second = look(is_(ESTABLISHED), message(ESTABLISHED, other, PEER, inode=9), before=first, at_s=101)
    third = look(waiting(ME, PEER, 500), waiting(other, PEER, 1000), before=second, at_s=105)
    assert difference(second, third).lifetimes.seconds.tolist() == [3.0]


# -- any course of events

LOCAL_PORTS, SERVERS = (40_000, 40_001, 40_002), (("10.0.0.2", 80), ("10.0.0.3", 80), (HERE, 8080))
TUPLES = [
    *(((HERE, port), server) for port in LOCAL_PORTS for server in SERVERS),
    *(((HERE, 8080), ("10.0.0.9", port)) for port in LOCAL_PORTS),
    *(((HERE, 8080), (HERE, port)) for port in LOCAL_PORTS),  # the server's end on loopback
]
EVENTS: dict[str, Callable[[ModelKernel, int], object]] = {
    "open": lambda kernel, which: kernel.open(TUPLES[which]),
    "close here": lambda kernel, which: kernel.close_here(TUPLES[which]),
    "close there": lambda kernel, which: kernel.close_there(TUPLES[which]),
    "half close there": lambda kernel, which: kernel.half_close_there(TUPLES[which]),
    "reset": lambda kernel, which: kernel.reset(TUPLES[which]),
}
COURSES = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "open", *EVENTS, "look", "look"]),
        st.integers(0, len(TUPLES) - 1),
        st.integers(0, 900),
    ),
    max_size=60,
)


class Course:
    """A course of events on a model kernel, looked at now and then."""

    def __init__(self, events: list[tuple[str, int, int]]) -> None:
        self.kernel = ModelKernel(listens={8080})
        self._dump = self.kernel.dump()
        self._reconciliation = Reconciliation()
        self._before = (HostFlow(), 0)
        self.differences: list[Difference] = []
        self.settled: list[Settled] = []
        for what, which, pause_ms in events:
            if what == "look":
                self.look()
            # The other end of a connection on loopback is opened with the first.
            elif not (what == "open" and TUPLES[which][0][1] == 8080 and TUPLES[which][1][0] == HERE):
                EVENTS[what](self.kernel, which)
            self.kernel.now_ms += pause_ms
        self.look()

    def look(self) -> None:
        now = self.kernel.dump(self._dump)
        found = difference(self._dump, now)
        growth, waits = self.kernel.growth(), self.kernel.waits
        then, waits_then = self._before
        grown = HostFlow(
            growth.active_opens - then.active_opens,
            growth.passive_opens - then.passive_opens,
            0,
            growth.estab_resets - then.estab_resets,
        )
        self.differences.append(found)
        self.settled.append(self._reconciliation.settle(found, grown, waits - waits_then, 0))
        self._dump, self._before = now, (growth, waits)

    def totals(self, field: str, parts: list[Settled] | list[Difference]) -> dict[HopKey, int]:
        totals: dict[HopKey, int] = {}
        for each, found in zip(parts, self.differences, strict=True):
            hops = zip(found.hops.is_incoming, found.hops.peer_words, found.hops.port, strict=True)
            for key, count in zip(hops, getattr(each, field), strict=True):
                name = (bool(key[0]), address_text(key[1]), int(key[2]))
                totals[name] = totals.get(name, 0) + int(count)
        return totals


@given(COURSES)
def test_nothing_is_counted_that_did_not_happen(events: list[tuple[str, int, int]]) -> None:
    course = Course(events)
    truth, found = course.kernel.truth, course.differences
    for field in ("opened", "closed_here", "closed_there"):
        for hop, count in course.totals(field, found).items():
            assert count <= getattr(truth[hop], field), (field, hop)


@given(COURSES)
def test_what_was_opened_has_ended_or_is_there(events: list[tuple[str, int, int]]) -> None:
    course = Course(events)
    live, found = course.kernel.live(), course.differences
    ended = [course.totals(field, found) for field in ("closed_here", "closed_there", "uncertain")]
    for hop, opened in course.totals("opened", found).items():
        assert opened - sum(each.get(hop, 0) for each in ended) == live.get(hop, 0), hop


@given(COURSES)
def test_looks_more_often_than_ports_are_used_again_count_each_close_of_this_host(
    events: list[tuple[str, int, int]],
) -> None:
    # A pause is shorter than a second, after which a port may be used again at the earliest.
    course = Course([each for event in events for each in (event, ("look", 0, 0))])
    closed_here = course.totals("closed_here", course.differences)
    for hop, happened in course.kernel.truth.items():
        assert closed_here.get(hop, 0) == happened.closed_here, hop


@given(COURSES)
def test_with_the_counters_no_open_and_no_close_of_this_host_is_lost(
    events: list[tuple[str, int, int]],
) -> None:
    course = Course(events)
    truth = course.kernel.truth.values()
    closed_here = sum(course.totals("closed_here", course.settled).values())
    assert closed_here + _unshared(course) == sum(each.closed_here for each in truth)
    opened = sum(course.totals("opened", course.settled).values())
    unseen = sum(each.unseen_outgoing + each.unseen_incoming for each in course.settled)
    assert opened + unseen == course.kernel.active + course.kernel.passive


def _unshared(course: Course) -> int:
    """Return the sockets that came to TIME_WAIT and left it, with no others at that look to count them to."""
    return sum(
        settled.unseen_waits
        for settled, found in zip(course.settled, course.differences, strict=True)
        if not found.closed_here.any()
    )


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30))
def test_what_the_only_peer_closed_between_two_looks_is_counted_to_it(
    seen: int, unseen: int, resets: int
) -> None:
    kernel = ModelKernel()
    first = kernel.dump()
    for port in range(seen):
        kernel.open((("10.0.0.1", 40_000 + port), PEER))
    for port in range(unseen + resets):
        ends = (("10.0.0.1", 50_000 + port), PEER)
        kernel.open(ends)
        (kernel.close_there if port < unseen else kernel.reset)(ends)
    settled = Reconciliation().settle(difference(first, kernel.dump(first)), kernel.growth(), 0, 0)
    counts = (settled.opened, settled.closed_here, settled.closed_there, settled.ended_unknown)
    assert [int(np.sum(each)) for each in counts] == [seen + unseen + resets, 0, unseen, resets]
