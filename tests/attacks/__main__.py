"""`make attacks`: attack the proxy and nginx in the same way, print the table, keep it under results/."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.errors import BenchError
from bench.machine import describe
from tests.attacks import crumbs, idle_race, one_client, pipelining, slow_bodies
from tests.attacks.arena import Arena, arena
from tests.perf import programs, table
from tests.perf.pairs import Row
from tests.perf.settings import QUICK, Settings

ATTACKS: dict[str, Callable[[Arena, Settings], Iterator[Row]]] = {
    "pipelining": pipelining.measure,
    "crumbs": crumbs.measure,
    "slow-bodies": slow_bodies.measure,
    "one-client": one_client.measure,
    "idle-race": idle_race.measure,
}


def main() -> int:
    """Attack; 0 however the targets came out: they are printed, not enforced."""
    given = _arguments()
    talk, began = Console(stderr=True), time.monotonic()
    found: list[Row] = []
    code = 0
    try:
        for row in _measure(given.names or list(ATTACKS), QUICK if given.quick else Settings()):
            found.append(row)
            words = " ".join(filter(None, table.cells(row)))
            talk.print(f"{time.monotonic() - began:4.0f} s: {words}", markup=False, soft_wrap=True)
    except BenchError as error:
        talk.print(f"attacks: {error}; what was measured until then is kept", markup=False)
        code = error.exit_code
    except KeyboardInterrupt:
        talk.print("interrupted; what was measured is kept")
    folder = _keep(found, time.monotonic() - began)
    out = Console(width=None if sys.stdout.isatty() else 180)
    out.print(table.rich(found))
    out.print(f"Notes: {folder}/table.md", markup=False)
    return code


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="make attacks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter windows")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(ATTACKS)}")
    given = parser.parse_args()
    for name in given.names:
        if name not in ATTACKS:
            parser.error(f"unknown attack {name!r}; known: {', '.join(ATTACKS)}")
    return given


def _measure(names: Sequence[str], settings: Settings) -> Iterator[Row]:
    for name in names:
        with arena() as opened:
            yield from ATTACKS[name](opened, settings)


def _keep(found: Sequence[Row], took_s: float) -> Path:
    """Write attacks.json and table.md; return their folder."""
    folder = Path("results") / f"attacks-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True)
    facts = describe.describe()
    kept = {"took_s": round(took_s), "machine": facts, "nginx": programs.version("nginx")}
    text = json.dumps(kept | {"rows": table.plain(found)}, indent=1)
    (folder / "attacks.json").write_text(text, encoding="utf-8")
    heading = f"# Attacks\n\n{facts['cpu_model']}, {facts['cores']} cores, Linux {facts['kernel']}\n\n"
    (folder / "table.md").write_text(heading + table.markdown(found), encoding="utf-8")
    return folder


if __name__ == "__main__":
    sys.exit(main())
