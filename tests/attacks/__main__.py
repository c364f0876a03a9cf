"""`make attacks`: attack the proxy and nginx in the same way, print the table, keep it under results/."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence

from bench.machine import describe
from tests.attacks import crumbs, idle_race, one_client, pipelining, slow_bodies
from tests.attacks.arena import Arena, arena
from tests.perf import programs
from tests.perf.collecting import Collected
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
    collected = Collected("attacks")
    collected.collect(_measure(given.names or list(ATTACKS), QUICK if given.quick else Settings()))
    facts = describe.describe()
    heading = f"{facts['cpu_model']}, {facts['cores']} cores, Linux {facts['kernel']}"
    collected.keep({"machine": facts, "nginx": programs.version("nginx")}, "Attacks", heading)
    return collected.code


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


if __name__ == "__main__":
    sys.exit(main())
