"""How many connections a pool holds open to one server, where time and use end them and not its size. Pure.

The pool gives out the connection that was used last. So the k-th is used when k requests are in flight, and
closed when that did not happen for the idle timeout: what is held is the most that were in flight within it.
Each connection that has carried its number of requests is missing until so many are in flight again, which
shortens that time.

How many a request finds in flight at its server is known where latencies are exponential and each
`every`-th request of a Poisson process goes there (GI/M/infinity; L. Takacs, Introduction to the Theory of
Queues, 1962, chapter 3, by binomial moments). The mean time up to a level is that of a process of births and
deaths, and the time itself close to exponential, since the level is rare.
"""

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from itertools import accumulate, pairwise

_MOST_EXACT = 60.0
"""In flight: up to here by moments, above as good as normal."""
_NEVER = 1e-13
_REACH = 8.0
"""Standard deviations beyond which nothing is computed."""


@dataclass(frozen=True, slots=True)
class Held:
    """Connections that one pool holds to one server."""

    mean: float
    variance: float
    opened_share: float = 0.0
    """Requests that find none because an idle one was closed for its age, of all."""


@lru_cache(maxsize=1024)
def found_in_flight(load: float, every: int = 1) -> tuple[float, ...]:
    """Return how often a request finds 0, 1, 2... others in flight at its server; `load` are on average."""
    if every == 1:
        spread = _REACH * math.sqrt(load) + 12
        lowest, highest = max(0, math.floor(load - spread)), math.ceil(load + spread)
        chances = (
            math.exp(-load + k * math.log(load) - math.lgamma(k + 1)) for k in range(lowest, highest + 1)
        )
        return (0.0,) * lowest + tuple(chances)
    return _by_moments(load, every) if load <= _MOST_EXACT else _as_normal(load, every)


def _odds(load: float, every: int, number: int) -> float:
    """Return the odds that `number` requests, each still in flight, are so when the next one comes."""
    chance = every * math.log1p(number / (load * every))
    return 1 / math.expm1(chance)


def _by_moments(load: float, every: int) -> tuple[float, ...]:
    count = math.ceil(6 * load + _REACH * math.sqrt(load) + 24)
    with localcontext() as context:
        context.prec = 30 + math.ceil(load)  # the sum alternates: terms are e^(2 load) times its value
        moments = [Decimal(1)]
        for number in range(1, count + 1):
            ratio = (1 + Decimal(number) / (Decimal(load) * every)) ** every
            moments.append(moments[-1] / (ratio - 1))
        found = []
        for level in range(count // 2):
            terms = ((-1) ** (k - level) * math.comb(k, level) * moments[k] for k in range(level, count + 1))
            found.append(max(0.0, float(sum(terms))))
    return tuple(found)


def _as_normal(load: float, every: int) -> tuple[float, ...]:
    first = _odds(load, every, 1)
    second = first * _odds(load, every, 2)
    deviation = math.sqrt(2 * second + first - first**2)
    lowest, highest = max(0, math.floor(first - _REACH * deviation)), math.ceil(first + _REACH * deviation)
    edges = [
        (1 + math.erf((k - 0.5 - first) / deviation / math.sqrt(2))) / 2 for k in range(lowest, highest + 2)
    ]
    return (0.0,) * lowest + tuple(after - before for before, after in pairwise(edges))


@lru_cache(maxsize=1024)
def by_age(load: float, idle_timeout: float, most: int | None = None, every: int = 1) -> Held:
    """Return what a pool without a bound holds to one server; the unit of time is the mean latency.

    A connection ends after `most` requests.
    """
    if load <= 0:
        return Held(0.0, 0.0)
    found = found_in_flight(load, every)
    levels = _levels(load, found)
    waits = _waits(load, found, levels)
    by_time = [level * math.exp(-idle_timeout / wait) for level, wait in zip(levels, waits, strict=True)]
    chances = [max(0.0, after - before) for before, after in pairwise([0.0, *by_time])]
    opened = sum(chance / wait for chance, wait in zip(chances, waits, strict=True)) / load
    if most is not None:
        chances = _with_use(chances, _ups(load, found, levels), load / most)
    mean = sum(count * chance for count, chance in enumerate(chances)) / sum(chances)
    variance = sum((count - mean) ** 2 * chance for count, chance in enumerate(chances)) / sum(chances)
    return Held(mean, variance, min(1.0, opened))


def _with_use(chances: list[float], ups: list[float], ended: float) -> list[float]:
    """Return how often 0, 1, 2... are held where connections end at the rate `ended` too, and for their age.

    `chances` of age alone tell how often age ends one: births, at the rate `ups`, and deaths are in balance.
    """
    least = next((count for count, up in enumerate(ups) if up), 0)
    logs = [-math.inf] * least + [0.0]
    for (before, after), up in zip(pairwise(chances[least:]), ups[least:], strict=False):
        if not up or (before and not after):
            break  # never so many
        logs.append(logs[-1] - math.log((before / after if before else 0.0) + ended / up))
    most = max(logs)
    return [math.exp(each - most) for each in logs]


def _ups(load: float, found: tuple[float, ...], levels: list[float]) -> list[float]:
    """Return the rate at which a request finds 0, 1, 2... others, where no more are held than these."""
    pairs = zip(found, levels, strict=True)
    return [load * chance / level if chance > _NEVER and level > _NEVER else 0.0 for chance, level in pairs]


def _levels(load: float, found: tuple[float, ...]) -> list[float]:
    """Return how often at most 0, 1, 2... are in flight: what goes up to a level comes down from it."""
    above = [load * chance / (level + 1) for level, chance in enumerate(found)]
    return list(accumulate([max(0.0, 1 - sum(above)), *above[:-1]]))


def _waits(load: float, found: tuple[float, ...], levels: list[float]) -> list[float]:
    """Return the mean time until more than 0, 1, 2... are in flight, where no more than that are at first."""
    steps = [
        level**2 / (load * chance) if chance > _NEVER else (0.0 if level < 0.5 else math.inf)
        for level, chance in zip(levels, found, strict=True)
    ]
    sums = zip(accumulate(steps), levels, strict=True)
    return [max(_NEVER, total / level) if level > _NEVER else _NEVER for total, level in sums]
