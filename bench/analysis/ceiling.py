"""The ceiling that a port range sets: when it was reached in a trial, and where it lies for a given rate.

Pure. A closed connection keeps its tuple (source address and port, destination address and port) for
60 s in TIME_WAIT on the side that closed first (Linux: TCP_TIMEWAIT_LEN, include/net/tcp.h). connect()
looks through one half of the range first and, when that is used up, through the other half port by
port (Linux: __inet_hash_connect, net/ipv4/inet_hashtables.c): so it slows down at half of the range,
long before EADDRNOTAVAIL at its end.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from bench.runs.ports_record import Ports

TIME_WAIT_S = 60.0
_EDGE_S = 1e-3  # moments are rounded: a tick that ends with the window may seem to end after it
WIDEST_RANGE = 64_512  # 1024 to 65535
_FALL = 0.5
"""Share of the rate before: below it the rate fell, although ports in TIME_WAIT could be taken again. The
cliff leaves a tenth or less, and other work on the machine rarely takes half."""
_REUSE_AFTER_S = 1.0  # Linux: tcp_twsk_unique() releases a port once the peer's timestamp has moved on


def ports(
    ticks: Sequence[tuple[float, int]],
    used: Iterable[tuple[float, int]],
    *,
    port_range: int,
    tuples: int,
    end_s: float,
    exhausted_s: float | None = None,
    at_end: int | None = None,
    reuses: bool = False,
) -> Ports:
    """Return what running through the ports did to a trial.

    `ticks` are (end, correct responses) of each tenth of a second or less, each of which begins where
    the one before ended, `used` are (moment, tuples in use) samples, in seconds from the first connect;
    `end_s` is the end of the window. The rates are None where half of the tuples was never in use;
    responses of the tick in which that happened count in neither rate, unless it was the first.
    `at_end` is the exact count after the drain. Where `reuses`, ports in TIME_WAIT are taken again: half of
    the tuples in use is then no cliff unless the rate fell, and all of them in use no end.
    """
    samples = sorted(used)
    peak = max((*(count for _, count in samples), *(() if at_end is None else (at_end,))), default=None)
    if peak is not None and tuples:
        peak = min(peak, tuples)  # between two counts the gauge is followed, which counts other sockets too
    half_s = _passed_s(samples, tuples / 2) if tuples else None
    if exhausted_s is None and tuples and not reuses:
        exhausted_s = _passed_s(samples, tuples)
    if half_s is not None and exhausted_s is not None:
        # The subject reports the end exactly, the half lies somewhere between two samples.
        half_s = min(half_s, exhausted_s)
    before = after = None
    if half_s is not None:
        before, after = _rates(ticks, half_s, end_s)
        if reuses and (before is None or after is None or after > _FALL * before):
            before = after = None
    return Ports(port_range, tuples, peak, _rounded(half_s), _rounded(exhausted_s), before, after, reuses)


def _passed_s(samples: Sequence[tuple[float, int]], level: float) -> float | None:
    """Return when `level` was reached, on the straight line between the samples on either side of it."""
    t_before, count_before = 0.0, 0
    for t_s, count in samples:
        if count >= level:
            rise = count - count_before
            return t_s if rise <= 0 else t_before + (t_s - t_before) * (level - count_before) / rise
        t_before, count_before = t_s, count
    return None


def _rates(
    ticks: Sequence[tuple[float, int]], half_s: float, end_s: float
) -> tuple[float | None, float | None]:
    ends = [0.0, *(tick_s for tick_s, _ in ticks)]
    spans = [(begin_s, tick_s, count) for begin_s, (tick_s, count) in zip(ends, ticks, strict=False)]
    before = [span for span in spans if span[1] <= half_s + _EDGE_S]
    after = [span for span in spans if span[0] >= half_s - _EDGE_S and span[1] <= end_s + _EDGE_S]
    return _mean_rate(before or spans[:1]), _mean_rate(after)


def _mean_rate(spans: Sequence[tuple[float, float, int]]) -> float | None:
    lasted_s = sum(tick_s - begin_s for begin_s, tick_s, _ in spans)
    return sum(count for _, _, count in spans) / lasted_s if lasted_s > 0 else None


def _rounded(moment_s: float | None) -> float | None:
    return None if moment_s is None else round(moment_s, 3)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How many new connections per second a host's ports can sustain where it closes first."""

    tuples: int
    """Ephemeral ports times source addresses times destinations."""
    time_wait_s: float = TIME_WAIT_S

    @property
    def connections_per_s(self) -> float:
        """Return the rate above which the tuples run out: each is in use for `time_wait_s`."""
        return self.tuples / self.time_wait_s

    @property
    def smooth_per_s(self) -> float:
        """Return the rate up to which connect() stays fast: half of the tuples, turned over."""
        return self.connections_per_s / 2

    def slows_after_s(self, rate: float) -> float | None:
        """Return after how long connect() slows down at `rate` connections per second; None: never."""
        return None if rate <= self.smooth_per_s else self.tuples / 2 / rate

    def exhausted_after_s(self, rate: float) -> float | None:
        """Return after how long connect() fails at `rate` connections per second; None: never."""
        return None if rate <= self.connections_per_s else self.tuples / rate


class RemedyJson(TypedDict):
    """A remedy in JSON."""

    name: str
    change: str
    requests_per_s: float | None
    holds: bool


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change, the highest rate of requests that then stays below the slow half, and whether it does."""

    name: str
    change: str
    requests_per_s: float
    """math.inf where ports no longer set a bound."""
    holds: bool
    """Whether the given rate is at or below it."""

    def to_json(self) -> RemedyJson:
        """Return the remedy as plain values; no bound is null, since JSON has no infinity."""
        bound = None if math.isinf(self.requests_per_s) else self.requests_per_s
        return {"name": self.name, "change": self.change, "requests_per_s": bound, "holds": self.holds}


def ceiling(port_range: int, addresses: int = 1, destinations: int = 1) -> Ceiling:
    """Return the ceiling of a host with `port_range` ports, source `addresses` and `destinations`."""
    return Ceiling(port_range * addresses * destinations)


def remedies(
    rate: float,
    port_range: int,
    addresses: int = 1,
    destinations: int = 1,
    requests_per_connection: float = 1.0,
) -> tuple[Remedy, ...]:
    """Return how far each known change moves the ceiling, for a load of `rate` requests per second."""
    here = ceiling(port_range, addresses, destinations)
    reach = here.smooth_per_s * requests_per_connection
    widest = ceiling(WIDEST_RANGE, addresses, destinations).smooth_per_s * requests_per_connection
    factor = max(1, math.ceil(rate / reach))
    reused = here.tuples / 2 / _REUSE_AFTER_S * requests_per_connection
    per_connection = math.ceil(max(rate / here.smooth_per_s, requests_per_connection))
    rows = (
        ("as it is", "change nothing", reach),
        (
            "keep-alive",
            f"let each connection carry {per_connection:,} requests or more",
            here.smooth_per_s * per_connection,
        ),
        ("wider range", f"net.ipv4.ip_local_port_range = 1024 65535 ({WIDEST_RANGE:,} ports)", widest),
        ("more source addresses", f"{addresses * factor} instead of {addresses}", reach * factor),
        ("more destinations", f"{destinations * factor} backend addresses or ports", reach * factor),
        ("tcp_tw_reuse", "net.ipv4.tcp_tw_reuse = 1, timestamps on: reuse after 1 s", reused),
        ("backend closes first", "TIME_WAIT moves to the backend, whose ports it does not use", math.inf),
    )
    return tuple(Remedy(name, change, most, rate <= most) for name, change, most in rows)
