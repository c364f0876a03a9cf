"""`make perf`: measure the parts that were asked for, print the table, keep it under results/."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.errors import BenchError
from bench.machine import describe
from tests.perf import (
    checking,
    checkouts,
    generators,
    memory,
    observing,
    programs,
    proxies,
    response_rounds,
    shape_rounds,
    starting,
    table,
)
from tests.perf.cases import LOADS
from tests.perf.pairs import Row
from tests.perf.settings import QUICK, Settings
from tests.perf.shape_rounds import Chosen
from tests.perf.shapes import SHAPES

PARTS = ("a", "a-shapes", "b", "b-tiny", "b-2000", "b-100k", "b-10m", "b-shapes", "b-memory", "c", "d", "e")
PROGRAMS = ("wrk", "hey", "ab", "h2load", "nginx", "haproxy", "envoy", "caddy")


def main() -> int:
    """Run the benchmark; 0 however the targets came out: they are printed, not enforced."""
    given = _arguments()
    talk, began = Console(stderr=True), time.monotonic()
    rows: list[Row] = []
    code = 0
    try:
        for row in _measure(QUICK if given.quick else Settings(), given):
            rows.append(row)
            words = " ".join(filter(None, table.cells(row)))
            talk.print(f"{time.monotonic() - began:4.0f} s: {words}", markup=False, soft_wrap=True)
    except BenchError as error:
        talk.print(f"perf: {error}; what was measured until then is kept", markup=False)
        code = error.exit_code
    except KeyboardInterrupt:
        talk.print("interrupted; what was measured is kept")
    facts = describe.describe()
    heading = _heading(facts, given.baseline)
    folder = _keep(rows, given, facts, heading, time.monotonic() - began)
    out = Console(width=None if sys.stdout.isatty() else 180)
    out.print(heading, markup=False, highlight=False)
    out.print(table.rich(rows))
    out.print(f"Notes, and how many connections were opened: {folder}/table.md", markup=False)
    return code


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


def _keep(
    rows: Sequence[Row], given: Namespace, facts: Mapping[str, Any], heading: str, took_s: float
) -> Path:
    """Write perf.json and table.md; return their folder."""
    folder = Path("results") / f"perf-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True)
    versions = {name: programs.version(name) or None for name in PROGRAMS if programs.find(name)}
    kept = {"quick": given.quick, "took_s": round(took_s), "machine": facts, "programs": versions}
    text = json.dumps(kept | {"heading": heading, "rows": table.plain(rows)}, indent=1)
    (folder / "perf.json").write_text(text, encoding="utf-8")
    lines = f"# Side by side\n\n{heading}\n\n{table.markdown(rows)}"
    (folder / "table.md").write_text(lines, encoding="utf-8")
    return folder


if __name__ == "__main__":
    sys.exit(main())
