"""`make perf`: measure the parts that were asked for, print the table, keep it under results/."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.machine import describe
from tests.perf import (
    checking,
    checkouts,
    generators,
    memory,
    observing,
    programs,
    proxies,
    rates,
    response_rounds,
    shape_rounds,
    starting,
)
from tests.perf.cases import LOADS
from tests.perf.collecting import Collected
from tests.perf.pairs import Row
from tests.perf.settings import QUICK, Settings
from tests.perf.shape_rounds import Chosen
from tests.perf.shapes import SHAPES

PARTS = (
    "a",
    "a-shapes",
    "a-rates",
    "b",
    "b-tiny",
    "b-2000",
    "b-100k",
    "b-10m",
    "b-shapes",
    "b-memory",
    "c",
    "d",
    "e",
)
PROGRAMS = ("wrk", "hey", "ab", "h2load", "nginx", "haproxy", "envoy", "caddy")


def main() -> int:
    """Run the benchmark; 0 however the targets came out: they are printed, not enforced."""
    given = _arguments()
    collected = Collected("perf")
    collected.collect(_measure(QUICK if given.quick else Settings(), given))
    facts = describe.describe()
    versions = {name: programs.version(name) or None for name in PROGRAMS if programs.find(name)}
    kept = {"quick": given.quick, "machine": facts, "programs": versions}
    collected.keep(kept, "Side by side", _heading(facts, given.baseline))
    return collected.code


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="make perf", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds of everything")
    parser.add_argument("--only", type=_some_of(PARTS), default=PARTS, help=f"some of {','.join(PARTS)}")
    chosen = f"of {shape_rounds.PART}, some of "
    parser.add_argument("--shape", type=_some_of(SHAPES), default=(), help=chosen + ",".join(SHAPES))
    parser.add_argument("--load", type=_some_of(LOADS), default=(), help=chosen + ",".join(LOADS))
    parser.add_argument(
        "--baseline", type=checkouts.path, metavar="FOLDER", help="another checkout, to be measured beside"
    )
    return parser.parse_args()


def _some_of(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """Return the reader of names that are separated by commas."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        for name in names:
            if name not in known:
                raise ArgumentTypeError(f"unknown {name!r}; known: {', '.join(known)}")
        return names

    return read


def _measure(settings: Settings, given: Namespace) -> Iterator[Row]:
    parts = given.only
    if "a" in parts:
        yield from generators.measure(settings)
    if {"a", "a-shapes"} & set(parts):
        yield from response_rounds.measure(settings, given.baseline)
    if {"a", rates.PART} & set(parts):
        yield from rates.measure(settings)
    yield from proxies.measure(settings, parts, given.baseline)
    if {"b", shape_rounds.PART} & set(parts):
        yield from shape_rounds.measure(settings, Chosen(given.shape, given.load, given.baseline))
    if {"b", "b-memory"} & set(parts):
        yield from memory.measure(settings)
    if "c" in parts:
        yield from observing.measure(settings)
    if "d" in parts:
        yield from starting.measure(settings)
    if "e" in parts:
        yield from checking.measure(settings)


def _heading(facts: Mapping[str, Any], baseline: Path | None) -> str:
    """Return on what and with what it was measured: processor, kernel, Python, event loop, commits."""
    versions = facts["versions"]
    has_uvloop = versions.get("uvloop") is not None
    loop = f"uvloop {versions['uvloop']}" if has_uvloop else f"asyncio of Python {versions['python']}"
    words = [
        f"{facts['cpu_model']}, {facts['cores']} cores",
        f"Linux {facts['kernel']}",
        f"Python {versions['python']}",
        f"the proxy on {loop if checkouts.knows('--loop') else 'a loop of its own'}",
        f"commit {checkouts.commit(Path())}",
    ]
    if baseline is not None:
        words.append(f"beside commit {checkouts.commit(baseline)}")
    return ", ".join(words)


if __name__ == "__main__":
    sys.exit(main())
