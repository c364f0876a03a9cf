"""The table of the live view: its columns by the width of the terminal, its order, its filter. Pure."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench import units
from bench.report.watch import words
from bench.watch.hop_table import SPAN_S, HopRow
from bench.watch.model import PeerHop, Snapshot

MOST_ROWS = 100
"""Hops that a person looks through; the filter finds the others."""
NARROWEST = 80
GAP = 2
_LEAST_NAME = 19
_MOST_NAME = 47
_LEAST_SPARK, _MOST_SPARK = 8, 30
_INTERVALS = 60


class Order(StrEnum):
    """What the hops are sorted by; the value is the heading of its column."""

    OPENED = "opened/s"
    TIME_WAIT = "TIME_WAIT"
    PORTS = "ports"
    REQUESTS = "req/conn"
    NAME = "hop"

    @property
    def next(self) -> "Order":
        """Return the order after this one; the first after the last."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


@dataclass(frozen=True, slots=True)
class LiveColumn:
    """A column: its heading, its width with the gap before it, and what stands in it."""

    heading: str
    width: int
    cell: Callable[[HopRow, int], str]


class History:
    """Connections opened per second on each hop in each of the last intervals."""

    def __init__(self) -> None:
        self._rates: deque[dict[PeerHop, float]] = deque(maxlen=_INTERVALS)

    def add(self, snapshot: Snapshot) -> None:
        """Add an interval."""
        seconds = snapshot.duration_s
        self._rates.append(
            {each.hop: each.flow.opened / seconds if seconds else 0.0 for each in snapshot.hops}
        )

    def of(self, hop: PeerHop) -> list[float]:
        """Return the rates of a hop, the newest last."""
        return [rates.get(hop, 0.0) for rates in self._rates]


_FIGURES = (
    (0, LiveColumn("opened/s", 10, lambda row, width: words.opened(row))),
    (0, LiveColumn("closed by", 11, lambda row, width: words.closed_by(row))),
    (96, LiveColumn("estab", 9, lambda row, width: units.count(row.state.established))),
    (0, LiveColumn("TIME_WAIT", 11, lambda row, width: units.count(row.state.time_wait))),
    (0, LiveColumn("ports", 8, lambda row, width: words.ports_used(row))),
    (112, LiveColumn("ports left", 18, lambda row, width: words.ports_left(row))),
    (0, LiveColumn("req/conn", 10, lambda row, width: words.requests_per_connection(row))),
)
"""Each with the least width of the terminal that has room for it."""


def choose_columns(width: int, history: History) -> list[LiveColumn]:
    """Return the columns that fit into `width`, the name first and the sparkline of `history` last."""
    figures = [column for needs, column in _FIGURES if needs <= width]
    left = max(NARROWEST, width) - 1 - sum(column.width for column in figures)
    spark = min(_MOST_SPARK, max(_LEAST_SPARK, (left - _LEAST_NAME - GAP) // 3))
    name = min(_MOST_NAME, left - spark - GAP)
    return [
        LiveColumn("hop", name, words.name),
        *figures,
        LiveColumn(
            "history", spark + GAP, lambda row, width: words.sparkline(history.of(row.hop), width - GAP)
        ),
    ]


def select(rows: Sequence[HopRow], order: Order, text: str) -> list[HopRow]:
    """Return the rows whose hop or processes hold `text`, in their order, as many as are shown."""
    found = [row for row in rows if not text or _holds(row, text.lower())]
    return sorted(found, key=lambda row: (row.is_unattributed, _KEYS[order](row)))[:MOST_ROWS]


def _holds(row: HopRow, text: str) -> bool:
    return any(text in each.lower() for each in (str(row.hop), *row.state.processes))


def _by_requests(row: HopRow) -> tuple[bool, float, str]:
    """Return the key of the order by requests per connection: the fewest first, those not counted last."""
    value = row.requests_per_connection
    return value is None, value or 0.0, str(row.hop)


_KEYS: dict[Order, Callable[[HopRow], tuple[object, ...]]] = {
    Order.OPENED: lambda row: (-row.opened_per_s, -row.state.time_wait, str(row.hop)),
    Order.TIME_WAIT: lambda row: (-row.state.time_wait, str(row.hop)),
    Order.PORTS: lambda row: (-(row.ports_share or 0.0), str(row.hop)),
    Order.REQUESTS: _by_requests,
    Order.NAME: lambda row: (row.hop,),
}


def describe(row: HopRow, width: int) -> list[str]:
    """Return what else is known of a hop, a line each: its connections, how they ended, its requests."""
    state, flow = row.state, row.flow
    parts = [
        str(row.hop),
        f"established {units.count(state.established)}",
        f"CLOSE_WAIT {units.count(state.close_wait)}",
    ]
    if row.ports is not None:
        parts.append(f"ports left {words.ports_left(row)}")
    if state.processes:
        parts.append(", ".join(state.processes))
    ends = [
        f"last {SPAN_S:.0f} s: {units.count(flow.closed_here)} closed first by this host",
        f"{units.count(flow.closed_there)} by the peer",
        f"{units.count(flow.reset_here + flow.reset_there)} by RST",
    ]
    if flow.reset_after_fin:
        ends.append(f"{units.count(flow.reset_after_fin)} by RST behind its FIN")
    if flow.failed_opens:
        ends.append(f"{units.count(flow.failed_opens)} never opened")
    if flow.lifetimes_s:
        ends.append(f"lived {words.seconds(sorted(flow.lifetimes_s)[len(flow.lifetimes_s) // 2])}")
    lines = ("; ".join(parts), "; ".join(ends), _requests(row))
    return [words.shorten(line, width) for line in lines]


def _requests(row: HopRow) -> str:
    if row.requests_per_s is None:
        return f"requests per connection: {words.NOT_COUNTED}"
    return (
        f"requests: {words.per_second(row.requests_per_s)}/s;"
        f" for each connection: {words.requests_per_connection(row)}"
    )
