"""What `make perf` and `make attacks` do with their rows: print each as it comes, and keep all of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.errors import BenchError
from tests.perf import table
from tests.perf.pairs import Row


@dataclass(slots=True)
class Collected:
    """The rows that were measured, in how many seconds, and the exit code."""

    name: str
    rows: list[Row] = field(default_factory=list)
    took_s: int = 0
    code: int = 0

    def collect(self, measured: Iterable[Row]) -> None:
        """Measure, until the end, a failure or Ctrl-C."""
        talk, began = Console(stderr=True), time.monotonic()
        try:
            for row in measured:
                self.rows.append(row)
                words = " ".join(filter(None, table.cells(row)))
                talk.print(f"{time.monotonic() - began:4.0f} s: {words}", markup=False, soft_wrap=True)
        except BenchError as error:
            talk.print(f"{self.name}: {error}; what was measured until then is kept", markup=False)
            self.code = error.exit_code
        except KeyboardInterrupt:
            talk.print("interrupted; what was measured is kept")
        self.took_s = round(time.monotonic() - began)

    def keep(self, facts: Mapping[str, Any], title: str, heading: str) -> None:
        """Write NAME.json and table.md under results/, and print the table and where they are."""
        folder = Path("results") / f"{self.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        folder.mkdir(parents=True)
        kept = {"took_s": self.took_s, **facts, "heading": heading, "rows": table.plain(self.rows)}
        (folder / f"{self.name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
        lines = f"# {title}\n\n{heading}\n\n{table.markdown(self.rows)}"
        (folder / "table.md").write_text(lines, encoding="utf-8")
        out = Console(width=None if sys.stdout.isatty() else 180)
        out.print(heading, markup=False, highlight=False)
        out.print(table.rich(self.rows))
        out.print(f"Notes: {folder}/table.md", markup=False)
