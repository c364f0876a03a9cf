"""Say in sentences what limits a sampled snapshot."""

from bench.watch.counters import Reading
from bench.watch.model import HostFlow
from bench.watch.reconciliation import Settled

_USUAL_INTERVAL_S = 1.0
"""A watch that could look once a second has nothing to say about its cost."""
_EVERYWHERE = 1
"""Value of net.ipv4.tcp_tw_reuse; 2 is loopback only (Documentation/networking/ip-sysctl.rst)."""

_MANY = 100
"""Sockets whose direction is a guess: fewer change no verdict."""

_OF_DUMPS = ("between two looks", "is a lower bound here", "keeps the watch within")
"""What a note says that is about dumps alone."""


def is_of_dumps(note: str) -> bool:
    """Return whether a note tells what dumps miss or cost: none of it holds where events are counted."""
    return any(words in note for words in _OF_DUMPS)


def notes(settled: Settled, reading: Reading, growth: HostFlow) -> tuple[str, ...]:
    """Return what the counters showed that dumps did not, and what shortens TIME_WAIT."""
    found = []
    if settled.unseen_outgoing:
        found.append(
            f"{_connections(settled.unseen_outgoing)} that this host opened came and went between two looks,"
            " ended by the peer; by which peer is not known"
        )
    if settled.unseen_incoming:
        found.append(
            f"{_connections(settled.unseen_incoming)} that this host accepted came and went between two"
            " looks, ended by the peer; by which peer is not known"
        )
    if settled.unseen_waits:
        found.append(
            f"{_sockets(settled.unseen_waits)} came to TIME_WAIT and left it between two looks,"
            " counted to hops as those that were seen"
        )
    if growth.time_wait_overflows:
        most = reading.state.max_time_wait
        found.append(
            f"tcp_max_tw_buckets ({'unknown' if most is None else most}) is reached:"
            f" {_sockets(growth.time_wait_overflows)} did not come to TIME_WAIT, so that what this host"
            " closed first is a lower bound here"
        )
    if growth.time_wait_reused:
        where = "everywhere" if reading.state.tw_reuse == _EVERYWHERE else "on loopback"
        found.append(
            f"{_sockets(growth.time_wait_reused)} left TIME_WAIT for a new connection with the same ports"
            f" (tcp_tw_reuse allows it {where}): ports last longer than a minute of TIME_WAIT suggests"
        )
    return tuple(found)


def untold(sockets: int) -> tuple[str, ...]:
    """Return of how many sockets nothing tells the server's end, where they are many."""
    if sockets < _MANY:
        return ()
    return (
        f"{_sockets(sockets)} have two ports that the kernel may have chosen, and nobody listens at either:"
        " which end is the server's cannot be told, and they count as opened here",
    )


def cost(sockets: int, cost_s: float, shortest_interval_s: float) -> tuple[str, ...]:
    """Return what a look costs where it is much."""
    if shortest_interval_s <= _USUAL_INTERVAL_S:
        return ()
    return (
        f"a look at {sockets:,} sockets takes {cost_s * 1e3:.0f} ms: one every {shortest_interval_s:.1f} s"
        " keeps the watch within 2 % of a core",
    )


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count:,} connections"


def _sockets(count: int) -> str:
    return "1 socket" if count == 1 else f"{count:,} sockets"
