"""How many ports a hop takes, and when half of them and all of them are gone at this rate. Pure.

What this host closes first keeps its port for 60 s in TIME_WAIT (or in FIN_WAIT2, where the peer does not
close: tcp_fin_timeout is as long by default), so that a rate settles at rate times 60 s
(Little, A Proof for the Queuing Formula L = lambda W, 1961), within 60 s. Where that lies below half of the
range, nothing happens. At half of it connect() slows down (`bench.analysis.ceiling` says why), and the rate
may fall to what TIME_WAIT frees: then the end never comes.
"""

import ipaddress
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from bench import units
from bench.analysis.ceiling import TIME_WAIT_S
from bench.analysis.stats import Estimate
from bench.watch.evidence import HopEvidence
from bench.watch.model import HopState, HostState

RECENT_S = 15.0
"""The rate is taken from so long: a quarter of what TIME_WAIT remembers, and still many intervals."""
ALL_BUT_FEW = 0.98
"""Of the ports: connect() finds the last ones only by luck, since other processes take some of them, too."""
_LEAST_SHARE = 0.01
"""Of the ports: a smaller one is said to be below it, and never rounded to none."""
_FEWEST = 3
_SHORTEST_STEP_S = 1e-3
_MOST_UNSEEN, _FEW_PORTS = 1.5, 50
"""A list of sockets and the events up to it are not of one moment: so much more may have been opened."""
_PIECE_S = 4.0
"""Who closes first drifts for longer: shorter pieces of the judged span would show the noise of counts."""
_FEWEST_PIECES = 2
_LEAST_RACE = 0.02
"""Share of the closes that the rarer end does first, from which on either may: fewer are mishaps."""
_T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Quantile of Student's t for a two-sided interval of 95 %, by degrees of freedom from 1 on."""


class Outlook(StrEnum):
    """Where the ports of a hop go."""

    FREE = "free"
    """Nothing stays in TIME_WAIT here: the ports come back at once."""
    REUSED = "reused"
    """connect() may take ports in TIME_WAIT again after a second."""
    SETTLES = "settles"
    """At less than half of the range."""
    REACHES_HALF = "reaches half"
    REACHES_END = "reaches end"
    PAST_HALF = "past half"
    EXHAUSTED = "exhausted"


class EstimateJson(TypedDict):
    """An estimate in JSON; low and high are null where too little was seen for an interval."""

    center: float
    low: float | None
    high: float | None


