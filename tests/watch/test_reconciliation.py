"""What the kernel counted beyond what dumps showed goes to a hop only where it can be but one."""

from __future__ import annotations

import numpy as np
import pytest

from bench.watch.difference import Difference, Lifetimes
from bench.watch.dump import HopColumns
from bench.watch.model import HostFlow
from bench.watch.reconciliation import Reconciliation


def found(*hops: str, came: int = 0, **columns: list[int]) -> Difference:
    """Return what dumps showed of hops, each "to" or "from" a peer."""

    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array(columns.get(name, [0] * len(hops)), np.int64)

    rows = len(hops)
    return Difference(
        HopColumns(
            np.arange(rows, dtype=np.uint64),
            np.array([hop == "from" for hop in hops], np.bool_),
            np.zeros(rows, np.uint16),
            np.zeros((rows, 4), np.uint32),
        ),
        opened=column("opened"),
        closed_here=column("closed_here"),
        closed_there=column("closed_there"),
        uncertain=column("uncertain"),
        failed=column("failed"),
        lifetimes=Lifetimes(np.zeros(0, np.intp), np.zeros(0)),
        came=came,
    )


def growth(active: int = 0, passive: int = 0, **more: int) -> HostFlow:
    return HostFlow(active_opens=active, passive_opens=passive, **more)


@pytest.mark.parametrize(
    ("seen", "grown", "expected"),
    [
        pytest.param(found("to", opened=[3]), growth(3), ([3], [0], [0], (0, 0)), id="all was seen"),
        pytest.param(found("to", opened=[3]), growth(9), ([9], [6], [0], (0, 0)), id="one peer"),
        pytest.param(
            found("to", "to", opened=[3, 0]), growth(9), ([3, 0], [0, 0], [0, 0], (6, 0)), id="two peers"
        ),
        pytest.param(
            found("to", "from", opened=[3, 1]),
            growth(9, 3),
            ([9, 3], [6, 2], [0, 0], (0, 0)),
            id="one each way",
        ),
        pytest.param(found(), growth(5, 7), ([], [], [], (5, 7)), id="no peer was seen at all"),
        pytest.param(
            found("to", opened=[3]),
            growth(9, attempt_fails=2),
            ([7], [4], [0], (0, 0)),
            id="an attempt that failed was no connection",
        ),
        pytest.param(
            found("to", opened=[3]), growth(9, estab_resets=5), ([9], [1], [5], (0, 0)), id="some were reset"
        ),
        pytest.param(
            found("to", "to", uncertain=[4, 2]),
            growth(estab_resets=3),
            ([0, 0], [1, 0], [3, 2], (0, 0)),
            id="any of them may have been",
        ),
        pytest.param(
            found("to", uncertain=[4]),
            growth(time_wait_overflows=4),
            ([0], [0], [4], (0, 0)),
            id="there was no room in TIME_WAIT",
        ),
    ],
)
def test_what_one_look_comes_to(
    seen: Difference,
    grown: HostFlow,
    expected: tuple[list[int], list[int], list[int], tuple[int, int]],
) -> None:
    """Expected are the connections opened, closed by the peer, ended somehow, and unseen (out, in)."""
    settled = Reconciliation().settle(seen, grown, None, 0)
    columns = (settled.opened, settled.closed_there, settled.ended_unknown)
    unseen = (settled.unseen_outgoing, settled.unseen_incoming)
    assert (*(column.tolist() for column in columns), unseen) == expected


def test_what_left_time_wait_between_two_looks_is_shared_out_as_what_stayed() -> None:
    seen = found("to", "to", "from", came=40, opened=[30, 10, 0], closed_here=[30, 10, 0])
    settled = Reconciliation().settle(seen, growth(48), 48, 0)
    assert settled.closed_here.tolist() == settled.opened.tolist() == [36, 12, 0]
    assert settled.unseen_waits == 8
    assert settled.unseen_outgoing == 0


def test_a_counter_that_is_read_a_moment_before_the_dump_loses_nothing_and_doubles_nothing() -> None:
    sums = Reconciliation()
    # Ten connections a look; three of them came between the counter and the dump of the first look.
    looks = [(13, 10), (10, 10), (10, 10), (7, 10)]
    opened = [
        int(sums.settle(found("to", opened=[seen]), growth(grown), None, 0).opened[0])
        for seen, grown in looks
    ]
    assert sum(opened) == 40


def test_a_connection_that_is_being_opened_is_not_opened_yet() -> None:
    sums = Reconciliation()
    assert sums.settle(found("to"), growth(5), None, 5).opened.tolist() == [0]
    assert sums.settle(found("to", opened=[5]), growth(0), None, -5).opened.tolist() == [5]
