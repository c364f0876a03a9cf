"""Part a: what a request costs the load generator, ours beside wrk, hey, ab and h2load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

from perf import loaders, pairs, programs
from perf.loaders import Sent
from perf.pairs import Row, Target
from perf.settings import Settings
from perf.stage import Stage, stage

PART = "a"
CONNECTIONS = 64
TARGETS = {"wrk": Target(1.05, "ratio_low"), "hey": Target(1 / 3)}

Generator = Callable[[], Sent]


def measure(settings: Settings) -> Iterator[Row]:
    """Yield a row for each of the others; wrk meets ours more often than they do."""
    what = f"load generator, {CONNECTIONS} connections"
    absent = [name for name in ("wrk", "hey", "ab", "h2load") if programs.find(name) is None]
    for name in absent:
        yield pairs.missing(PART, what, name, "not installed")
    with stage() as opened:
        generators = {name: run for name, run in _generators(opened, settings).items() if name not in absent}
        often = [name for name in ("wrk",) if name in generators]
        seldom = [name for name in generators if name not in ("ours", "wrk")]
        yield from _rows(what, generators, often, settings.generator_rounds)
        yield from _rows(what, generators, seldom, settings.other_rounds)


def _generators(opened: Stage, settings: Settings) -> dict[str, Generator]:
    """Return what runs each generator once against one backend, which has the other core."""
    url = f"http://{opened.backend(opened.far).address}/"

    def counted(generator: loaders.Counted) -> Generator:
        return partial(generator, url, connections=CONNECTIONS, requests=settings.requests, cores=opened.near)

    return {
        "ours": counted(loaders.ours),
        "wrk": partial(
            loaders.wrk, url, connections=CONNECTIONS, duration_s=settings.window_s, cores=opened.near
        ),
        "hey": counted(loaders.hey),
        "ab": counted(loaders.ab),
        "h2load": counted(loaders.h2load),
    }


def _rows(what: str, generators: dict[str, Generator], others: list[str], rounds: int) -> Iterator[Row]:
    costs, notes = _rounds({name: generators[name] for name in ("ours", *others)}, rounds if others else 0)
    for other in others:
        row = Row(PART, what, "CPU us/request", None, notes=(*notes["ours"], *notes[other]))
        yield pairs.beside(row, other, costs["ours"], costs[other], TARGETS.get(other))


def _rounds(
    generators: dict[str, Generator], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[str]]]:
    """Return the cost per request of each generator, round by round, and what went wrong with it."""
    costs: dict[str, list[float]] = defaultdict(list)
    notes: dict[str, list[str]] = defaultdict(list)
    for round_ in range(-1, rounds):  # the first warms up, and does not count
        for name in pairs.order(list(generators), round_ + 1):
            sent = generators[name]()
            if sent.errors:
                notes[name].append(f"{name}: {sent.errors} errors")
            if round_ >= 0:
                costs[name].append(sent.cpu_us_per_request)
    return costs, notes