class ForecastJson(TypedDict):
    """A forecast in JSON."""

    outlook: str
    ports: int
    used: int
    settles_at: float
    growth_per_s: float
    taken_per_s: float
    freed_per_s: float
    waits_in: str
    half_in_s: EstimateJson | None
    end_in_s: EstimateJson | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where the ports towards one peer go at this rate."""

    outlook: Outlook
    used: int
    ports: int
    """Those of the range, which each address of this host has towards each peer."""
    growth_per_s: float
    """Of the ports used."""
    settles_at: float
    """Ports used once TIME_WAIT frees as many as this rate takes."""
    taken_per_s: float
    """Ports that come to TIME_WAIT."""
    freed_per_s: float
    """Ports that TIME_WAIT frees now, on average over a minute."""
    waits_in: str
    """The state that holds their ports: TIME_WAIT, or FIN_WAIT2 where the peer does not close."""
    half_in_s: Estimate | None = None
    """None where half of the range is passed already, or never will be at this rate."""
    end_in_s: Estimate | None = None

    @property
    def headroom(self) -> float:
        """Return by which factor the rate may grow before half of the range is reached; below 1: it is."""
        return self.ports / 2 / max(self.settles_at, self.used, 1)

    def sentences(self) -> Iterator[str]:
        """Yield the forecast in words."""
        yield from _SENTENCES[self.outlook](self)

    def to_json(self) -> ForecastJson:
        """Return the forecast as plain values."""
        return {
            "outlook": self.outlook.value,
            "ports": self.ports,
            "used": self.used,
            "settles_at": round(self.settles_at, 1),
            "growth_per_s": round(self.growth_per_s, 2),
            "taken_per_s": round(self.taken_per_s, 2),
            "freed_per_s": round(self.freed_per_s, 2),
            "waits_in": self.waits_in,
            "half_in_s": _estimate_json(self.half_in_s),
            "end_in_s": _estimate_json(self.end_in_s),
        }


def forecast(evidence: HopEvidence, host: HostState) -> Forecast:
    """Return where the ports of an outgoing hop go, from what was seen of it until now."""
    ports, used, share = max(1, host.ports), evidence.last.ports_used, _share(evidence.last)
    waiting = (evidence.last.time_wait + evidence.last.fin_wait) * share
    recent = _recent(evidence)
    closed = sum(evidence.flows[at].closed_here for at in recent)
    taken_per_s = share * closed / _seconds(evidence, recent)
    growth = _growth(evidence, recent, taken_per_s)
    if (race := _find_race(evidence)) is not None:
        ended = closed + sum(evidence.flows[at].closed_there for at in recent)
        ended_per_s = share * ended / _seconds(evidence, recent)
        growth = race.smooth(growth, ended_per_s, taken_per_s)
        taken_per_s = race.share * ended_per_s
    held = max(0, used - waiting)
    settles_at = held + TIME_WAIT_S * taken_per_s
    rates = (growth.center, settles_at, taken_per_s, waiting / TIME_WAIT_S, evidence.waits_in)
    if used >= ALL_BUT_FEW * ports:
        return Forecast(Outlook.EXHAUSTED, used, ports, *rates)
    if evidence.waits_in == "TIME_WAIT" and _is_reused(evidence.hop.peer, host.tw_reuse):
        return Forecast(Outlook.REUSED, used, ports, *rates)
    path = _Path(used, held, taken_per_s, growth, evidence.moments_s[-1] - evidence.listed_s[-1])
    end_in_s = path.reaches(ports) if settles_at >= ports else None
    if used >= ports / 2:
        return Forecast(Outlook.PAST_HALF, used, ports, *rates, end_in_s=end_in_s)
    if settles_at < ports / 2:
        return Forecast(Outlook.SETTLES if taken_per_s or waiting else Outlook.FREE, used, ports, *rates)
    outlook = Outlook.REACHES_HALF if end_in_s is None else Outlook.REACHES_END
    return Forecast(outlook, used, ports, *rates, half_in_s=path.reaches(ports / 2), end_in_s=end_in_s)


@dataclass(frozen=True, slots=True)
class _Path:
    """The ports used from now on."""

    used: int
    held: float
    """Those that are not in TIME_WAIT."""
    taken_per_s: float
    growth: Estimate
    age_s: float
    """How long ago `used` was counted."""

    def reaches(self, level: float) -> Estimate:
        """Return in how many seconds from now `level` is reached, which this rate does."""
        found = self._reaches(level)
        center, low, high = (
            None if each is None else max(0.0, each - self.age_s)
            for each in (found.center, found.low, found.high)
        )
        return Estimate(center or 0.0, low, high, found.n)

    def _reaches(self, level: float) -> Estimate:
        """Return the same from when the ports were counted.

        What is in TIME_WAIT now may all be freed at once, or none of it: the time lies between the two. What
        the growth says lies between them, unless it was of another rate.
        """
        soonest, latest = (level - self.used) / self.taken_per_s, (level - self.held) / self.taken_per_s
        if self.growth.center <= 0:
            return Estimate((soonest + latest) / 2, soonest, latest, self.growth.n)
        center = min((level - self.used) / self.growth.center, latest)
        if self.growth.low is None or self.growth.high is None:
            return Estimate(center, None, None, self.growth.n)
        slower = self.growth.center / self.growth.low if self.growth.low > 0 else math.inf
        high = center * slower if math.isfinite(slower) else max(center, latest)
        return Estimate(center, center * self.growth.center / self.growth.high, high, self.growth.n)


@dataclass(frozen=True, slots=True)
class _Race:
    """Both ends close, and which is first is chance, as where both may after a response of HTTP/1.0.

    The share that this host closes first then drifts for many seconds at one steady rate of connections. So
    it is taken from all that is judged, and the rate alone from the last seconds.
    """

    share: float
    low: float
    """Of the pieces of the judged span the least share, and the greatest."""
    high: float

    def smooth(self, growth: Estimate, ended_per_s: float, taken_per_s: float) -> Estimate:
        """Return the growth as it is on average, from the last seconds, in which `taken_per_s` was taken."""
        if growth.center <= 0:
            return growth
        center, *bounds = (
            growth.center + share * ended_per_s - taken_per_s for share in (self.share, self.low, self.high)
        )
        ends = [each for each in (growth.low, growth.high) if each is not None]
        moved = [each - growth.center + center for each in ends]
        return Estimate(center, min(*moved, *bounds), max(*moved, *bounds), growth.n)


def _find_race(evidence: HopEvidence) -> _Race | None:
    """Return how often this host closes first where either end may; None where one always does."""
    pieces: list[tuple[int, int]] = []
    here = there = 0
    lasted_s = 0.0
    for flow, duration_s in zip(evidence.flows, evidence.durations_s, strict=True):
        here, there, lasted_s = here + flow.closed_here, there + flow.closed_there, lasted_s + duration_s
        if lasted_s >= _PIECE_S:
            pieces.append((here, there))
            here = there = 0
            lasted_s = 0.0
    counted = [piece for piece in pieces if sum(piece)]
    ended = sum(map(sum, counted))
    if len(counted) < _FEWEST_PIECES:
        return None
    share = sum(piece[0] for piece in counted) / ended
    if not _LEAST_RACE <= share <= 1 - _LEAST_RACE:
        return None
    shares = [piece[0] / sum(piece) for piece in counted]
    return _Race(share, min(shares), max(shares))


def _share(state: HopState) -> float:
    """Return which share of the connections has its ports from the address that most are taken with."""
    sockets = state.established + state.time_wait + state.close_wait + state.syn_sent + state.fin_wait
    return min(1.0, state.ports_used / sockets) if sockets else 1.0


def _recent(evidence: HopEvidence) -> list[int]:
    """Return the snapshots that the rate is taken from: the last RECENT_S, without a start of slower ones.

    Where the traffic began in the middle of an interval, that interval and those before say nothing.
    """
    end_s = evidence.moments_s[-1]
    chosen = [at for at, moment_s in enumerate(evidence.moments_s) if moment_s > end_s - RECENT_S]
    rates = [evidence.flows[at].opened / max(evidence.durations_s[at], 1e-9) for at in chosen]
    while len(chosen) > _FEWEST and rates[0] < statistics.median(rates[1:]) / 2:
        del chosen[0], rates[0]
    return chosen


def _seconds(evidence: HopEvidence, chosen: Sequence[int]) -> float:
    return max(math.fsum(evidence.durations_s[at] for at in chosen), 1e-3)


def _growth(evidence: HopEvidence, chosen: Sequence[int], taken_per_s: float) -> Estimate:
    """Return by how many ports a second the hop grows, with the interval of 95 % for as long again.

    The first snapshot of all has no other before it: there, what was closed here stands for the growth.
    """
    steps = _steps(evidence, chosen)
    if not steps:
        return Estimate(taken_per_s, None, None, 1)
    center = sum(more for more, _ in steps) / math.fsum(lasted_s for _, lasted_s in steps)
    if len(steps) < _FEWEST:
        return Estimate(center, None, None, len(steps))
    rates = [more / lasted_s for more, lasted_s in steps]
    # The mean of what was seen, against the mean of as much that is still to come: twice the variance.
    spread = _t(len(rates) - 1) * statistics.stdev(rates) * math.sqrt(2 / len(rates))
    return Estimate(center, center - spread, center + spread, len(rates))


def _steps(evidence: HopEvidence, chosen: Sequence[int]) -> list[tuple[int, float]]:
    """Return by how many ports a hop grew from one list of its sockets to the next, and in how many seconds.

    Sockets are not listed at each look. What appears at once, and more than was opened meanwhile, is no
    growth: it was there, and a process of the scope is seen on the hop only now. The lists before lack it.
    """
    found: list[tuple[int, float]] = []
    listed_s, opened = evidence.listed_s, 0
    before = max(0, chosen[0] - 1)
    for at in range(before + 1, len(listed_s)):
        opened += evidence.flows[at].opened
        if (lasted_s := listed_s[at] - listed_s[before]) < _SHORTEST_STEP_S:
            continue
        more = evidence.states[at].ports_used - evidence.states[before].ports_used
        if more > _MOST_UNSEEN * opened + _FEW_PORTS:
            found.clear()
        else:
            found.append((more, lasted_s))
        before, opened = at, 0
    return found


def _t(degrees: int) -> float:
    # Beyond the table the quantile nears that of the normal distribution as 2.4 / degrees.
    return _T_95[degrees - 1] if degrees <= len(_T_95) else 1.96 + 2.4 / degrees


def is_loopback(peer: str) -> bool:
    """Return whether `peer` is a loopback address, which alone tcp_tw_reuse=2 is about (tcp_twsk_unique)."""
    try:
        return ipaddress.ip_address(peer.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_reused(peer: str, tw_reuse: int | None) -> bool:
    """Return whether connect() takes ports in TIME_WAIT; where it is not known: as Linux does by default."""
    return tw_reuse == 1 or (tw_reuse in (2, None) and is_loopback(peer))


def _estimate_json(estimate: Estimate | None) -> EstimateJson | None:
    if estimate is None:
        return None
    low, high = (None if bound is None else round(bound, 2) for bound in (estimate.low, estimate.high))
    return {"center": round(estimate.center, 2), "low": low, "high": high}


def seconds(estimate: Estimate) -> str:
    """Return a time with its interval in words: `12 s (11 to 14 s)`."""
    if estimate.low is None or estimate.high is None:
        return f"about {_spans(estimate.center)[0]} s"
    center, low, high = _spans(estimate.center, estimate.low, estimate.high)
    return f"{center} s ({low} to {high} s)"


def _spans(*seconds: float) -> list[str]:
    """Return times with as many decimals as the first one needs."""
    decimals = 0 if seconds[0] >= 10 else 1
    return [f"{max(0.0, each):.{decimals}f}" for each in seconds]


def _taken(found: Forecast) -> str:
    share = found.used / found.ports
    percent = "below 1%" if 0 < share < _LEAST_SHARE else f"{share:.0%}"
    return f"{units.count(found.used)} of {units.count(found.ports)} ports are taken ({percent})"


def _free(_: Forecast) -> Iterator[str]:
    yield from ()  # ports are no bound, and who closes first has been said


def _reused(found: Forecast) -> Iterator[str]:
    yield f"{_taken(found)}; connect() takes those in TIME_WAIT again after a second (tcp_tw_reuse)."
    if found.settles_at >= found.ports / 2:
        yield "That hides it: without tcp_tw_reuse this rate would pass half of the ports within a minute."


def _settles(found: Forecast) -> Iterator[str]:
    at = f"{units.count(found.settles_at)} of {units.count(found.ports)} ports"
    yield f"At this rate it settles at {at}; {units.ratio(found.headroom)} the rate reaches half of them."


def _reaches(found: Forecast) -> Iterator[str]:
    assert found.half_in_s is not None
    yield f"{_taken(found)}; half of them in {seconds(found.half_in_s)}, and connect() slows down there."
    if found.end_in_s is None:
        yield f"It then settles at {units.count(found.settles_at)} of {units.count(found.ports)} ports."
    else:
        until = f"unless the rate falls to what {found.waits_in} frees"
        yield f"All of them in {seconds(found.end_in_s)}, {until}."


def _past_half(found: Forecast) -> Iterator[str]:
    yield f"{_taken(found)}, more than half: connect() looks through the rest port by port, and is slow."
    if found.end_in_s is not None:
        yield f"At this rate all are taken in {seconds(found.end_in_s)}."
    takes, frees = units.rate(found.taken_per_s), units.rate(found.freed_per_s)
    if found.taken_per_s > found.freed_per_s:
        yield f"The rate may fall to the {frees} that {found.waits_in} frees: then they never run out."
    elif found.taken_per_s:
        freed = f"{found.waits_in} frees {frees}, and {takes} are taken"
        yield f"{freed}: they never run out, and connects stay slow."


def _exhausted(found: Forecast) -> Iterator[str]:
    yield f"{_taken(found)}: connect() fails with EADDRNOTAVAIL, which no counter of the kernel counts."


_SENTENCES = {
    Outlook.FREE: _free,
    Outlook.REUSED: _reused,
    Outlook.SETTLES: _settles,
    Outlook.REACHES_HALF: _reaches,
    Outlook.REACHES_END: _reaches,
    Outlook.PAST_HALF: _past_half,
    Outlook.EXHAUSTED: _exhausted,
}
