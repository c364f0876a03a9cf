"""`bench`, which tells on stderr when each phase of a trial begins: `phase NAME MONOTONIC_NS`."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from bench import cli
from bench.report import live


class Told(live.LiveLine):
    """Tells the phases."""

    def phase(self, name: str) -> None:
        """Tell that a phase begins."""
        print("phase", name, time.monotonic_ns(), file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def tell(stream: TextIO | None, silent: bool = False) -> Iterator[live.LiveLine]:
    """Tell the phases of a run instead of showing them."""
    yield Told(lambda state, now_s: None)


if __name__ == "__main__":
    live.show_live = tell
    cli.main()
