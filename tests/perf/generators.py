"""Part a: what a request costs the load generator, ours beside wrk, hey, ab and h2load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import external
from bench.load.tools import TOOLS, ToolLoad
from tests.perf import loaders, pairs, programs, subjects
from tests.perf.loaders import Sent
from tests.perf.pairs import Row, Target
from tests.perf.settings import Settings
from tests.perf.stage import Stage, stage

PART = "a"
CONNECTIONS = 64
WHAT = f"load generator, {CONNECTIONS} connections"
TARGETS = {(WHAT, "wrk"): Target(1.05, "ratio_low"), (WHAT, "hey"): Target(1 / 3)}

OTHERS = ("wrk", "hey", "ab", "h2load")
VARIED = ", no two heads alike"
"""What nginx can be asked for, and our own backend cannot: a head that nobody can know beforehand."""

Generator = Callable[[], Sent]


def measure(settings: Settings) -> Iterator[Row]:
    """Yield a row for each of the others; wrk meets ours more often than they do."""
    absent = external.missing(OTHERS)
    for name in absent:
        yield pairs.missing(PART, WHAT, name, "not installed")
    often = [name for name in ("wrk",) if name not in absent]
    seldom = [name for name in OTHERS if name not in (*often, *absent)]
    with stage() as opened, TemporaryDirectory() as folder:
        url = f"http://{subjects.serve(opened, Path(folder) / 'server')}/"
        beside_wrk = _generators(opened, url, settings.requests, settings.window_s)
        yield from _rows(WHAT, beside_wrk, often, settings.generator_rounds)
        beside_others = _generators(opened, url, settings.other_requests, settings.window_s)
        yield from _rows(WHAT, beside_others, seldom, settings.other_rounds)
        if programs.find("nginx") is not None:
            varied = _generators(opened, f"{url}varied", settings.requests, settings.window_s)
            yield from _rows(WHAT + VARIED, varied, often, settings.generator_rounds)


def _generators(opened: Stage, url: str, requests: int, duration_s: int) -> dict[str, Generator]:
    """Return what runs each generator once, on the core that the server at `url` leaves to it."""
    counted, timed = ToolLoad(url, CONNECTIONS, requests), ToolLoad(url, CONNECTIONS, duration_s=duration_s)
    theirs = {
        tool: partial(loaders.theirs, tool, counted if TOOLS[tool].counts_requests else timed, opened.near)
        for tool in OTHERS
    }
    ours = partial(loaders.ours, url, connections=CONNECTIONS, requests=requests, cores=opened.near)
    return {"ours": ours, **theirs}


def _rows(what: str, generators: dict[str, Generator], others: list[str], rounds: int) -> Iterator[Row]:
    costs, notes = _rounds({name: generators[name] for name in ("ours", *others)}, rounds if others else 0)
    for other in others:
        row = Row(PART, what, "CPU us/request", None, notes=(*notes["ours"], *notes[other]))
        yield pairs.beside(row, other, costs["ours"], costs[other], TARGETS.get((what, other)))


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
