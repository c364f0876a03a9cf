"""What was found: each find as a row for tests/messages, with what was expected and what came."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

MOST_SHOWN = 3
"""Finds of one kind that are printed; the others are only counted."""


@dataclass(slots=True)
class Finds:
    """All finds so far, by kind."""

    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, case: str, data: bytes, expected: object, got: object) -> None:
        """Print a find, unless there were enough of its kind."""
        self.kinds[kind] += 1
        if self.kinds[kind] <= MOST_SHOWN:
            row = {
                "name": f"fuzz_{case}", "group": "own", "note": kind, "bytes": data.decode("latin-1"),
                "expected": str(expected), "got": str(got),
            }  # fmt: skip
            print(json.dumps(row), flush=True)  # noqa: T201 - what the command is for
