"""How the figures of a watch are written, in its texts, its view and its page."""

import math
from collections.abc import Sequence

from bench import units
from bench.watch.flows import Closer
from bench.watch.hop_table import HopRow
from bench.watch.model import PeerHop, Snapshot, Source
from bench.watch.session import Look
from nginx.printable import printable_line

_OLD_S = 2.5
"""A verdict on a few hops is at most as old as one look."""
AT_LEAST = "≥"
"""Stands before a lower bound."""
NOT_SEEN = "?"
"""Stands behind a hop on which none of the processes that are watched was seen."""
NOT_COUNTED = "no source counts them (see --requests)"
"""What is said of requests per connection, whether there is no source or one of other hops."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_CLOSERS = {
    Closer.HERE: "this host",
    Closer.THERE: "the peer",
    Closer.BOTH: "both",
    Closer.UNKNOWN: "unknown",
}
_SOURCES = {Source.SAMPLED: "sampled", Source.EXACT: "exact"}


def hop(value: PeerHop, width: int | None = None) -> str:
    """Return the name of a hop; of one that is wider than `width` the middle is left out.

    Both the begin of an address and its end with the port tell hops apart.
    """
    text = printable_line(str(value))
    if width is None or len(text) <= width:
        return text
    kept = width - 1
    return f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"


def name(row: HopRow, width: int | None = None) -> str:
    """Return the name of the hop of a row, marked where it may be that of another process."""
    if not row.is_unattributed:
        return hop(row.hop, width)
    return f"{hop(row.hop, None if width is None else width - len(NOT_SEEN) - 1)} {NOT_SEEN}"


def opened(row: HopRow) -> str:
    """Return how many connections a hop opens per second, marked where that is a lower bound."""
    return per_second(row.opened_per_s, row.is_at_least)


def per_second(value: float, is_at_least: bool = False) -> str:
    """Return a rate without its unit: `≥ 1,950`, `0.3`, `0`."""
    digits = f"{value:,.0f}" if value >= 10 or not value else f"{value:.1f}"
    return f"{AT_LEAST} {digits}" if is_at_least and value else digits


def closes_first(row: HopRow) -> str:
    """Return which side closes first, and that it does so by RST where that is most of it."""
    flow = row.flow
    if not flow.ended:
        return "-"
    resets = flow.reset_here + flow.reset_there
    is_by_reset = row.closer in (Closer.HERE, Closer.THERE) and 2 * resets > flow.ended
    return f"{_CLOSERS[row.closer]}{', RST' if is_by_reset else ''}"


def closed_by(row: HopRow) -> str:
    """Return the same in nine columns."""
    return (
        closes_first(row)
        .replace("the peer", "peer")
        .replace(", RST", " RST")
        .replace("this host RST", "here RST")
    )


def ports_used(row: HopRow) -> str:
    """Return the share of the local ports that is taken towards the peer; a dash where it takes none."""
    if row.ports_share is None:
        return "-"
    if not row.state.ports_used:
        return "0 %"
    percent = 100 * row.ports_share
    if percent < 1:
        return "<1 %"
    return f"{percent if percent >= 100 else min(99.0, percent):.0f} %"  # not all of them, unless it is so


def ports_left(row: HopRow) -> str:
    """Return how many local ports are left of how many."""
    return "-" if row.ports is None else f"{units.count(row.ports_left or 0)} of {units.count(row.ports)}"


def requests_per_connection(row: HopRow) -> str:
    """Return requests per connection; `> N` where no connection was opened for N requests, a dash without."""
    value = row.requests_per_connection
    if value is None:
        return "-"
    if math.isinf(value):
        return "kept"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def age(look: Look) -> str | None:
    """Return how old a verdict is that was made some looks before; None where it is as new as it can be."""
    if look.verdict_age_s < _OLD_S or look.verdict_age_s < 2 * look.snapshot.duration_s:
        return None
    return f"verdict of {look.verdict_age_s:.0f} s ago"


def source(snapshot: Snapshot) -> str:
    """Return how a snapshot was made."""
    return _SOURCES[snapshot.source]


def seconds(value: float) -> str:
    """Return a time: `12 ms`, `1.5 s`, `90 s`."""
    if value < 1:
        return f"{1000 * value:.0f} ms" if value >= 0.01 else f"{1000 * value:.2g} ms"
    return f"{value:.1f} s" if value < 10 else f"{value:,.0f} s"


def shorten(text: str, width: int) -> str:
    """Return `text` on one line of `width` columns, its end cut off where it is longer."""
    line = printable_line(text)
    return line if len(line) <= width else f"{line[: max(0, width - 1)]}…"


def sparkline(values: Sequence[float], width: int) -> str:
    """Return the last `width` values as blocks from zero to their greatest, blank before the first."""
    shown = values[-width:] if width > 0 else ()
    top = max(shown, default=0.0)
    blocks = (_BLOCKS[min(7, int(8 * value / top))] if top and value else _BLOCKS[0] for value in shown)
    return "".join(blocks).rjust(width)
