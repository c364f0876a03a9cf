"""A watch as a process of its own, so that its CPU and memory can be read: `python -m tests.perf.watcher`.

With each other line it begins to watch, looks once a second, and adds up what it sees by hop. With the next
line it ends, and prints that as a line of JSON.
"""

from __future__ import annotations

import json
import resource
import select
import sys
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import asdict

from bench.watch.exact import ExactWatch
from bench.watch.model import HopFlow, Snapshot
from bench.watch.scope import open_scope

_INTERVAL_S = 1.0
COUNTS = tuple(name for name, value in asdict(HopFlow()).items() if isinstance(value, int))


class Totals:
    """What several snapshots amount to."""

    def __init__(self) -> None:
        self._hops: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._sources: Counter[str] = Counter()
        self._notes: dict[str, None] = {}
        self._most_time_wait = 0

    def add(self, snapshot: Snapshot) -> None:
        """Add one interval."""
        self._sources[snapshot.source] += 1
        self._notes |= dict.fromkeys(snapshot.notes)
        self._most_time_wait = max(self._most_time_wait, snapshot.host.time_wait)
        for each in snapshot.hops:
            name = f"{each.hop.direction} {each.hop.peer} {each.hop.port}"
            self._hops[name].update({key: getattr(each.flow, key) for key in COUNTS})

    def to_json(self) -> dict[str, object]:
        """Return everything, with the most memory that this process had, in KiB."""
        return {
            "hops": self._hops,
            "sources": self._sources,
            "notes": list(self._notes),
            "most_time_wait": self._most_time_wait,
            "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }


def main() -> None:
    """Watch between each two lines that come in."""
    while sys.stdin.readline():
        totals = Totals()
        with open_scope() as scope, closing(ExactWatch(scope)) as watch:
            _say("ready")
            while not select.select([sys.stdin], [], [], _INTERVAL_S)[0]:
                totals.add(watch.snapshot())
            sys.stdin.readline()
            totals.add(watch.snapshot())
        _say(json.dumps(totals.to_json()))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
